
// The visible part of the axis, which all sessions share, and the conversion of time to x.
const LEAST_VIEW_S = 0.4;
const TICKS_S = [
  0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30,
  60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
];
const view = { span: 1, start: 0, length: 1, left: 0, width: 1 };

function xOf(time) {
  return view.left + view.width * (time - view.start) / view.length;
}

function timeAt(x) {
  return view.start + view.length * (x - view.left) / view.width;
}

function look(start, length) {
  view.length = Math.min(view.span, Math.max(Math.min(LEAST_VIEW_S, view.span), length));
  view.start = Math.min(view.span - view.length, Math.max(0, start));
  redraw();
}

// Zooms; the moment at x stays in place.
function zoom(factor, x = view.left + view.width / 2) {
  const share = Math.min(1, Math.max(0, (x - view.left) / view.width));
  const time = view.start + share * view.length;
  const length = Math.min(view.span, Math.max(Math.min(LEAST_VIEW_S, view.span), view.length * factor));
  look(time - share * length, length);
}

function isWhole() {
  return view.length >= view.span * (1 - 1e-9);
}

// As in axis.py: seconds, m:ss or h:mm:ss.
function clock(time, decimals) {
  const scale = 10 ** decimals;
  const rounded = Math.round(time * scale) / scale;
  if (view.span < 60) return String(rounded);
  const pad = (number, digits) => number.toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  const minutes = Math.floor(rounded / 60);
  const seconds = pad(rounded - 60 * minutes, decimals);
  if (view.span < 3600) return `${minutes}:${seconds}`;
  return `${Math.floor(minutes / 60)}:${pad(minutes % 60, 0)}:${seconds}`;
}

function tickStep(least) {
  return TICKS_S.find((step) => step >= least) ?? Math.ceil(least / 86400) * 86400;
}

function decimalsFor(step) {
  return step >= 1 ? 0 : step >= 0.1 ? 1 : 2;
}

function ticks() {
  const step = tickStep(view.length / Math.max(2, Math.floor(view.width / (view.width < 500 ? 60 : 80))));
  const first = Math.ceil(view.start / step - 1e-9);
  const last = Math.floor((view.start + view.length) / step + 1e-9);
  const moments = Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
  return { moments, decimals: decimalsFor(step) };
}

// Rounds to the edge of a screen pixel, so that neighbours meet without a seam.
function whole(x) {
  const ratio = devicePixelRatio || 1;
  return Math.round(x * ratio) / ratio;
}

// Columns with their cells: each is a pixel wide, or a cell if that is wider.
function columns(step, cells) {
  const found = [];
  const pixel = view.length / view.width;
  const first = Math.max(0, Math.floor(view.start / step));
  if (step >= pixel) {
    const end = Math.min(cells, Math.ceil((view.start + view.length) / step));
    for (let cell = first; cell < end; cell += 1) {
      const x = Math.max(view.left, whole(xOf(cell * step)));
      const after = Math.min(view.left + view.width, whole(xOf((cell + 1) * step)));
      if (after > x) found.push({ x, width: after - x, from: cell, to: cell + 1 });
    }
    return found;
  }
  // Pixels keep their cells while the view moves by whole pixels, so nothing flickers.
  const origin = Math.floor(view.start / pixel);
  for (let index = 0; index < view.width; index += 1) {
    const from = Math.floor((origin + index) * pixel / step + 1e-6);
    const to = Math.min(cells, Math.floor((origin + index + 1) * pixel / step + 1e-6));
    if (from >= cells) break;
    if (to > from) found.push({ x: view.left + index, width: 1, from, to });
  }
  return found;
}
