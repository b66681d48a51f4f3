"""Voice activity: Silero's network, at a level that does not depend on the microphone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamer.bundled import bundled
from streamer.errors import SerLiveError
from streamer.modelfile.runtime import LARGEST_BATCH, open_session
from streamer.signal import SAMPLE_RATE, SPEECH_THRESHOLD

if TYPE_CHECKING:
    import onnxruntime

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
        probability: the last finished decision.
        quiet_chunks: chunks since the last speech.
    """

    pending: Float32
    context: Float32
    network: Float32
    offset: float | None
    envelope: float
    probability: float
    quiet_chunks: int


@cache
def open_voice_gate() -> onnxruntime.InferenceSession:
    """Return the network, in one session for all.

    Raises:
        SerLiveError: it is missing or damaged.
    """
    path = bundled(VOICE_GATE)
    try:
        return open_session(path)
    except Exception as error:  # onnxruntime raises a dozen unrelated types
        raise SerLiveError(f"{path} is missing or damaged: install ser-live again") from error


class SpeechDetector:
    """Speech probability of consecutive 32 ms chunks; immutable, shared by all streams."""

    def __init__(self, gate: onnxruntime.InferenceSession | None = None) -> None:
        """Use the shipped network, or another with the same inputs and outputs."""
        self._run = (gate or open_voice_gate()).run

    def initial_state(self) -> SpeechState:
        return SpeechState(
            pending=np.zeros(0, np.float32),
            context=np.zeros(CONTEXT_SAMPLES, np.float32),
            network=np.zeros(STATE_VALUES, np.float32),
            offset=None,
            envelope=QUIETEST_RMS,
            probability=0.0,
            quiet_chunks=0,
        )

    def accept(self, samples: Float32, state: SpeechState) -> tuple[float, SpeechState]:
        """Add samples; return the greatest probability among the chunks they finish.

        If they finish none, it is the last decision.
        """
        [result] = self.accept_many([samples], [state])
        return result

    def accept_many(
        self, blocks: Sequence[Float32], states: Sequence[SpeechState]
    ) -> list[tuple[float, SpeechState]]:
        """Do :meth:`accept` for each of many streams."""
        hearings = [_Hearing(*pair) for pair in zip(blocks, states, strict=True)]
        unfinished = [hearing for hearing in hearings if hearing.has_chunk]
        while unfinished:
            for first in range(0, len(unfinished), LARGEST_BATCH):
                self._hear(unfinished[first : first + LARGEST_BATCH])
            unfinished = [hearing for hearing in unfinished if hearing.has_chunk]
        return [hearing.result() for hearing in hearings]

    def _hear(self, hearings: list[_Hearing]) -> None:
        """Run the network on each stream's next chunk."""
        feeds = {
            "samples": np.array([hearing.next_input() for hearing in hearings]),
            "state": np.array([hearing.network for hearing in hearings]),
        }
        probabilities, network = self._run(_OUTPUTS, feeds)
        for hearing, probability, row in zip(hearings, probabilities, network, strict=True):
            hearing.take(float(probability[0]), row)


class _Hearing:
    """A stream during a call: its remaining chunks, and its state so far."""

    def __init__(self, samples: Float32, state: SpeechState) -> None:
        self._pending = np.concatenate([state.pending, samples])
        self._at = 0
        self._context = state.context
        self.network = state.network
        self._offset = state.offset
        self._envelope = state.envelope
        self._newest = state.probability
        self._loudest = -1.0
        self._quiet_chunks = state.quiet_chunks

    @property
    def has_chunk(self) -> bool:
        return len(self._pending) - self._at >= CHUNK_SAMPLES

    def next_input(self) -> Float32:
        """Return the next chunk at the network's level, preceded by the end of the previous one."""
        chunk = self._pending[self._at : self._at + CHUNK_SAMPLES]
        self._at += CHUNK_SAMPLES
        mean = float(np.add.reduce(chunk, dtype=np.float64)) / CHUNK_SAMPLES
        if self._offset is None:
            self._offset = mean
        self._offset += OFFSET_SHARE * (mean - self._offset)
        chunk = chunk - np.float32(self._offset)
        rms = math.sqrt(np.add.reduce(chunk * chunk, dtype=np.float64) / CHUNK_SAMPLES)
        decay = SLOW_DECAY if self._quiet_chunks <= PAUSE_CHUNKS else FAST_DECAY
        self._envelope = max(self._envelope * decay, rms, QUIETEST_RMS)
        heard = np.concatenate([self._context, chunk * np.float32(TARGET_RMS / self._envelope)])
        self._context = heard[-CONTEXT_SAMPLES:]
        return heard

    def take(self, probability: float, network: Float32) -> None:
        """Take the network's output for the chunk."""
        self.network = network
        self._newest = probability
        self._loudest = max(self._loudest, probability)
        self._quiet_chunks = 0 if probability >= SPEECH_THRESHOLD else self._quiet_chunks + 1

    def result(self) -> tuple[float, SpeechState]:
        loudest = self._newest if self._loudest < 0 else self._loudest
        return loudest, SpeechState(
            self._pending[self._at :],
            self._context,
            self.network,
            self._offset,
            self._envelope,
            self._newest,
            self._quiet_chunks,
        )
