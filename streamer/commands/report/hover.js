
// Shows the details of the moment under the pointer.
const told = document.getElementById("told");

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;  // as text, since names may hold markup
  return made;
}

function row([name, letter], colour, percent) {
  const made = document.createElement("div");
  const sign = element("b", letter);
  sign.style.background = colour;
  sign.style.color = inkOn(colour);
  made.append(sign, element("span", name), element("i", `${percent}%`));
  return made;
}

// The cells of a session in the drawn column at x.
function cellsAt(session, x) {
  return columns(session.step, session.cells).find((one) => one.x <= x && x < one.x + one.width);
}

function lines(session, { from, to }) {
  const { counts, looks, probabilities, speech, step, duration } = session;
  const rows = counts
    .map((sums, index) => [index, Math.round(100 * (sums[to] - sums[from]) / (to - from))])
    .filter(([index]) => counts[index][to] > counts[index][from])
    .sort((one, other) => other[1] - one[1]);
  const likely = probabilities.map((values, index) => [index, Math.round(mean(values, from, to))]);
  const heard = Math.round(mean(speech, from, to));
  const decimals = (to - from) * step < 10 ? 2 : 0;
  const [begins, ends] = [from * step, Math.min(duration, to * step)].map((time) => clock(time, decimals));
  const shown = ([index, percent]) => row(looks[index], colourOf(session, index), percent);
  return [
    element("p", `${begins}–${ends}${view.span < 60 ? " s" : ""}`),
    element("p", rows.length ? "label" : "no estimate"),
    ...rows.map(shown),
    ...(likely.some(([, percent]) => Number.isNaN(percent)) ? [] : [element("p", "probability, not averaged"), ...likely.map(shown)]),
    ...(Number.isNaN(heard) ? [] : [element("p", `speech ${heard}%`)]),
  ];
}

function hide() {
  told.hidden = true;
  for (const { pointer } of strips) pointer.hidden = true;
}

function tell(strip, clientX, clientY) {
  const x = clientX - strip.canvas.getBoundingClientRect().left;
  const cells = cellsAt(strip.session, x);
  if (!cells) return hide();
  for (const { pointer } of strips) {
    pointer.hidden = false;
    pointer.style.left = `${x}px`;
  }
  told.replaceChildren(...lines(strip.session, cells));
  told.hidden = false;
  const isRight = clientX + told.offsetWidth + 24 > innerWidth;
  told.style.left = `${Math.max(0, clientX + (isRight ? -told.offsetWidth - 12 : 12))}px`;
  told.style.top = `${Math.max(0, Math.min(clientY + 12, innerHeight - told.offsetHeight))}px`;
}
