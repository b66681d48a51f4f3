// A stream at the server; `onLine` takes each JSON message, `onOver` its end. What comes after another stream has
// begun is ignored: the last lines of a stream that was stopped take a while.

import { listening, server } from "./state.js";

export class Link {
  constructor(start, onOpen, onLine, onOver) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const query = server.token ? `?token=${encodeURIComponent(server.token)}` : "";
    this.error = "";
    this.isEnding = false;
    this.socket = new WebSocket(`${scheme}://${location.host}/v1/stream${query}`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => { this.socket.send(JSON.stringify({ type: "start", ...start })); onOpen(this); };
    this.socket.onmessage = ({ data }) => {
      if (listening.link !== this) return;
      const line = JSON.parse(data);
      if (line.type === "error") this.error = line.message;
      else onLine(line, data);
    };
    this.socket.onclose = ({ code, reason }) => {
      if (listening.link !== this) return;
      listening.link = null;
      onOver(code, this.error || reason);
    };
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

// The name of a source, as the server takes it: 200 characters, none of which is half a pair.
export const nameOf = (text) =>
  [...text.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, "")].slice(0, 200).join("").trim() || "recording";
