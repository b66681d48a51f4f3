
"use strict";
// Tells what the column under the pointer was; the data are those of html.py.
const panels = JSON.parse(document.getElementById("panels").textContent);
const svg = document.querySelector("svg");
const told = document.getElementById("told");
const cursor = svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
cursor.setAttribute("stroke", "#1b2127");

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;  // names are text, whatever is in them
  return made;
}

function row([name, letter, colour, ink], percent) {
  const made = document.createElement("div");
  const sign = element("b", letter);
  sign.style.background = colour;
  sign.style.color = ink;
  made.append(sign, element("span", name), element("i", `${percent}%`));
  return made;
}

function lines(panel, column) {
  const { times, looks, shares, probabilities, speech } = panel;
  const seen = looks.map((look, index) => [look, shares[column][index]]).filter(([, share]) => share);
  const likely = probabilities[column].map((percent, index) => [looks[index], percent]);
  const isHeard = likely.every(([, percent]) => percent !== null);
  return [
    element("p", `${times[column]}–${times[column + 1]}`),
    element("p", seen.length ? "label" : "no estimate"),
    ...seen.sort((one, other) => other[1] - one[1]).map((pair) => row(...pair)),
    ...(isHeard ? [element("p", "probability"), ...likely.map((pair) => row(...pair))] : []),
    ...(speech[column] === null ? [] : [element("p", `speech ${speech[column]}%`)]),
  ];
}

function hide() {
  told.hidden = true;
  cursor.setAttribute("d", "");
}

function tell(event) {
  const { x, y } = new DOMPoint(event.clientX, event.clientY)
    .matrixTransform(svg.getScreenCTM().inverse());
  const panel = panels.find(({ edges, top, bottom }) =>
    edges[0] <= x && x < edges[edges.length - 1] && top <= y && y <= bottom);
  if (!panel) return hide();
  const column = panel.edges.findIndex((edge) => edge > x) - 1;
  cursor.setAttribute("d", `M${x} ${panel.top}V${panel.bottom}`);
  told.replaceChildren(...lines(panel, column));
  told.hidden = false;
  const isRight = event.clientX + told.offsetWidth + 24 > innerWidth;
  told.style.left = `${event.clientX + (isRight ? -told.offsetWidth - 12 : 12)}px`;
  told.style.top = `${Math.max(0, Math.min(event.clientY + 12, innerHeight - told.offsetHeight))}px`;
}

svg.addEventListener("pointermove", tell);
svg.addEventListener("pointerdown", tell);
svg.addEventListener("pointerleave", hide);
