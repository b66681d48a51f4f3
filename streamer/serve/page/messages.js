// What the page says in words, and its elements by name.

export const $ = (id) => document.getElementById(id);
export const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
export const say = (id, text) => write($(id), text);
export function status(state, text) { $("status").dataset.state = state; say("status-text", text); }
export function problem(text) { say("problem", text); $("problem").hidden = !text; }
export const clockOf = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;
