// The timeline: probabilities and labels of the last moments.

import { NOTHING, TIMESTEP_S } from "./decision.js";
import { colourOf, darker, inkOn, isDark } from "./looks.js";
import { $, say } from "./messages.js";
import { heard, server } from "./state.js";

export function drawTimeline() {
  const canvas = $("timeline");
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const style = getComputedStyle(document.documentElement);
  const [faint, track, ink] = ["--faint", "--track", "--ink"].map((name) => style.getPropertyValue(name).trim());
  const shown_s = width < 500 ? 30 : 60;
  const shown = Math.round(shown_s / TIMESTEP_S);
  say("span", `the last ${shown_s} s`);
  const first = Math.max(0, heard.steps.length - shown);
  const count = heard.steps.length - first;
  const xOf = (step) => width * (step - first + shown - count) / shown;
  const ribbon = 26, axis = 16, lane = height - ribbon - axis - 6;
  pen.fillStyle = track;
  pen.fillRect(0, 0, width, lane);
  pen.fillRect(0, lane + 6, width, ribbon);
  if (server.info) drawLane(pen, first, count, xOf, lane);
  drawRibbon(pen, first, count, xOf, lane + 6, ribbon);
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = faint;
  for (let ago = 0; ago <= shown_s; ago += 10) {
    const x = width * (1 - ago / shown_s);
    pen.textAlign = ago === 0 ? "right" : ago === shown_s ? "left" : "center";
    pen.fillText(ago ? `−${ago} s` : "now", x, height - 3);
  }
  pen.fillStyle = ink;
  for (const { step } of heard.marks) {
    if (step < first) continue;
    const x = xOf(step);
    pen.beginPath();
    pen.moveTo(x - 5, 0); pen.lineTo(x + 5, 0); pen.lineTo(x, 8);
    pen.fill();
    pen.fillRect(x - 0.5, 0, 1, lane + 6 + ribbon);
  }
}

// Draws each emotion's probability over time, where there was speech.
function drawLane(pen, first, count, xOf, height) {
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  server.info.labels.forEach((_, index) => {
    pen.strokeStyle = isDark.matches ? colourOf(index) : darker(colourOf(index));
    pen.beginPath();
    let isDown = false;
    for (let step = first; step < first + count; step++) {
      const { shares } = heard.steps[step];
      if (shares) {
        const y = height - 2 - shares[index] * (height - 6);
        if (isDown) pen.lineTo(xOf(step + 1), y); else pen.moveTo(xOf(step + 1), y);
      }
      isDown = Boolean(shares);
    }
    pen.stroke();
  });
}

// Draws the labels; each stretch has its colour, and its letter if there is room.
function drawRibbon(pen, first, count, xOf, top, height) {
  pen.font = "600 13px system-ui, sans-serif";
  pen.textAlign = "center";
  let from = first;
  for (let step = first; step <= first + count; step++) {
    if (step < first + count && heard.steps[step].code === heard.steps[from].code) continue;
    if (step === from) continue;
    const { code } = heard.steps[from];
    const [x, until] = [xOf(from), xOf(step)];
    if (code !== NOTHING) {
      const colour = colourOf(code);
      pen.fillStyle = colour;
      pen.fillRect(x, top, until - x, height);
      if (until - x > 13) {
        pen.fillStyle = inkOn(colour);
        pen.fillText(server.looks.get(code).letter, (x + until) / 2, top + height / 2 + 5);
      }
    }
    from = step;
  }
}
