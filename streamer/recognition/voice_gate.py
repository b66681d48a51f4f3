"""Voice activity: Silero's network, at a level that does not depend on the microphone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.bundled import bundled
from streamer.errors import SerLiveError
from streamer.modelfile.runtime import LARGEST_BATCH, NetworkFile
from streamer.signal import SAMPLE_RATE, SPEECH_THRESHOLD

#: File of the network.
VOICE_GATE = "voice-gate.onnx"
CHUNK_SAMPLES = 512
CONTEXT_SAMPLES = 64
#: Input level for Silero. Corpora recorded 20 to 30 dB lower lose half of their speech.
TARGET_RMS = 0.1
#: Weaker signals than this (-75 dBFS) are not raised further.
QUIETEST_RMS = 10.0 ** (-75.0 / 20.0)
CHUNK_S = CHUNK_SAMPLES / SAMPLE_RATE
#: The level estimate falls by 1 dB a second, so that pauses do not raise the noise; after more
#: than a pause without speech, by 10 dB, so that a click does not deafen the gate for long.
SLOW_DECAY = 10.0 ** (-1.0 * CHUNK_S / 20.0)
FAST_DECAY = 10.0 ** (-10.0 * CHUNK_S / 20.0)
PAUSE_CHUNKS = round(1.5 / CHUNK_S)
#: Share of a new chunk in the running mean that is subtracted: the converter's offset, over half
#: a second. It would count as level, and the network was not trained with an offset.
OFFSET_SHARE = CHUNK_S / 0.5
#: Size of the network's recurrent state, per stream.
STATE_VALUES = 256
_OUTPUTS = ["probability", "next_state"]
_ONE_CHUNK = {"batch": 1, "chunks": 1}
#: Most chunks that the network takes at once; when speech ends a pause, later chunks run again.
_MOST_CHUNKS = PAUSE_CHUNKS

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SpeechState:
    """State of the detector for one stream.

    Attributes:
        pending: samples of the unfinished chunk, fewer than 512.
        context: the last 64 samples of the previous chunk, as fed to the network.
        network: ``(256,)`` recurrent state.
        offset: running mean of the samples, None before the first chunk.
        envelope: slowly falling peak of the chunks' RMS, without the offset.
        quiet_chunks: chunks since the last speech.
    """

    pending: Float32
    context: Float32
    network: Float32
    offset: float | None
    envelope: float
    quiet_chunks: int


@cache
def open_voice_gate(path: Path) -> NetworkFile:
    """Return the network of a file, in one set of sessions for all.

    Raises:
        SerLiveError: it is missing or damaged.
    """
    try:
        network = NetworkFile(path.read_bytes(), is_own=True)
        network.variant(**_ONE_CHUNK)
        return network
    except Exception as error:  # onnxruntime raises a dozen unrelated types
        raise SerLiveError(f"{path} is missing or damaged: install ser-live again") from error


class SpeechDetector:
    """Speech probability of consecutive 32 ms chunks; immutable, shared by all streams."""

    def __init__(self, network: NetworkFile | None = None) -> None:
        """Use the shipped network, or another with the same inputs and outputs."""
        self._network = network or open_voice_gate(bundled(VOICE_GATE))

    def initial_state(self) -> SpeechState:
        return SpeechState(
            pending=np.zeros(0, np.float32),
            context=np.zeros(CONTEXT_SAMPLES, np.float32),
            network=np.zeros(STATE_VALUES, np.float32),
            offset=None,
            envelope=QUIETEST_RMS,
            quiet_chunks=0,
        )

    def accept(self, samples: Float32, state: SpeechState) -> tuple[list[float], SpeechState]:
        """Add samples; return the probabilities of the chunks they finish."""
        [result] = self.accept_many([samples], [state])
        return result

    def accept_many(
        self, blocks: Sequence[Float32], states: Sequence[SpeechState]
    ) -> list[tuple[list[float], SpeechState]]:
        """Do :meth:`accept` for each of many streams."""
        hearings = [_Hearing(*pair) for pair in zip(blocks, states, strict=True)]
        unfinished = [hearing for hearing in hearings if hearing.chunks]
        while unfinished:
            for first in range(0, len(unfinished), LARGEST_BATCH):
                self._hear(unfinished[first : first + LARGEST_BATCH])
            unfinished = [hearing for hearing in unfinished if hearing.chunks]
        return [(hearing.probabilities, hearing.state()) for hearing in hearings]

    def _hear(self, hearings: list[_Hearing]) -> None:
        """Run the network on each stream's next chunks."""
        count = min(_MOST_CHUNKS, *(hearing.chunks for hearing in hearings))
        inputs = _inputs(hearings, count)
        states = np.array([hearing.network for hearing in hearings])
        probabilities, after = self._run(inputs, states)
        for row, hearing in enumerate(hearings):
            taken = hearing.take(probabilities[row].tolist(), inputs[row])
            if taken == count:
                hearing.network = after[row]
            else:
                right = inputs[row : row + 1, :taken]
                _, [hearing.network] = self._run(right, states[row : row + 1])

    def _run(self, inputs: Float32, states: Float32) -> tuple[Float32, Float32]:
        """Run ``(batch, chunks, 576)`` and ``(batch, 256)``."""
        batch, chunks = inputs.shape[:2]
        fixed = {} if chunks > 1 else _ONE_CHUNK if batch == 1 else {"chunks": 1}
        session = self._network.variant(**fixed)
        probabilities, after = session.run(_OUTPUTS, {"samples": inputs, "state": states})
        return probabilities, after


def _inputs(hearings: list[_Hearing], count: int) -> Float32:
    """Return the next chunks of each stream at the network's level, each after the previous end.

    Returns:
        ``(streams, count, 576)``.
    """
    inputs = np.empty((len(hearings), count, CONTEXT_SAMPLES + CHUNK_SAMPLES), np.float32)
    chunks = inputs[..., CONTEXT_SAMPLES:]
    for row, hearing in enumerate(hearings):
        inputs[row, 0, :CONTEXT_SAMPLES] = hearing.context
        chunks[row] = hearing.next_chunks(count)
    means = np.add.reduce(chunks, axis=2, dtype=np.float64) / CHUNK_SAMPLES
    pairs = zip(hearings, means.tolist(), strict=True)
    offsets = np.array([hearing.follow_offset(row) for hearing, row in pairs], np.float32)
    chunks -= offsets[..., None]
    power = np.add.reduce(chunks * chunks, axis=2, dtype=np.float64) / CHUNK_SAMPLES
    pairs = zip(hearings, np.sqrt(power).tolist(), strict=True)
    envelopes = np.array([hearing.follow_envelope(row) for hearing, row in pairs])
    gains = (TARGET_RMS / envelopes).astype(np.float32)
    chunks *= gains[..., None]
    if count > 1:
        inputs[:, 1:, :CONTEXT_SAMPLES] = inputs[:, :-1, -CONTEXT_SAMPLES:]
    return inputs


class _Hearing:
    """A stream during a call: its remaining chunks, and its state so far."""

    def __init__(self, samples: Float32, state: SpeechState) -> None:
        self._pending = np.concatenate([state.pending, samples])
        self._at = 0
        self.context = state.context
        self.network = state.network
        self._offset = state.offset
        self._envelope = state.envelope
        self._quiet_chunks = state.quiet_chunks
        self.probabilities: list[float] = []
        self._offsets: list[float] = []
        self._envelopes: list[float] = []

    @property
    def chunks(self) -> int:
        """The number of chunks that are left."""
        return (len(self._pending) - self._at) // CHUNK_SAMPLES

    def next_chunks(self, count: int) -> Float32:
        """Return the next chunks, ``(count, 512)``."""
        end = self._at + count * CHUNK_SAMPLES
        return self._pending[self._at : end].reshape(count, CHUNK_SAMPLES)

    def follow_offset(self, means: list[float]) -> list[float]:
        """Return the running mean after each of the next chunks, given theirs."""
        offset = means[0] if self._offset is None else self._offset
        self._offsets = []
        for mean in means:
            offset += OFFSET_SHARE * (mean - offset)
            self._offsets.append(offset)
        return self._offsets

    def follow_envelope(self, levels: list[float]) -> list[float]:
        """Return the envelope at each of the next chunks, given their RMS.

        It falls faster after a pause. The chunks are assumed to go on as the stream is: without
        speech, if it is in a pause; see :meth:`take`.
        """
        envelope = self._envelope
        self._envelopes = []
        for quiet, level in enumerate(levels, self._quiet_chunks):
            decay = SLOW_DECAY if quiet <= PAUSE_CHUNKS else FAST_DECAY
            envelope = max(envelope * decay, level, QUIETEST_RMS)
            self._envelopes.append(envelope)
        return self._envelopes

    def take(self, probabilities: list[float], inputs: Float32) -> int:
        """Take the network's output for its inputs; return how many of them were right.

        If speech ends a pause, the level of the chunks after it was wrong: they are next again.
        """
        count = len(probabilities)
        may_be_wrong = self._quiet_chunks + count - 1 > PAUSE_CHUNKS
        for taken, probability in enumerate(probabilities, 1):
            is_speech = probability >= SPEECH_THRESHOLD
            self._quiet_chunks = 0 if is_speech else self._quiet_chunks + 1
            if is_speech and may_be_wrong:
                count = taken
                break
        self.probabilities += probabilities[:count]
        self._offset, self._envelope = self._offsets[count - 1], self._envelopes[count - 1]
        self.context = inputs[count - 1, -CONTEXT_SAMPLES:].copy()  # a view would keep all inputs
        self._at += count * CHUNK_SAMPLES
        return count

    def state(self) -> SpeechState:
        return SpeechState(
            self._pending[self._at :].copy(),
            self.context,
            self.network,
            self._offset,
            self._envelope,
            self._quiet_chunks,
        )
