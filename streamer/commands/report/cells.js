
"use strict";
// Unpacks the data of cells.py: labels, probabilities, speech and sound of each session.
const LOSS = 0x8000;
const UNKNOWN = 255;

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// Sums over all cells before each cell, so that the sum over any stretch is a difference of two.
function summed(cells, valueOf) {
  const sums = new Uint32Array(cells + 1);
  for (let cell = 0; cell < cells; cell += 1) sums[cell + 1] = sums[cell] + valueOf(cell);
  return sums;
}

function shareSums(changes) {
  const values = new Uint8Array(changes.length);
  let value = 0;
  for (let cell = 0; cell < values.length; cell += 1) values[cell] = value = value + changes[cell] & 255;
  return {
    sums: summed(values.length, (cell) => values[cell] === UNKNOWN ? 0 : values[cell]),
    known: summed(values.length, (cell) => values[cell] === UNKNOWN ? 0 : 1),
  };
}

// Mean over cells in percent; NaN if nothing is known.
function mean({ sums, known }, from, to) {
  return (sums[to] - sums[from]) / (known[to] - known[from]);
}

// Outlines, each half as fine as the previous one.
function outlines(buffer, cells) {
  const levels = [[new Int8Array(buffer, 0, cells), new Int8Array(buffer, cells, cells)]];
  while (levels.at(-1)[0].length > 1) {
    const [low, high] = levels.at(-1);
    const half = Math.ceil(low.length / 2);
    const [lower, higher] = [new Int8Array(half), new Int8Array(half)];
    for (let cell = 0; cell < half; cell += 1) {
      const next = Math.min(2 * cell + 1, low.length - 1);
      lower[cell] = Math.min(low[2 * cell], low[next]);
      higher[cell] = Math.max(high[2 * cell], high[next]);
    }
    levels.push([lower, higher]);
  }
  return levels;
}

async function loaded(session) {
  const { cells, emotions, looks } = session;
  const buffer = await unpacked(session.data);
  const codes = new Uint16Array(buffer, 0, cells);
  const plane = (index) => shareSums(new Uint8Array(buffer, (2 + index) * cells, cells));
  const probabilities = looks.slice(0, emotions).map((_, index) => plane(index));
  return {
    ...session,
    probabilities,
    isHeard: probabilities[0].known[cells] > 0,
    counts: looks.map((_, index) => summed(cells, (cell) => (codes[cell] & ~LOSS) === index ? 1 : 0)),
    losses: summed(cells, (cell) => codes[cell] & LOSS ? 1 : 0),
    speech: plane(emotions),
    levels: session.wave && outlines(await unpacked(session.wave.data), session.wave.cells),
  };
}
