// Listening to a microphone: capture, level, reconnection.

import { buttons } from "./controls.js";
import { Link, nameOf } from "./link.js";
import { $, problem, say, status } from "./messages.js";
import { enrol, notMade } from "./profile.js";
import { take } from "./results.js";
import { listening, server, voice } from "./state.js";

const SILENT_S = 1.5;
const RETRY_S = [1, 2, 4, 8, 15];
const MOST_UNSENT_S = 4;
const REFUSALS = {
  NotAllowedError:
    "The microphone was refused. Allow it for this page in the browser's address bar, then press Listen.",
  NotFoundError: "There is no microphone. Plug one in, then press Listen.",
  NotReadableError: "The microphone cannot be opened: another program may hold it.",
  OverconstrainedError: "This microphone is not there any more. Choose another one.",
};

export async function listen() {
  if (!server.info) return;
  if (!navigator.mediaDevices) {
    problem(
      "The browser gives a microphone only to pages from this machine or over https. Start the server with " +
        "--certfile, or open it as http://localhost.",
    );
    return;
  }
  problem("");
  listening.isWanted = true;
  listening.link = null;
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
  track.onended = () => {
    stop();
    status("bad", "microphone lost");
    problem("The microphone is gone. Plug it in again or choose another one, then press Listen.");
  };
  track.onmute = () => problem("The microphone is muted by the system or the browser.");
  track.onunmute = () => problem("");
  let context = null;
  const leave = () => { drop(); if (context && context.state !== "closed") context.close(); };
  try {
    context = new AudioContext({ latencyHint: "interactive" });
    listening.context = context;
    context.onstatechange = () => {
      if (listening.context !== context || context.state === "running" || context.state === "closed") return;
      problem("The browser has paused the microphone. Press Stop, then Listen.");
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
  const enrols = voice.isWanted; // its last line comes after the profile
  const source = nameOf(label || "microphone");
  const form = { sample_rate: sampleRate, channels: 1, sample_format: "s16le" };
  const start = { ...form, prior: $("prior").value, source, ...voice.fields };
  listening.sent = 0;
  listening.marks = [];
  listening.link = new Link(start,
    () => { listening.tries = 0; status("on", voice.isWanted ? "making a profile" : "listening"); problem(""); },
    (line, text) => {
      if (!enrols) take(line, text, lateness);
      else if (enrol(line)) stop();
    },
    (code, reason) => parted(code, reason, label));
}

function parted(code, reason, label) {
  if (voice.isWanted) {
    stop();
    notMade(code === 1000 ? "" : `The server stopped: ${reason || "it is away"}. `);
    return;
  }
  if (!listening.isWanted) { stop(); return; }
  if (code === 1008 && !/nothing came|may last/.test(reason)) { // trying again will not help
    stop(); status("bad", "refused"); problem(`The server refused: ${reason}`);
    return;
  }
  const wait_s = RETRY_S[Math.min(listening.tries++, RETRY_S.length - 1)];
  status("bad", "reconnecting");
  const known = { 1013: `The server has no room: ${reason}.`, 1001: "The server was shut down." };
  const why = known[code] || `The server is away${reason ? ` (${reason})` : ""}.`;
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

export function stop() {
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

export async function devices() {
  if (!navigator.mediaDevices) return;
  const all = await navigator.mediaDevices.enumerateDevices();
  const found = all.filter((one) => one.kind === "audioinput" && one.deviceId && one.deviceId !== "default");
  const chosen = $("device").value || localStorage.getItem("device") || "";
  const options = found.map((one, index) => new Option(one.label || `microphone ${index + 1}`, one.deviceId));
  $("device").replaceChildren(new Option("the default", ""), ...options);
  $("device").value = options.some((one) => one.value === chosen) ? chosen : "";
}
