// The voice that a stream knows from before: a profile from a file, or one made from the microphone.

const LONGEST_FILE = 65536; // characters, as in streamer/recognition/profile.py
const LONGEST_S = 180; // as in ser-live enrol

export class Voice {
  constructor() {
    this.profile = null;
    this.name = "";
    this.isWanted = false; // a profile is being made
    this.speech_s = this.heard_s = 0;
  }

  // Returns the fields of the start message.
  get fields() {
    if (this.isWanted) return { enrols: true };
    return this.profile ? { profile: this.profile } : {};
  }

  get told() {
    if (this.isWanted) return "a profile is being made";
    return this.profile ? `known from ${this.name}` : "not known";
  }

  forget() { this.profile = null; this.name = ""; }

  // Reads a file; the server checks it further. Throws what a person may read.
  async load(file) {
    let values = null;
    try {
      if (file.size <= LONGEST_FILE) values = JSON.parse(await file.text());
    } catch { /* told below */ }
    if (values?.type !== "profile") {
      throw new Error(`${file.name} is no profile of a voice, as ser-live enrol or this page makes them.`);
    }
    this.profile = values;
    this.name = file.name;
  }

  begin() {
    this.isWanted = true;
    this.speech_s = this.heard_s = 0;
  }

  // Takes a timestep; returns whether enough was heard.
  hear(line, info, timestep_s) {
    this.heard_s += timestep_s;
    if (line.speech >= info.enrolment.speech_threshold) this.speech_s += timestep_s;
    return this.speech_s >= info.enrolment.good_speech_s || this.heard_s >= LONGEST_S;
  }

  progress(info) {
    const good_s = info.enrolment.good_speech_s;
    return `${Math.min(good_s, Math.floor(this.speech_s))} s of ${good_s} s of speech: talk as you usually do`;
  }

  // Ends the making; returns the profile's text for a file if enough was heard, and uses it from now on.
  made(values, info) {
    this.isWanted = false;
    if (!values || this.speech_s < info.enrolment.good_speech_s) return null;
    this.profile = values;
    this.name = "what you just said";
    return JSON.stringify(values);
  }
}
