// A recording from a file, decoded by the browser.

import { buttons } from "./controls.js";
import { Link, nameOf } from "./link.js";
import { $, problem, status } from "./messages.js";
import { loadProfile } from "./profile.js";
import { take } from "./results.js";
import { forget, listening, server, voice } from "./state.js";

export async function hearFile(file) {
  if (/\.profile$/i.test(file.name) && !listening.isWanted) { loadProfile(file); return; }
  if (listening.isWanted) { problem("Stop listening first, then open a recording."); return; }
  if (!server.info) return;
  problem("");
  status("busy", `reading ${file.name}`);
  let audio;
  try {
    audio = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(await file.arrayBuffer());
  } catch {
    status("bad", "not read");
    problem(`The browser cannot decode ${file.name}. ser-live replay reads more formats.`);
    return;
  }
  if (listening.isWanted) return; // Listen was pressed in the meantime
  forget();
  const channels = Array.from({ length: audio.numberOfChannels }, (_, index) => audio.getChannelData(index));
  const form = { sample_rate: audio.sampleRate, channels: channels.length, sample_format: "f32le" };
  const start = { ...form, prior: $("prior").value, source: nameOf(file.name), ...voice.fields };
  listening.isWanted = true;
  buttons();
  listening.link = new Link(start, (link) => sendAll(link, channels, audio.sampleRate),
    (line, text) => take(line, text, () => null),
    (code, reason) => {
      listening.isWanted = false;
      buttons();
      if (code === 1000) { status("idle", "recording heard"); return; }
      status("bad", "stopped");
      problem(`The server stopped: ${reason || "it is away"}`);
    });
}

async function sendAll(link, channels, rate) {
  const total = channels[0].length;
  const size = Math.round(rate / 10);
  for (let at = 0; at < total && link.isOpen && !link.isEnding; at += size) {
    const count = Math.min(size, total - at);
    const block = new Float32Array(count * channels.length);
    channels.forEach((channel, index) => {
      for (let i = 0; i < count; i++) block[i * channels.length + index] = channel[at + i];
    });
    link.send(block.buffer);
    status("busy", `hearing, ${Math.round(100 * at / total)} %`);
    while (link.isOpen && link.unsent > 4 * rate) await new Promise((resume) => setTimeout(resume, 20));
  }
  link.end();
}
