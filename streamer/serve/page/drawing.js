// The label, the bars, the facts and the timeline, drawn once a frame.

import { NOTHING, SILENCE, UNCERTAIN, WARMING_UP } from "./decision.js";
import { colourOf, isDark, paint } from "./looks.js";
import { $, clockOf, say, write } from "./messages.js";
import { heard, server } from "./state.js";
import { drawTimeline } from "./timeline.js";

let isDue = false;
let wasDark = isDark.matches;

// Makes what depends on the model: bars, priors and legend.
export function build() {
  $("bars").replaceChildren(...server.info.labels.map((label, index) => {
    const row = document.createElement("li");
    const parts = ["bar-letter", "bar-name", "bar", "bar-share"].map((className) => {
      const part = document.createElement(className === "bar" ? "div" : "span");
      return Object.assign(part, { className });
    });
    parts[0].setAttribute("aria-hidden", "true");
    parts[1].textContent = label;
    parts[2].append(document.createElement("div"));
    parts[2].setAttribute("aria-hidden", "true");
    parts[3].textContent = "–";
    row.append(...parts);
    row.dataset.code = index;
    return row;
  }));
  $("prior").replaceChildren(...server.info.priors.map((prior) => new Option(prior, prior)));
  const chosen = localStorage.getItem("prior");
  $("prior").value = server.info.priors.includes(chosen) ? chosen : server.info.priors[0];
  $("legend").replaceChildren(...[UNCERTAIN, WARMING_UP, SILENCE].map((code) => {
    const item = document.createElement("li");
    item.append(document.createElement("span"), `${server.looks.get(code).letter} ${server.looks.get(code).name}`);
    item.dataset.code = code;
    return item;
  }));
  colours();
}

function colours() {
  if (!server.info) return;
  for (const row of $("bars").children) {
    paint(row.children[0], Number(row.dataset.code));
    row.children[2].firstChild.style.backgroundColor = colourOf(Number(row.dataset.code));
  }
  for (const item of $("legend").children) item.firstChild.style.backgroundColor = colourOf(Number(item.dataset.code));
  draw();
}

export function draw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => { isDue = false; drawNow(); });
}

function drawNow() {
  if (isDark.matches !== wasDark) {
    wasDark = isDark.matches;
    colours();
  }
  const last = heard.steps.at(-1);
  const code = last ? last.code : NOTHING;
  if (last && heard.label) {
    paint($("chip"), code);
    say("word", server.looks.get(code).name);
    const likely = code >= 0 ? `${Math.round(100 * last.shares[code])} % sure` : "";
    say("sure", likely);
    const late = heard.late.at(-1);
    say("late", late === undefined ? "" : `${Math.round(late)} ms late`);
  }
  say("clock", heard.time ? clockOf(heard.time) : "");
  const shares = heard.label ? last.shares : heard.final; // the verdict's at the end
  say("bars-note", heard.label || !heard.final ? "averaged over the last moments" : "of the whole");
  for (const row of $("bars").children) {
    const index = Number(row.dataset.code);
    const share = shares ? shares[index] : 0;
    row.dataset.current = String(index === (heard.label ? code : heard.overall));
    row.children[2].firstChild.style.width = `${100 * share}%`;
    write(row.children[3], shares ? `${Math.round(100 * share)} %` : "–");
  }
  latencyFact();
  drawTimeline();
}

export function facts() {
  const session = heard.session;
  const pairs = [
    ["model", server.info.model],
    ["late p50/p95", "–"],
    ["look-ahead", `${Math.round((session || server.info).look_ahead_ms)} ms`],
    ["rate", session ? `${session.sample_rate / 1000} kHz` : "–"],
    ["prior", session ? session.prior : $("prior").value],
    ["voice", session?.adaptation ?? "–"],
    ["source", session ? session.source : "–"],
  ];
  $("facts").replaceChildren(...pairs.map(([name, value]) => {
    const pair = document.createElement("div");
    const [term, fact] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    fact.textContent = value;
    if (name.startsWith("late")) fact.id = "late-fact";
    pair.append(term, fact);
    return pair;
  }));
}

function latencyFact() {
  if (!heard.late.length || !$("late-fact")) return;
  const sorted = [...heard.late].sort((a, b) => a - b);
  const at = (share) => Math.round(sorted[Math.floor(share * (sorted.length - 1))]);
  say("late-fact", `${at(0.5)}/${at(0.95)} ms`);
}
