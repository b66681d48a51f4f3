// Colours and letters of labels, on dark and on light.

import { NOTHING } from "./decision.js";
import { server } from "./state.js";

export const isDark = matchMedia("(prefers-color-scheme: dark)");

export function colourOf(code) {
  const look = server.looks.get(code);
  return look ? (isDark.matches ? look.colour : look.on_paper) : "transparent";
}

export function inkOn(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b > 115 ? "#14181d" : "#fefefe";
}

// A darker shade, since thin lines of a light colour are invisible on white.
export function darker(colour) {
  const parts = [1, 3, 5].map((at) => Math.round(0.75 * parseInt(colour.slice(at, at + 2), 16)));
  return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

export function paint(element, code) {
  const look = server.looks.get(code);
  const colour = colourOf(code);
  element.textContent = look && code !== NOTHING ? look.letter : "";
  element.style.backgroundColor = colour;
  element.style.color = colour.startsWith("#") ? inkOn(colour) : "";
}
