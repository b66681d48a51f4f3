// Which buttons can be pressed, and what they say.

import { $, say } from "./messages.js";
import { heard, listening, server, voice } from "./state.js";

export function buttons() {
  say("listen-text", listening.isWanted ? "Stop" : "Listen");
  $("mark").disabled = !listening.isWanted;
  $("open").disabled = $("device").disabled = $("prior").disabled = listening.isWanted;
  const knows = server.info ? server.info.knows_voices.includes(server.info.model) : true;
  $("voice-load").disabled = $("voice-make").disabled = listening.isWanted || voice.isWanted || !knows;
  $("voice-forget").disabled = listening.isWanted || !voice.profile;
  const unknowing = `the model ${server.info?.model} knows no voices: it makes and takes no profile`;
  say("voice-text", knows ? voice.told : unknowing);
  $("save-jsonl").disabled = $("save-textgrid").disabled = !heard.lines.length;
}
