// What was heard, saved by the browser as JSON lines and as a TextGrid.

import { TIMESTEP_S } from "./decision.js";
import { heard } from "./state.js";

const everything = () => new Blob([...heard.packed, `${heard.lines.join("\n")}\n`]);

export function save(name, part) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([part], { type: "text/plain" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const stamp = () => new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");

// Returns the last session as Praat's TextGrid: a tier of labels and one of marks.
async function textGrid() {
  const lines = (await everything().text()).trimEnd().split("\n").map((line) => JSON.parse(line));
  const own = lines.slice(lines.findLastIndex((line) => line.type === "session"));
  const estimates = own.filter((line) => line.type === "estimate" && !line.channel);
  const runs = [];
  for (const { time, label } of estimates) {
    const run = runs.at(-1);
    if (run && run.label === label) run.end = time;
    else runs.push({ start: run ? run.end : 0, end: time, label });
  }
  const last = own.at(-1), until = runs.at(-1)?.end;
  const end = last.type === "end" ? Math.max(last.duration, until ?? 0) : until ?? TIMESTEP_S;
  if (!runs.length || end > until) runs.push({ start: until ?? 0, end, label: "" });
  const marks = own.filter((line) => line.type === "mark");
  const labelled = runs.map((run) => [`xmin = ${run.start}`, `xmax = ${run.end}`, `text = ${quoted(run.label)}`]);
  const marked = marks.map((one) => [`number = ${one.time}`, 'mark = "mark"']);
  return [
    'File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", `xmax = ${end}`,
    "tiers? <exists>", "size = 2", "item []:",
    ...tier(1, "IntervalTier", "label", "intervals", labelled, end),
    ...tier(2, "TextTier", "mark", "points", marked, end),
    "",
  ].join("\n");
}

const quoted = (text) => `"${text.replaceAll('"', '""')}"`;

// Returns the lines of a tier; each item has fields of its own.
function tier(number, kind, name, items, fields, end) {
  const size = `${items}: size = ${fields.length}`;
  const lines = [`class = "${kind}"`, `name = "${name}"`, "xmin = 0", `xmax = ${end}`, size];
  fields.forEach((own, index) => lines.push(`${items} [${index + 1}]:`, ...own.map((field) => `    ${field}`)));
  return [`    item [${number}]:`, ...lines.map((line) => `        ${line}`)];
}

export function saveLines() { save(`ser-live-${stamp()}.jsonl`, everything()); }

export async function saveTextGrid() { save(`ser-live-${stamp()}.TextGrid`, await textGrid()); }
