// The page of ser-live serve: sends a microphone or a recording to /v1/stream and shows the results. This
// file meets the server and answers to buttons and keys; the others have an errand each.

import { buttons } from "./controls.js";
import { build, draw, facts } from "./drawing.js";
import { isDark } from "./looks.js";
import { $, clockOf, problem, say, status } from "./messages.js";
import { devices, listen, stop } from "./microphone.js";
import { beginProfile, loadProfile } from "./profile.js";
import { hearFile } from "./recording.js";
import { saveLines, saveTextGrid } from "./saving.js";
import { forget, heard, keep, listening, server, voice } from "./state.js";

// ---------------------------------------------------------------- the server

const authorised = () => (server.token ? { headers: { Authorization: `Bearer ${server.token}` } } : {});

async function meet() {
  let answer;
  try {
    answer = await fetch("/v1/info", authorised());
  } catch {
    status("bad", "server away");
    problem("The server does not answer. Is ser-live serve still running? Trying again.");
    setTimeout(meet, 2000);
    return;
  }
  if (answer.status === 401) {
    status("bad", "needs a token");
    if (server.token) problem("The server does not know this token.");
    $("token-form").hidden = false;
    $("token").focus();
    return;
  }
  if (!answer.ok) {
    status("bad", "refused");
    problem((await answer.json()).message);
    return;
  }
  server.info = await answer.json();
  if ($("token-form").hidden === false || $("status").dataset.state === "bad") status("idle", "not listening");
  problem("");
  $("token-form").hidden = true;
  server.looks = new Map(server.info.looks.map((look) => [look.code, look]));
  server.codes = new Map(server.info.looks.map((look) => [look.name, look.code]));
  build();
  facts();
  buttons();
  draw();
}

// ---------------------------------------------------------------- user actions

function toggle() { if (listening.isWanted) stop(); else { if (heard.lines.length) forget(); listen(); } }

function mark() {
  if (!listening.isWanted || !heard.time) return;
  heard.marks.push({ step: heard.steps.length, time: heard.time });
  keep(JSON.stringify({ type: "mark", time: Number(heard.time.toFixed(6)) }));
  say("announce", `marked at ${clockOf(heard.time)}`);
  draw();
}

function makeProfile() {
  if (!server.info || listening.isWanted) return;
  beginProfile();
  listen();
}

// Gives the file that was chosen in an input away, so that the same file can be chosen again.
function taken(input, use) {
  const [file] = $(input).files;
  if (file) use(file);
  $(input).value = "";
}

const KEYS = { l: toggle, m: mark, o: () => { if (!$("open").disabled) $("file").click(); } };
addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const action = KEYS[event.key.toLowerCase()];
  if (action) { event.preventDefault(); action(); }
});
$("listen").onclick = toggle;
$("mark").onclick = mark;
$("open").onclick = () => $("file").click();
$("file").onchange = () => taken("file", hearFile);
$("voice-load").onclick = () => $("voice-file").click();
$("voice-file").onchange = () => taken("voice-file", loadProfile);
$("voice-make").onclick = makeProfile;
$("voice-forget").onclick = () => { voice.forget(); buttons(); };
$("save-jsonl").onclick = saveLines;
$("save-textgrid").onclick = saveTextGrid;
$("device").onchange = () => localStorage.setItem("device", $("device").value);
$("prior").onchange = () => localStorage.setItem("prior", $("prior").value);
$("token-form").onsubmit = (event) => {
  event.preventDefault();
  server.token = $("token").value.trim();
  sessionStorage.setItem("token", server.token);
  meet();
};
let dragged = 0;
const drag = (count) => {
  dragged = Math.max(0, count);
  document.body.classList.toggle("dropping", dragged > 0);
};
addEventListener("dragenter", (event) => {
  event.preventDefault();
  drag(dragged + 1);
});
addEventListener("dragleave", () => drag(dragged - 1));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  drag(0);
  if (event.dataTransfer.files[0]) hearFile(event.dataTransfer.files[0]);
});
addEventListener("resize", draw);
isDark.addEventListener("change", draw);
navigator.mediaDevices?.addEventListener("devicechange", devices);

const asked = new URLSearchParams(location.search);
if (asked.has("token")) { // keep it for this tab, and remove it from the address bar
  server.token = asked.get("token");
  sessionStorage.setItem("token", server.token);
  history.replaceState(null, "", location.pathname);
}
buttons();
devices();
meet();
