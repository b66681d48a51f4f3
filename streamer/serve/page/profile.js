// A profile of a voice: made from the microphone, or loaded from a file.

import { buttons } from "./controls.js";
import { NOTHING, TIMESTEP_S } from "./decision.js";
import { paint } from "./looks.js";
import { $, problem, say } from "./messages.js";
import { save } from "./saving.js";
import { forget, listening, server, voice } from "./state.js";

export function beginProfile() {
  forget();
  voice.begin();
  paint($("chip"), NOTHING);
  say("word", "talk");
  say("sure", voice.progress(server.info));
}

// Takes a line of the server; returns whether enough was heard.
export function enrol(line) {
  if (line.type === "profile") {
    const text = voice.made(line, server.info);
    if (text) {
      save("my-voice.profile", text);
      say("word", "ready");
      say("sure", "your voice is known from now on; its profile was saved by your browser");
      say("announce", "profile made");
    } else notMade("");
    buttons();
  } else if (line.type === "estimate" && !listening.link?.isEnding) {
    const isEnough = voice.hear(line, server.info, TIMESTEP_S);
    say("sure", voice.progress(server.info));
    return isEnough;
  }
  return false;
}

export function notMade(why) {
  voice.made(null, server.info);
  say("word", "ready");
  say("sure", "press Listen, or drop a recording here");
  if (why || $("problem").hidden) {
    const needed_s = server.info.enrolment.good_speech_s;
    problem(`${why}No profile was made, and nothing was kept: it takes ${needed_s} s of speech.`);
  }
  buttons();
}

export async function loadProfile(file) {
  try {
    await voice.load(file);
    problem("");
  } catch (error) {
    problem(error.message);
  }
  buttons();
}
