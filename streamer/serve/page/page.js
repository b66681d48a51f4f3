// The page of ser-live serve: sends a microphone or a recording to /v1/stream and shows the results.

import { Voice } from "/voice.js";

const $ = (id) => document.getElementById(id);
const TIMESTEP_S = 0.04;
const SMOOTHING = 1 - Math.exp(-TIMESTEP_S / 0.3);
const SILENT_S = 1.5;
const RETRY_S = [1, 2, 4, 8, 15];
const MOST_UNSENT_S = 4;
const MOST_STEPS = 3000; // twice what the timeline shows
const MOST_LINES = 5000; // kept as text; older lines go into blobs
const SILENCE = -1, UNCERTAIN = -2, WARMING_UP = -3, GAP = -4, NOTHING = -5;

let info = null;
let looks = new Map(); // by code
let codes = new Map(); // code by name
let token = sessionStorage.getItem("token") || "";
const voice = new Voice();
const isDark = matchMedia("(prefers-color-scheme: dark)");

// Results for the timeline and for saving; they survive reconnections.
const heard = { packed: [], lines: [], steps: [], marks: [], averages: null, label: "", sessions: 0, time: 0, late: [], gaps: 0,
  final: null, overall: NOTHING };

// ---------------------------------------------------------------- messages

const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const say = (id, text) => write($(id), text);
function status(state, text) { $("status").dataset.state = state; say("status-text", text); }
function problem(text) { say("problem", text); $("problem").hidden = !text; }
const clockOf = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;

function colourOf(code) {
  const look = looks.get(code);
  return look ? (isDark.matches ? look.colour : look.on_paper) : "transparent";
}
function inkOn(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b > 115 ? "#14181d" : "#fefefe";
}
// A darker shade, since thin lines of a light colour are invisible on white.
function darker(colour) {
  return `#${[1, 3, 5].map((at) => Math.round(0.75 * parseInt(colour.slice(at, at + 2), 16)).toString(16).padStart(2, "0")).join("")}`;
}
function paint(element, code) {
  const look = looks.get(code);
  const colour = colourOf(code);
  element.textContent = look && code !== NOTHING ? look.letter : "";
  element.style.backgroundColor = colour;
  element.style.color = colour.startsWith("#") ? inkOn(colour) : "";
}

// ---------------------------------------------------------------- the server

const authorised = () => (token ? { headers: { Authorization: `Bearer ${token}` } } : {});

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
    if (token) problem("The server does not know this token.");
    $("token-form").hidden = false;
    $("token").focus();
    return;
  }
  if (!answer.ok) {
    status("bad", "refused");
    problem((await answer.json()).message);
    return;
  }
  info = await answer.json();
  if ($("token-form").hidden === false || $("status").dataset.state === "bad") status("idle", "not listening");
  problem("");
  $("token-form").hidden = true;
  looks = new Map(info.looks.map((look) => [look.code, look]));
  codes = new Map(info.looks.map((look) => [look.name, look.code]));
  build();
  facts();
  buttons();
  draw();
}

// A stream at the server; `onLine` takes each JSON message, `onOver` its end.
class Link {
  constructor(start, onOpen, onLine, onOver) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const query = token ? `?token=${encodeURIComponent(token)}` : "";
    this.error = "";
    this.isEnding = false;
    this.socket = new WebSocket(`${scheme}://${location.host}/v1/stream${query}`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => { this.socket.send(JSON.stringify({ type: "start", ...start })); onOpen(this); };
    this.socket.onmessage = ({ data }) => {
      const line = JSON.parse(data);
      if (line.type === "error") this.error = line.message;
      else onLine(line, data);
    };
    this.socket.onclose = ({ code, reason }) => onOver(this, code, this.error || reason);
  }
  get isOpen() { return this.socket.readyState === WebSocket.OPEN; }
  get unsent() { return this.socket.bufferedAmount; }
  send(buffer) { if (this.isOpen && !this.isEnding) this.socket.send(buffer); }
  end() {
    if (this.isEnding) return;
    this.isEnding = true;
    if (this.isOpen) this.socket.send('{"type":"end"}');
    else this.socket.close();
  }
}

// ---------------------------------------------------------------- the microphone

const listening = { attempt: 0, stream: null, context: null, link: null, isWanted: false, tries: 0, retry: 0,
  sent: 0, marks: [], silent_s: 0, wasSilent: false, peak: 0, blocks: 0 };

const REFUSALS = {
  NotAllowedError: "The microphone was refused. Allow it for this page in the browser's address bar, then press Listen.",
  NotFoundError: "There is no microphone. Plug one in, then press Listen.",
  NotReadableError: "The microphone cannot be opened: another program may hold it.",
  OverconstrainedError: "This microphone is not there any more. Choose another one.",
};

async function listen() {
  if (!info) return;
  if (!navigator.mediaDevices) {
    problem("The browser gives a microphone only to pages from this machine or over https. Start the server with --certfile, or open it as http://localhost.");
    return;
  }
  problem("");
  listening.isWanted = true;
  listening.tries = 0;
  const attempt = ++listening.attempt;
  const isStale = () => attempt !== listening.attempt; // checked after each wait: Stop may have been pressed
  buttons();
  status("busy", "asking for the microphone");
  const wanted = $("device").value;
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: {
      ...(wanted ? { deviceId: { exact: wanted } } : {}),
      echoCancellation: false, noiseSuppression: false, autoGainControl: false,
    } });
  } catch (error) {
    if (isStale()) return;
    stop();
    status("bad", "no microphone");
    problem(REFUSALS[error.name] || `The microphone cannot be opened: ${error.message}`);
    return;
  }
  const drop = () => { for (const one of stream.getTracks()) { one.onended = null; one.stop(); } };
  if (isStale()) { drop(); return; }
  listening.stream = stream;
  const [track] = stream.getAudioTracks();
  track.onended = () => { stop(); status("bad", "microphone lost"); problem("The microphone is gone. Plug it in again or choose another one, then press Listen."); };
  track.onmute = () => problem("The microphone is muted by the system or the browser.");
  track.onunmute = () => problem("");
  let context = null;
  const leave = () => { drop(); if (context && context.state !== "closed") context.close(); };
  try {
    context = new AudioContext({ latencyHint: "interactive" });
    listening.context = context;
    context.onstatechange = () => {
      if (listening.context === context && context.state !== "running" && context.state !== "closed") problem("The browser has paused the microphone. Press Stop, then Listen.");
    };
    await context.audioWorklet.addModule("/capture.js");
    if (isStale()) { leave(); return; }
    const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    capture.port.onmessage = ({ data }) => { if (listening.context === context) captured(data); };
    context.createMediaStreamSource(stream).connect(capture);
    await context.resume();
    if (isStale()) { leave(); return; }
  } catch (error) {
    if (isStale()) { leave(); return; }
    stop();
    status("bad", "no microphone");
    problem(`The browser cannot capture: ${error.message}`);
    return;
  }
  devices();
  connect(track.label);
}

function connect(label) {
  status("busy", "connecting");
  const { sampleRate } = listening.context;
  const start = { sample_rate: sampleRate, channels: 1, sample_format: "s16le", prior: $("prior").value, source: nameOf(label || "microphone"), ...voice.fields };
  listening.sent = 0;
  listening.marks = [];
  listening.link = new Link(start,
    () => { listening.tries = 0; status("on", voice.isWanted ? "making a profile" : "listening"); problem(""); },
    (line, text) => (voice.isWanted ? enrol(line) : take(line, text, lateness)),
    (link, code, reason) => { if (link === listening.link) parted(code, reason, label); });
}

function parted(code, reason, label) {
  listening.link = null;
  if (voice.isWanted) { stop(); notMade(code === 1000 ? "" : `The server stopped: ${reason || "it is away"}. `); return; }
  if (!listening.isWanted) { stop(); return; }
  if (code === 1008 && !/nothing came|may last/.test(reason)) { // trying again will not help
    stop(); status("bad", "refused"); problem(`The server refused: ${reason}`);
    return;
  }
  const wait_s = RETRY_S[Math.min(listening.tries++, RETRY_S.length - 1)];
  status("bad", "reconnecting");
  const why = { 1013: `The server has no room: ${reason}.`, 1001: "The server was shut down." }[code] || `The server is away${reason ? ` (${reason})` : ""}.`;
  problem(`${why} Trying again in ${wait_s} s; what is said meanwhile is not heard.`);
  listening.retry = setTimeout(() => connect(label), 1000 * wait_s);
}

function captured({ buffer, peak }) {
  const { sampleRate } = listening.context;
  const seconds = buffer.byteLength / 2 / sampleRate;
  level(peak);
  listening.silent_s = peak === 0 ? listening.silent_s + seconds : 0;
  if (listening.silent_s > SILENT_S && !listening.wasSilent) {
    listening.wasSilent = true;
    problem("Nothing but digital silence comes from the microphone: is it muted, or is another one meant?");
  } else if (listening.wasSilent && peak > 0) {
    listening.wasSilent = false;
    problem("");
  }
  const { link } = listening;
  if (!link || !link.isOpen) return;
  if (link.unsent > MOST_UNSENT_S * 2 * sampleRate) { // the network is too slow: reconnect, and skip to now
    link.socket.close();
    return;
  }
  link.send(buffer);
  listening.sent += buffer.byteLength / 2;
  listening.marks.push([listening.sent, performance.now()]);
}

// Returns how long ago the moment of an estimate was captured, in ms.
function lateness(line) {
  const position = line.time * listening.context.sampleRate;
  const { marks } = listening;
  while (marks.length > 1 && marks[0][0] < position) marks.shift();
  if (!marks.length) return null;
  return performance.now() - marks[0][1] + Math.max(0, 1000 * (marks[0][0] - position) / listening.context.sampleRate);
}

function stop() {
  listening.isWanted = false;
  listening.attempt++;
  clearTimeout(listening.retry);
  if (listening.stream) for (const track of listening.stream.getTracks()) { track.onended = null; track.stop(); }
  if (listening.context && listening.context.state !== "closed") listening.context.close();
  if (listening.link) listening.link.end();
  listening.stream = null;
  listening.context = listening.link ? listening.context : null;
  if (!listening.link) {
    listening.context = null;
    status("idle", "not listening");
    if (voice.isWanted) notMade("");
  }
  level(0);
  buttons();
}

async function devices() {
  if (!navigator.mediaDevices) return;
  const found = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "audioinput" && one.deviceId);
  const chosen = $("device").value || localStorage.getItem("device") || "";
  const options = found.filter((one) => one.deviceId !== "default").map((one, index) => new Option(one.label || `microphone ${index + 1}`, one.deviceId));
  $("device").replaceChildren(new Option("the default", ""), ...options);
  $("device").value = options.some((one) => one.value === chosen) ? chosen : "";
}

// ---------------------------------------------------------------- a profile of a voice

function makeProfile() {
  if (!info || listening.isWanted) return;
  forget();
  voice.begin();
  paint($("chip"), NOTHING);
  say("word", "talk");
  say("sure", voice.progress(info));
  listen();
}

function enrol(line) {
  if (line.type === "profile") {
    const text = voice.made(line, info);
    if (text) {
      save("my-voice.profile", text);
      say("word", "ready");
      say("sure", "your voice is known from now on; its profile was saved by your browser");
      say("announce", "profile made");
    } else notMade("");
    buttons();
  } else if (line.type === "estimate" && !listening.link?.isEnding) {
    const isEnough = voice.hear(line, info, TIMESTEP_S);
    say("sure", voice.progress(info));
    if (isEnough) stop();
  }
}

function notMade(why) {
  voice.made(null, info);
  say("word", "ready");
  say("sure", "press Listen, or drop a recording here");
  if (why || $("problem").hidden) problem(`${why}No profile was made, and nothing was kept: it takes ${info.enrolment.good_speech_s} s of speech.`);
  buttons();
}

async function loadProfile(file) {
  try {
    await voice.load(file);
    problem("");
  } catch (error) {
    problem(error.message);
  }
  buttons();
}

// ---------------------------------------------------------------- a recording

async function hearFile(file) {
  if (/\.profile$/i.test(file.name) && !listening.isWanted) { loadProfile(file); return; }
  if (!info || listening.isWanted) { if (listening.isWanted) problem("Stop listening first, then open a recording."); return; }
  problem("");
  status("busy", `reading ${file.name}`);
  let audio;
  try {
    audio = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(await file.arrayBuffer());
  } catch {
    status("bad", "not read");
    problem(`The browser cannot decode ${file.name}. ser-live replay reads more formats.`);
    return;
  }
  if (listening.isWanted) return; // Listen was pressed in the meantime
  forget();
  const channels = Array.from({ length: audio.numberOfChannels }, (_, index) => audio.getChannelData(index));
  const start = { sample_rate: audio.sampleRate, channels: channels.length, sample_format: "f32le", prior: $("prior").value, source: nameOf(file.name), ...voice.fields };
  listening.isWanted = true;
  buttons();
  listening.link = new Link(start, (link) => sendAll(link, channels, audio.sampleRate),
    (line, text) => take(line, text, () => null),
    (link, code, reason) => {
      listening.link = null;
      listening.isWanted = false;
      buttons();
      if (code === 1000) { status("idle", "recording heard"); return; }
      status("bad", "stopped");
      problem(`The server stopped: ${reason || "it is away"}`);
    });
}

async function sendAll(link, channels, rate) {
  const total = channels[0].length;
  const size = Math.round(rate / 10);
  for (let at = 0; at < total && link.isOpen && !link.isEnding; at += size) {
    const count = Math.min(size, total - at);
    const block = new Float32Array(count * channels.length);
    channels.forEach((channel, index) => { for (let i = 0; i < count; i++) block[i * channels.length + index] = channel[at + i]; });
    link.send(block.buffer);
    status("busy", `hearing, ${Math.round(100 * at / total)} %`);
    while (link.isOpen && link.unsent > 4 * rate) await new Promise((resume) => setTimeout(resume, 20));
  }
  link.end();
}

const nameOf = (text) => text.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, "").slice(0, 200).trim() || "recording";

// ---------------------------------------------------------------- the server's lines

function forget() {
  Object.assign(heard, { packed: [], lines: [], steps: [], marks: [], averages: null, label: "", sessions: 0, time: 0, late: [], gaps: 0, final: null, overall: NOTHING });
}

// Returns what decided the label, null without speech; as in streamer/recognition/decision.py.
function decisive(line, code) {
  if (code === WARMING_UP) heard.averages = null; // it begins afresh
  if (code < 0 && code !== UNCERTAIN) return null;
  const now = info.labels.map((label) => line.probabilities[label]);
  const before = heard.averages || now;
  heard.averages = now.map((one, index) => before[index] + SMOOTHING * (one - before[index]));
  if (code < 0) return heard.averages;
  // The emotion shown stays until another leads it by a margin; until then both count the same.
  const weights = heard.averages.map((one, index) => (index === code ? Math.max(...heard.averages) : one));
  const total = weights.reduce((sum, one) => sum + one, 0);
  return weights.map((one) => one / total);
}

// Keeps a line for saving, in a form that copes with hours of them.
function keep(text) {
  heard.lines.push(text);
  if (heard.lines.length <= MOST_LINES) return;
  heard.packed.push(new Blob([heard.lines.splice(0, MOST_LINES / 2).join("\n"), "\n"]));
}

function take(line, text, late) {
  if (line.type === "note") { problem(line.message); return; }
  if (line.type === "session") {
    if (heard.sessions++) for (let i = 0; i < 25; i++) heard.steps.push({ code: NOTHING, shares: null });
    heard.session = line;
    heard.averages = null;
    heard.marks = heard.marks.filter((mark) => mark.step < heard.steps.length);
    keep(text);
    facts();
    buttons();
    return;
  }
  keep(text);
  if (line.type === "gap") heard.gaps++;
  if (line.type === "end") { over(line); return; }
  if (line.type !== "estimate") return;
  const code = codes.get(line.label) ?? NOTHING;
  heard.steps.push({ code, shares: decisive(line, code) });
  if (heard.steps.length > MOST_STEPS) {
    const gone = heard.steps.length - MOST_STEPS / 2;
    heard.steps.splice(0, gone);
    heard.marks = heard.marks.map((mark) => ({ ...mark, step: mark.step - gone })).filter((mark) => mark.step >= 0);
  }
  heard.time = line.time;
  heard.speech = line.speech;
  const late_ms = late(line);
  if (late_ms !== null) heard.late.push(late_ms);
  if (heard.late.length > 250) heard.late.shift();
  if (line.label !== heard.label) {
    heard.label = line.label;
    say("announce", line.label);
    $("timeline").setAttribute("aria-label", `Timeline; at ${clockOf(line.time)}: ${line.label}`);
  }
  draw();
}

// As in streamer/formats/lines.py.
const MIXED_BELOW = 0.1;

function over(line) {
  const speech = 1 - (line.summary.silence || 0);
  const share = line.probabilities[line.overall];
  const others = info.labels.filter((label) => label !== line.overall && line.summary[label] > 0);
  const next = others.sort((one, other) => line.probabilities[other] - line.probabilities[one])[0];
  const isMixed = next !== undefined && share - line.probabilities[next] < MIXED_BELOW;
  const verdict = isMixed ? `mixed overall, ${line.overall} and ${next}` : `overall, ${Math.round(100 * share)} % likely`;
  heard.verdict = share === undefined ? "no speech overall" : `${verdict}; speech ${Math.round(100 * speech)} % of ${clockOf(line.duration)}`;
  say("announce", heard.verdict);
  heard.label = "";
  heard.final = share === undefined ? null : info.labels.map((label) => line.probabilities[label]);
  heard.overall = codes.get(line.overall);
  paint($("chip"), codes.get(line.overall));
  say("word", line.overall);
  say("sure", heard.verdict);
  say("late", "");
  draw();
}

// ---------------------------------------------------------------- drawing

function build() {
  $("bars").replaceChildren(...info.labels.map((label, index) => {
    const row = document.createElement("li");
    const parts = ["bar-letter", "bar-name", "bar", "bar-share"].map((name) => Object.assign(document.createElement(name === "bar" ? "div" : "span"), { className: name }));
    parts[0].setAttribute("aria-hidden", "true");
    parts[1].textContent = label;
    parts[2].append(document.createElement("div"));
    parts[2].setAttribute("aria-hidden", "true");
    parts[3].textContent = "–";
    row.append(...parts);
    row.dataset.code = index;
    return row;
  }));
  $("prior").replaceChildren(...info.priors.map((prior) => new Option(prior, prior)));
  $("prior").value = info.priors.includes(localStorage.getItem("prior")) ? localStorage.getItem("prior") : info.priors[0];
  $("legend").replaceChildren(...[UNCERTAIN, WARMING_UP, SILENCE].map((code) => {
    const item = document.createElement("li");
    item.append(document.createElement("span"), `${looks.get(code).letter} ${looks.get(code).name}`);
    item.dataset.code = code;
    return item;
  }));
  colours();
}

function colours() {
  if (!info) return;
  for (const row of $("bars").children) {
    paint(row.children[0], Number(row.dataset.code));
    row.children[2].firstChild.style.backgroundColor = colourOf(Number(row.dataset.code));
  }
  for (const item of $("legend").children) item.firstChild.style.backgroundColor = colourOf(Number(item.dataset.code));
  draw();
}

let isDue = false;
let wasDark = isDark.matches;
function draw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => { isDue = false; drawNow(); });
}

function drawNow() {
  if (isDark.matches !== wasDark) {
    wasDark = isDark.matches;
    colours();
  }
  const last = heard.steps.at(-1);
  const code = last ? last.code : NOTHING;
  if (last && heard.label) {
    paint($("chip"), code);
    say("word", looks.get(code).name);
    const likely = code >= 0 ? `${Math.round(100 * last.shares[code])} % sure` : "";
    say("sure", likely);
    const late = heard.late.at(-1);
    say("late", late === undefined ? "" : `${Math.round(late)} ms late`);
  }
  say("clock", heard.time ? clockOf(heard.time) : "");
  const shares = heard.label ? last.shares : heard.final; // the verdict's at the end
  say("bars-note", heard.label || !heard.final ? "averaged over the last moments" : "of the whole");
  for (const row of $("bars").children) {
    const index = Number(row.dataset.code);
    const share = shares ? shares[index] : 0;
    row.dataset.current = String(index === (heard.label ? code : heard.overall));
    row.children[2].firstChild.style.width = `${100 * share}%`;
    write(row.children[3], shares ? `${Math.round(100 * share)} %` : "–");
  }
  latencyFact();
  drawTimeline();
}

function drawTimeline() {
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
  if (info) drawLane(pen, first, count, xOf, lane);
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
  info.labels.forEach((_, index) => {
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
        pen.fillText(looks.get(code).letter, (x + until) / 2, top + height / 2 + 5);
      }
    }
    from = step;
  }
}

function level(peak) {
  listening.peak = Math.max(peak, listening.peak * 0.9);
  if (++listening.blocks % 5 && peak) return; // ten times a second
  const dbfs = listening.peak > 0.001 ? 20 * Math.log10(listening.peak) : -60;
  const isOn = Boolean(listening.context) && peak > 0;
  $("meter-fill").style.width = isOn ? `${Math.max(0, 100 * (1 + dbfs / 60))}%` : "0";
  $("meter").dataset.level = dbfs > -3 ? "hot" : "fine";
  $("meter").setAttribute("aria-valuenow", Math.round(dbfs));
  $("meter").setAttribute("aria-valuetext", isOn ? `${Math.round(dbfs)} decibels` : "nothing");
  say("meter-text", isOn ? `${Math.round(dbfs)} dBFS${dbfs > -0.5 ? " clips" : ""}` : "–");
  if (!isOn) listening.peak = 0;
}

function facts() {
  const session = heard.session;
  const pairs = [["model", info.model], ["late p50/p95", "–"], ["look-ahead", `${Math.round((session || info).look_ahead_ms)} ms`],
    ["rate", session ? `${session.sample_rate / 1000} kHz` : "–"], ["prior", session ? session.prior : $("prior").value], ["voice", session?.adaptation ?? "–"], ["source", session ? session.source : "–"]];
  $("facts").replaceChildren(...pairs.map(([name, value]) => {
    const pair = document.createElement("div");
    const [term, fact] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    fact.textContent = value;
    if (name.startsWith("late")) fact.id = "late-fact";
    pair.append(term, fact);
    return pair;
  }));
}
function latencyFact() {
  if (!heard.late.length || !$("late-fact")) return;
  const sorted = [...heard.late].sort((a, b) => a - b);
  const at = (share) => Math.round(sorted[Math.floor(share * (sorted.length - 1))]);
  say("late-fact", `${at(0.5)}/${at(0.95)} ms`);
}

// ---------------------------------------------------------------- user actions

function buttons() {
  say("listen-text", listening.isWanted ? "Stop" : "Listen");
  $("mark").disabled = !listening.isWanted;
  $("open").disabled = $("device").disabled = $("prior").disabled = listening.isWanted;
  const knows = info ? info.knows_voices.includes(info.model) : true;
  $("voice-load").disabled = $("voice-make").disabled = listening.isWanted || voice.isWanted || !knows;
  $("voice-forget").disabled = listening.isWanted || !voice.profile;
  say("voice-text", knows ? voice.told : `the model ${info.model} knows no voices: it makes and takes no profile`);
  $("save-jsonl").disabled = $("save-textgrid").disabled = !heard.lines.length;
}

function toggle() { if (listening.isWanted) stop(); else { if (heard.lines.length) forget(); listen(); } }

function mark() {
  if (!listening.isWanted || !heard.time) return;
  heard.marks.push({ step: heard.steps.length, time: heard.time });
  keep(JSON.stringify({ type: "mark", time: Number(heard.time.toFixed(6)) }));
  say("announce", `marked at ${clockOf(heard.time)}`);
  draw();
}

const everything = () => new Blob([...heard.packed, `${heard.lines.join("\n")}\n`]);

function save(name, part) {
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
$("file").onchange = () => { if ($("file").files[0]) hearFile($("file").files[0]); $("file").value = ""; };
$("voice-load").onclick = () => $("voice-file").click();
$("voice-file").onchange = () => { if ($("voice-file").files[0]) loadProfile($("voice-file").files[0]); $("voice-file").value = ""; };
$("voice-make").onclick = makeProfile;
$("voice-forget").onclick = () => { voice.forget(); buttons(); };
$("save-jsonl").onclick = () => save(`ser-live-${stamp()}.jsonl`, everything());
$("save-textgrid").onclick = async () => save(`ser-live-${stamp()}.TextGrid`, await textGrid());
$("device").onchange = () => localStorage.setItem("device", $("device").value);
$("prior").onchange = () => localStorage.setItem("prior", $("prior").value);
$("token-form").onsubmit = (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  sessionStorage.setItem("token", token);
  meet();
};
let dragged = 0;
addEventListener("dragenter", (event) => { event.preventDefault(); dragged++; document.body.classList.add("dropping"); });
addEventListener("dragleave", () => { if (--dragged <= 0) { dragged = 0; document.body.classList.remove("dropping"); } });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  dragged = 0;
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files[0]) hearFile(event.dataTransfer.files[0]);
});
addEventListener("resize", draw);
isDark.addEventListener("change", draw);
navigator.mediaDevices?.addEventListener("devicechange", devices);

const asked = new URLSearchParams(location.search);
if (asked.has("token")) { // keep it for this tab, and remove it from the address bar
  token = asked.get("token");
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname);
}
buttons();
devices();
meet();
