
// Draws each session into its own canvas, and the axis above them.
const STATES = ["--uncertain", "--warming-up", "--silence", "--gap"];  // in the order of overview.py
const GAP = 3;
const NARROW = 600;
const bar = document.getElementById("bar");
const axis = document.getElementById("axis");
const strips = [];
let palette = {};

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const names = ["--paper", "--ink", "--faint", "--rule", "--track", "--wave", ...STATES];
  palette = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name).trim()]));
}

function colourOf(session, index) {
  return index < session.emotions ? session.looks[index][2] : palette[STATES[index - session.emotions]];
}

function inkOn(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > 115 ? "#14181d" : "#fefefe";
}

function rowsOf(session, isNarrow) {
  const isAlone = strips.length === 1;
  const heights = { wave: isAlone ? 56 : 40, label: isAlone ? 40 : 28, lane: isAlone || isNarrow ? 26 : 18, strip: 14 };
  const kinds = [
    ...(session.levels ? ["wave"] : []),
    "label",
    ...(session.isHeard ? session.probabilities.map(() => "lane") : []),
    "speech",
    ...(session.lossy || session.marks.length ? ["strip"] : []),
  ];
  let top = 0;
  return kinds.map((kind, number) => {
    const index = kind === "lane" ? number - kinds.indexOf("lane") : null;
    const row = { kind, index, top, height: heights[kind] ?? heights.lane };
    top += row.height + 6;
    return row;
  });
}

function prepared(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== down) {
    Object.assign(canvas, { width: across, height: down });
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '11px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif';
  pen.textBaseline = "middle";
  return pen;
}

function drawSign(pen, letter, colour, x, y) {
  pen.fillStyle = colour;
  pen.fillRect(x, y - 7, 14, 14);
  drawLetter(pen, letter, colour, x + 7, y + 0.5);
}

function drawLetter(pen, letter, colour, x, y) {
  const font = pen.font;
  pen.font = `bold ${font}`;
  pen.fillStyle = inkOn(colour);
  pen.textAlign = "center";
  pen.fillText(letter, x, y);
  pen.textAlign = "start";
  pen.font = font;
}

function drawName(pen, session, row, isNarrow) {
  const y = row.top + row.height / 2;
  const words = { wave: "sound", label: "label", speech: "speech", strip: session.lossy ? "gaps" : "marks" };
  if (row.kind === "strip" && session.lossy && session.marks.length) words.strip = isNarrow ? "events" : "gaps, marks";
  pen.fillStyle = palette["--ink"];
  if (row.kind !== "lane") return pen.fillText(words[row.kind], 0, y, view.left - 4);
  const name = session.looks[row.index][0];
  drawSign(pen, session.looks[row.index][1], colourOf(session, row.index), 0, y);
  pen.fillStyle = palette["--ink"];
  if (!isNarrow) pen.fillText(name, 20, y, view.left - 26);
}

function drawWave(pen, session, row) {
  const { wave, levels } = session;
  const pixel = view.length / view.width;
  const fineness = Math.max(0, Math.min(levels.length - 1, Math.floor(Math.log2(pixel / wave.step))));
  const [low, high] = levels[fineness];
  const [middle, scale] = [row.top + row.height / 2, row.height / 254];
  pen.fillStyle = palette["--wave"];
  for (const { x, width, from, to } of columns(wave.step * 2 ** fineness, low.length)) {
    let [lowest, highest] = [low[from], high[from]];
    for (let cell = from + 1; cell < to; cell += 1) {
      lowest = Math.min(lowest, low[cell]);
      highest = Math.max(highest, high[cell]);
    }
    const [top, bottom] = [Math.min(-0.4, -highest * scale), Math.max(0.4, -lowest * scale)];
    pen.fillRect(x, middle + top, width, bottom - top);
  }
}

function drawLabels(pen, session, row, seen) {
  const { counts } = session;
  let run = null;
  const endRun = () => {
    if (run && run.end - run.x >= 14 && run.index >= 0) {
      const [x, y] = [(run.x + run.end) / 2, row.top + row.height / 2];
      drawLetter(pen, session.looks[run.index][1], colourOf(session, run.index), x, y);
    }
  };
  for (const { x, width, from, to } of seen) {
    let [bottom, clear] = [row.top + row.height, -1];
    for (let index = 0; index < counts.length; index += 1) {
      const share = (counts[index][to] - counts[index][from]) / (to - from);
      if (!share) continue;
      if (share >= 0.8) clear = index;
      pen.fillStyle = colourOf(session, index);
      pen.fillRect(x, bottom -= share * row.height, width, share * row.height);
    }
    if (run?.index !== clear) {
      endRun();
      run = { index: clear, x };
    }
    run.end = x + width;
  }
  endRun();
}

function drawLane(pen, session, row, seen) {
  const isSpeech = row.kind === "speech";
  const values = isSpeech ? session.speech : session.probabilities[row.index];
  const colour = isSpeech ? palette["--faint"] : colourOf(session, row.index);
  const end = Math.min(view.left + view.width, xOf(session.duration));
  const [bottom, scale] = [row.top + row.height, row.height / 100];
  pen.fillStyle = palette["--track"];
  if (end > view.left) pen.fillRect(view.left, row.top, end - view.left, row.height);
  for (const { x, width, from, to } of seen) {
    const height = scale * mean(values, from, to);
    if (!(height > 0)) continue;
    pen.fillStyle = colour;
    pen.fillRect(x, bottom - height, width, height);
    if (isSpeech) continue;
    pen.fillStyle = session.looks[row.index][3];  // a darker edge makes light areas visible
    pen.fillRect(x, bottom - height, width, 1);
  }
}

function drawStrip(pen, session, row, seen) {
  pen.fillStyle = palette[STATES[GAP]];
  for (const { x, width, from, to } of seen) {
    if (session.losses[to] > session.losses[from]) pen.fillRect(x, row.top + 2, Math.max(2, width), row.height - 4);
  }
  pen.fillStyle = palette["--ink"];
  for (const time of session.marks) {
    const x = xOf(time);
    if (x < view.left || x > view.left + view.width) continue;
    pen.fillRect(x - 0.4, 0, 0.8, row.top + 2);
    pen.fill(new Path2D(`M${x} ${row.top + 2}l5 10h-10z`));
  }
}

const DRAWN = { wave: drawWave, label: drawLabels, lane: drawLane, speech: drawLane, strip: drawStrip };

function drawSession(strip, width, moments) {
  const { session, canvas } = strip;
  const isNarrow = width < NARROW;
  const rows = rowsOf(session, isNarrow);
  const height = rows.at(-1).top + rows.at(-1).height;
  strip.height = height;
  const pen = prepared(canvas, width, height);
  pen.fillStyle = palette["--rule"];
  for (const time of moments) pen.fillRect(xOf(time) - 0.3, 0, 0.6, height);
  const seen = columns(session.step, session.cells);
  for (const row of rows) {
    DRAWN[row.kind](pen, session, row, seen);
    drawName(pen, session, row, isNarrow);
  }
}

function drawAxis(width, { moments, decimals }) {
  const pen = prepared(axis, width, 24);
  pen.fillStyle = palette["--ink"];
  pen.textAlign = "center";
  for (const time of moments) {
    pen.fillRect(xOf(time) - 0.5, 18, 1, 6);
    const said = clock(time, decimals);
    const half = pen.measureText(said).width / 2;
    pen.fillText(said, Math.min(width - half, Math.max(half, xOf(time))), 9);
  }
  pen.fillStyle = palette["--rule"];
  pen.fillRect(view.left, 22, view.width, 2);
  pen.fillStyle = palette["--ink"];
  const thumb = Math.max(6, view.width * view.length / view.span);
  const room = Math.max(1e-9, view.span - view.length);
  pen.fillRect(view.left + (view.width - thumb) * (isWhole() ? 0 : view.start / room), 22, thumb, 2);
}

function draw() {
  const width = bar.clientWidth;
  if (!width) return;
  view.left = width < NARROW ? 46 : 112;
  view.width = width - view.left;
  const seen = ticks();
  drawAxis(width, seen);
  for (const strip of strips) {
    const { top, bottom } = strip.canvas.getBoundingClientRect();
    // Draw only sessions that are visible, or whose height is not known yet.
    if (!strip.height || (bottom > -200 && top < innerHeight + 200)) drawSession(strip, width, seen.moments);
  }
  const decimals = decimalsFor(view.length / 50);
  const unit = view.span < 60 ? " s" : "";
  document.getElementById("range").textContent = isWhole()
    ? `all of ${clock(view.span, 0)}${unit}`
    : `${clock(view.start, decimals)}–${clock(view.start + view.length, decimals)}${unit}`;
  placeCursors();
}

let isOwed = false;
function redraw() {
  if (isOwed) return;
  isOwed = true;
  requestAnimationFrame(() => {
    isOwed = false;
    draw();
  });
}
