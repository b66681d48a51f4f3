"""The signal's constants: rates, frames, timesteps.

A stream is mono at 16 kHz. A frame is 25 ms every 10 ms; the four frames that start in the same
40 ms make a timestep.
"""

SAMPLE_RATE = 16_000
#: Sample rates that are accepted, in Hz, and lengths of a block, in ms.
RATES = range(1_000, 768_001)
BLOCK_MS = range(1, 10_001)
FRAME_SAMPLES = 400
HOP_SAMPLES = 160
FREQUENCY_BINS = FRAME_SAMPLES // 2 + 1
FRAMES_PER_TIMESTEP = 4
TIMESTEP_SAMPLES = FRAMES_PER_TIMESTEP * HOP_SAMPLES
TIMESTEP_S = TIMESTEP_SAMPLES / SAMPLE_RATE
#: How far the last frame of a timestep extends beyond the timestep's end.
FRAME_TAIL_SAMPLES = FRAME_SAMPLES - HOP_SAMPLES
#: Largest sample accepted as audio: integers stored as floats pass, nonsense does not, and no power
#: overflows.
LARGEST_SAMPLE = 1e6
#: A timestep is speech if the voice gate's probability is at least this.
SPEECH_THRESHOLD = 0.5

#: Timesteps that are computed at once where nobody waits for an answer; more would gain nothing.
MANY_AT_ONCE = 32
