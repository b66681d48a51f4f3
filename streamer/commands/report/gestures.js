
// Moves the view by wheel, drag, pinch, keys and buttons; then sets up the page.
const sessions = document.getElementById("sessions");
const pointers = new Map();
const CLICK_PIXELS = 5;
let held = null;

function isHeld() {
  return pointers.size > 0;
}

function stripOf(event) {
  return strips.find(({ canvas }) => canvas === event.target);
}

// x in the canvas, or null over the names of the rows.
function xIn(strip, event) {
  const x = event.clientX - strip.canvas.getBoundingClientRect().left;
  return x >= view.left && x <= view.left + view.width ? x : null;
}

// Remembers the times under the fingers, which must stay there.
function hold() {
  const xs = [...pointers.values()].map(({ x }) => x).slice(0, 2);
  held = { xs, times: xs.map(timeAt), start: view.start, length: view.length };
}

function wheeled(event) {
  const strip = stripOf(event);
  const x = strip ? xIn(strip, event) : null;
  if (x === null) return;
  const isAcross = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
  // The whole axis is visible, so there is nothing to move or zoom out of: let the page scroll.
  if (isWhole() && !event.ctrlKey && (isAcross || event.deltaY > 0)) return;
  event.preventDefault();
  const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
  const across = pixels * (event.deltaX || event.deltaY);
  if (isAcross) look(view.start + view.length * across / view.width, view.length);
  else zoom(2 ** (pixels * event.deltaY / (event.ctrlKey ? 60 : 240)), x);  // ctrl: a pinch on a touchpad
  hide();
}

function pressed(event) {
  const strip = stripOf(event);
  const x = strip && event.button === 0 ? xIn(strip, event) : null;
  if (x === null) return;
  pointers.set(event.pointerId, { x, strip, from: x, isDragged: false });
  event.target.setPointerCapture(event.pointerId);
  hold();
}

function moved(event) {
  const pointer = pointers.get(event.pointerId);
  if (!pointer) {
    const strip = stripOf(event);
    if (strip && event.pointerType === "mouse") tell(strip, event.clientX, event.clientY);
    return;
  }
  pointer.x = event.clientX - pointer.strip.canvas.getBoundingClientRect().left;
  pointer.isDragged ||= Math.abs(pointer.x - pointer.from) > CLICK_PIXELS || pointers.size > 1;
  if (!pointer.isDragged) return;
  hide();
  const xs = [...pointers.values()].map(({ x }) => x).slice(0, 2);
  if (xs.length === 1) {
    look(held.start - held.length * (xs[0] - held.xs[0]) / view.width, held.length);
  } else if (Math.abs(xs[1] - xs[0]) > 1) {
    const perPixel = Math.abs((held.times[1] - held.times[0]) / (xs[1] - xs[0]));
    const length = Math.min(view.span, perPixel * view.width);
    look(held.times[0] - length * (xs[0] - view.left) / view.width, length);
  }
}

function released(event) {
  const pointer = pointers.get(event.pointerId);
  if (!pointer) return;
  pointers.delete(event.pointerId);
  if (pointers.size) hold();
  if (event.type === "pointercancel" || pointer.isDragged) return;
  seek(pointer.strip, timeAt(pointer.x));
  if (event.pointerType !== "mouse") tell(pointer.strip, event.clientX, event.clientY);
}

const KEYS = {
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  ArrowLeft: () => look(view.start - 0.2 * view.length, view.length),
  ArrowRight: () => look(view.start + 0.2 * view.length, view.length),
  0: () => look(0, view.span),
  Escape: () => look(0, view.span),
};

function typed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("audio")) return;
  if (event.key === " " && !event.target.closest("button") && togglePlayer()) return event.preventDefault();
  if (!Object.hasOwn(KEYS, event.key)) return;
  KEYS[event.key]();
  hide();
  event.preventDefault();
}

function line(kind) {
  const made = document.createElement("div");
  made.className = kind;
  made.hidden = true;
  return made;
}

async function begin() {
  const { sessions: packed } = JSON.parse(document.getElementById("data").textContent);
  const found = await Promise.all(packed.map(loaded));
  view.span = view.length = Math.max(...found.map(({ duration }) => duration));
  for (const [index, session] of found.entries()) {
    const section = sessions.children[index];
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `labels and probabilities of ${session.title} over time`);
    const strip = { session, canvas, audio: section.querySelector("audio"), pointer: line("pointer"), cursor: line("cursor") };
    const place = section.querySelector(".strip");
    place.append(canvas, strip.pointer, strip.cursor);
    place.hidden = false;
    strips.push(strip);
    wireSound(strip);
  }
  document.getElementById("overview").hidden = true;
  for (const id of ["bar", "help"]) document.getElementById(id).hidden = false;
  sessions.addEventListener("wheel", wheeled, { passive: false });
  sessions.addEventListener("pointerdown", pressed);
  sessions.addEventListener("pointermove", moved);
  sessions.addEventListener("pointerup", released);
  sessions.addEventListener("pointercancel", released);
  // A lifted finger must not hide the details that it showed.
  sessions.addEventListener("pointerout", (event) => event.pointerType === "mouse" && hide());
  document.addEventListener("pointerdown", hide);
  sessions.addEventListener("dblclick", (event) => stripOf(event) && look(0, view.span));
  document.addEventListener("keydown", typed);
  document.getElementById("zoom-in").addEventListener("click", () => zoom(0.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(2));
  document.getElementById("zoom-all").addEventListener("click", () => look(0, view.span));
  addEventListener("scroll", () => { hide(); redraw(); }, { passive: true });
  new ResizeObserver(redraw).observe(bar);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readPalette(); redraw(); });
  readPalette();
  draw();
}

// A browser that cannot unpack the numbers keeps the static picture.
if ("DecompressionStream" in window) begin();
