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
  const end = own.at(-1).type === "end" ? Math.max(own.at(-1).duration, runs.at(-1)?.end ?? 0) : runs.at(-1)?.end ?? TIMESTEP_S;
  if (!runs.length || end > runs.at(-1).end) runs.push({ start: runs.at(-1)?.end ?? 0, end, label: "" });
  const marks = own.filter((line) => line.type === "mark");
  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  const tier = (number, kind, name, size, items) => [`    item [${number}]:`, `        class = "${kind}"`, `        name = "${name}"`, "        xmin = 0", `        xmax = ${end}`, `        ${size}`, ...items];
  return ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", `xmax = ${end}`, "tiers? <exists>", "size = 2", "item []:",
    ...tier(1, "IntervalTier", "label", `intervals: size = ${runs.length}`, runs.flatMap((run, index) => [`        intervals [${index + 1}]:`, `            xmin = ${run.start}`, `            xmax = ${run.end}`, `            text = ${quoted(run.label)}`])),
    ...tier(2, "TextTier", "mark", `points: size = ${marks.length}`, marks.flatMap((one, index) => [`        points [${index + 1}]:`, `            number = ${one.time}`, '            mark = "mark"'])),
    ""].join("\n");
}

export function saveLines() { save(`ser-live-${stamp()}.jsonl`, everything()); }

export async function saveTextGrid() { save(`ser-live-${stamp()}.TextGrid`, await textGrid()); }
