// Sends the microphone's samples at the device's rate, 20 ms at a time, as 16-bit integers.
class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(sampleRate / 50);
    this.block = new Int16Array(this.size);
    this.filled = 0;
    this.peak = 0;
  }

  process([channels]) {
    if (!channels.length) return true;
    const share = 1 / channels.length;
    for (let i = 0; i < channels[0].length; i++) {
      let value = 0;
      for (const channel of channels) value += channel[i] * share;
      this.peak = Math.max(this.peak, Math.abs(value));
      this.block[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32768)));
      if (this.filled === this.size) {
        const { buffer } = this.block;
        this.port.postMessage({ buffer, peak: this.peak }, [buffer]);
        this.block = new Int16Array(this.size);
        this.filled = this.peak = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
