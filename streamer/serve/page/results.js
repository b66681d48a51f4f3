// The server's lines, as they come in.

import { buttons } from "./controls.js";
import { NOTHING, decisive } from "./decision.js";
import { draw, facts } from "./drawing.js";
import { paint } from "./looks.js";
import { $, clockOf, problem, say } from "./messages.js";
import { heard, keep, server } from "./state.js";

const MOST_STEPS = 3000; // twice what the timeline shows
const MIXED_BELOW = 0.1; // as in streamer/formats/lines.py

// Takes a line; `late` returns how long ago its moment was captured, in ms.
export function take(line, text, late) {
  if (line.type === "note") { problem(line.message); return; }
  if (line.type === "session") {
    if (heard.sessions++) for (let i = 0; i < 25; i++) heard.steps.push({ code: NOTHING, shares: null });
    heard.session = line;
    heard.time = 0; // nothing can be marked yet
    heard.averages = null;
    heard.marks = heard.marks.filter((mark) => mark.step < heard.steps.length);
    keep(text);
    facts();
    buttons();
    return;
  }
  keep(text);
  if (line.type === "gap") heard.gaps++;
  if (line.type === "end") { over(line); return; }
  if (line.type !== "estimate") return;
  const code = server.codes.get(line.label) ?? NOTHING;
  const { averages, shares } = decisive(line.probabilities, server.info.labels, code, heard.averages);
  heard.averages = averages;
  heard.steps.push({ code, shares });
  if (heard.steps.length > MOST_STEPS) {
    const gone = heard.steps.length - MOST_STEPS / 2;
    heard.steps.splice(0, gone);
    heard.marks = heard.marks.map((mark) => ({ ...mark, step: mark.step - gone })).filter((mark) => mark.step >= 0);
  }
  heard.time = line.time;
  heard.speech = line.speech;
  const late_ms = late(line);
  if (late_ms !== null) heard.late.push(late_ms);
  if (heard.late.length > 250) heard.late.shift();
  if (line.label !== heard.label) {
    heard.label = line.label;
    say("announce", line.label);
    $("timeline").setAttribute("aria-label", `Timeline; at ${clockOf(line.time)}: ${line.label}`);
  }
  draw();
}

function over(line) {
  const speech = 1 - (line.summary.silence || 0);
  const share = line.probabilities[line.overall];
  const others = server.info.labels.filter((label) => label !== line.overall && line.summary[label] > 0);
  const next = others.sort((one, other) => line.probabilities[other] - line.probabilities[one])[0];
  const isMixed = next !== undefined && share - line.probabilities[next] < MIXED_BELOW;
  const likely = `overall, ${Math.round(100 * share)} % likely`;
  const verdict = isMixed ? `mixed overall, ${line.overall} and ${next}` : likely;
  const spoken = `speech ${Math.round(100 * speech)} % of ${clockOf(line.duration)}`;
  heard.verdict = share === undefined ? "no speech overall" : `${verdict}; ${spoken}`;
  say("announce", heard.verdict);
  heard.label = "";
  heard.final = share === undefined ? null : server.info.labels.map((label) => line.probabilities[label]);
  heard.overall = server.codes.get(line.overall);
  paint($("chip"), server.codes.get(line.overall));
  say("word", line.overall);
  say("sure", heard.verdict);
  say("late", "");
  draw();
}
