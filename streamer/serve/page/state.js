// What the parts of the page share: the server, the results so far, the stream, the voice.

import { NOTHING } from "./decision.js";
import { Voice } from "./voice.js";

const MOST_LINES = 5000; // kept as text; older lines go into blobs

// `info` is the server's answer to /v1/info, null before it; `looks` are by code, `codes` by name.
export const server = {
  info: null, looks: new Map(), codes: new Map(), token: sessionStorage.getItem("token") || "",
};

export const voice = new Voice();

// The stream of a microphone or of a recording.
export const listening = {
  isWanted: false, attempt: 0, tries: 0, retry: 0, stream: null, context: null, link: null,
  sent: 0, marks: [], silent_s: 0, wasSilent: false, peak: 0, blocks: 0,
};

const unheard = () => ({
  packed: [], lines: [], steps: [], marks: [], averages: null, label: "",
  sessions: 0, time: 0, late: [], gaps: 0, final: null, overall: NOTHING,
});

// Results for the timeline and for saving; they survive reconnections.
export const heard = unheard();

export function forget() { Object.assign(heard, unheard()); }

// Keeps a line for saving, in a form that copes with hours of them.
export function keep(text) {
  heard.lines.push(text);
  if (heard.lines.length <= MOST_LINES) return;
  heard.packed.push(new Blob([heard.lines.splice(0, MOST_LINES / 2).join("\n"), "\n"]));
}
