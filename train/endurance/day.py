"""Endless audio: recordings, noise and silence in random order and at random levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from streamer.signal import SAMPLE_RATE
from streamer.sound.files.recording import read_recording
from train.corpora.known import at_hand, read_corpus
from train.corpora.layouts import audio_files

Float32 = NDArray[np.float32]

#: Shares of speech and noise among the pieces; the rest is silence.
SPEECH_SHARE, NOISE_SHARE = 0.7, 0.2
GAIN_DB = (-40.0, 15.0)
#: Length of a silence, drawn log-uniformly.
SILENCE_S = (0.1, 100.0)


@dataclass(frozen=True)
class Material:
    """Files to make a day from.

    Attributes:
        speech: recordings of the corpora.
        noise: background recordings.
    """

    speech: Sequence[Path]
    noise: Sequence[Path]

    @classmethod
    def at_hand(cls, corpora: Path) -> Material:
        """Find the material in the folder of the corpora.

        Raises:
            SerLiveError: there is no corpus, or no noise.
        """
        speech = [one.path for name in at_hand(corpora) for one in read_corpus(name, corpora)]
        noise = list(audio_files(corpora / "noise"))
        if not noise:
            raise SerLiveError(f"no background recordings in {corpora / 'noise'}")
        return cls(speech, noise)


class Day:
    """A source of pieces in random order; the seed and its number determine each piece."""

    name = "soak"
    sample_rate = SAMPLE_RATE
    clipped = overflows = 0

    def __init__(self, material: Material, seed: int, samples: int) -> None:
        self._material = material
        self._seed = seed
        self._samples = samples

    def unheard(self, position: int) -> None:
        """Do nothing: the source waits."""

    def blocks(self, block_ms: int) -> Iterator[Float32]:
        size = block_ms * SAMPLE_RATE // 1000
        pending, rest = np.zeros(0, np.float32), self._samples
        for number in count():
            pending = np.concatenate([pending, self._piece(number)])
            while len(pending) >= min(size, rest):
                block, pending = np.split(pending, [min(size, rest)])
                rest -= len(block)
                yield block
                if not rest:
                    return

    def _piece(self, number: int) -> Float32:
        generator = np.random.default_rng((self._seed, number))
        kind = generator.random()
        if kind >= SPEECH_SHARE + NOISE_SHARE:
            seconds = np.exp(generator.uniform(*np.log(SILENCE_S)))
            return np.zeros(round(seconds * SAMPLE_RATE), np.float32)
        files = self._material.speech if kind < SPEECH_SHARE else self._material.noise
        samples = read_recording(files[int(generator.integers(len(files)))])
        gain = np.float32(10.0 ** (generator.uniform(*GAIN_DB) / 20.0))
        return np.asarray(np.clip(samples * gain, -1.0, 1.0))
