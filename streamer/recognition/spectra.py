"""Incremental STFT; live recognition and training share this code.

A frame is a 25 ms Hann window every 10 ms; four frames that start in the same 40 ms make a
timestep. Timestep ``t`` covers samples ``[640 t, 640 t + 640)`` and needs samples up to
``640 t + 880``, the end of its last frame. A stream of ``n`` samples has exactly ``n // 640``
timesteps, so an estimate never carries a time beyond the end of the audio.

The result does not depend on block sizes, bit for bit: NumPy transforms every frame by itself,
and the voice gate always takes the same timesteps at once. A test checks this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.voice_gate import CHUNK_SAMPLES, SpeechDetector, SpeechState
from streamer.signal import (
    FRAME_SAMPLES,
    FRAME_TAIL_SAMPLES,
    FRAMES_PER_TIMESTEP,
    FREQUENCY_BINS,
    HOP_SAMPLES,
    TIMESTEP_SAMPLES,
)

#: First bin used, 80 Hz. With a Hann window a converter's constant offset lies only in bins 0
#: and 1. Rumble lies there too, and voices do not need them.
LOWEST_BIN = 2

#: Below the power that rounding to 16 bits leaves in a bin, so it affects only digital silence.
SILENT_POWER = 1e-10

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)).astype(
    np.float32
)


def frames_of(samples: Float32) -> Float32:
    """Return every complete frame, as a view: ``(samples,)`` -> ``(frames, 400)``."""
    count = max(0, 1 + (len(samples) - FRAME_SAMPLES) // HOP_SAMPLES)
    # NumPy's own sliding window takes as long as the transform of four frames.
    strides = (HOP_SAMPLES * samples.itemsize, samples.itemsize)
    return np.ndarray((count, FRAME_SAMPLES), np.float32, samples, 0, strides)


def power_spectra(frames: Float32) -> Float32:
    """Return the power of frames: ``(frames, 400)`` -> ``(frames, 201)``, linear, float32.

    Zero below :data:`LOWEST_BIN`.
    """
    spectrum = np.fft.rfft(frames * _WINDOW, axis=-1)
    power: Float32 = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    power[:, :LOWEST_BIN] = 0.0
    return power


@dataclass(frozen=True, slots=True)
class Spectra:
    """Output of the STFT and the voice gate for consecutive timesteps.

    Attributes:
        power: ``(timesteps, 4, 201)`` linear power, float32.
        speech: ``(timesteps,)`` speech probability, float32.
    """

    power: Float32
    speech: Float32


@dataclass(frozen=True, slots=True)
class SpectraState:
    """Samples that later timesteps still need, and the state of the voice gate.

    Attributes:
        pending: samples from ``640 * timesteps`` on, float32.
        timesteps: number of timesteps already emitted.
        speech: state of the speech detector.
    """

    pending: Float32
    timesteps: int
    speech: SpeechState


class SpectralAnalysis:
    """Computes spectra and speech probabilities from the samples of a stream."""

    def __init__(self, detector: SpeechDetector) -> None:
        self._detector = detector

    def initial_state(self) -> SpectraState:
        return SpectraState(np.zeros(0, np.float32), 0, self._detector.initial_state())

    def accept(
        self, samples: Float32, state: SpectraState, at_once: int = 1
    ) -> tuple[Spectra, SpectraState]:
        """Add samples and return the timesteps that are now complete.

        Args:
            samples: ``(samples,)`` float32 in [-1, 1], any number, even none.
            state: the stream's state.
            at_once: number of timesteps that the voice gate takes at once; others wait. The result
                depends on it, to float rounding.
        """
        [result] = self.accept_many([samples], [state], at_once)
        return result

    def accept_many(
        self, blocks: Sequence[Float32], states: Sequence[SpectraState], at_once: int = 1
    ) -> list[tuple[Spectra, SpectraState]]:
        """Do :meth:`accept` for each of many streams."""
        pending = [
            np.concatenate([state.pending, samples.astype(np.float32, copy=False)])
            for samples, state in zip(blocks, states, strict=True)
        ]
        return self._analyse(pending, states, at_once)

    def flush(self, state: SpectraState, at_once: int = 1) -> tuple[Spectra, SpectraState]:
        """End the stream; return the last timesteps, their frames completed with zeros."""
        pending = np.concatenate([state.pending, np.zeros(FRAME_TAIL_SAMPLES, np.float32)])
        [result] = self._analyse([pending], [state], at_once, is_end=True)
        return result

    def _analyse(
        self,
        pending: list[Float32],
        states: Sequence[SpectraState],
        at_once: int,
        is_end: bool = False,
    ) -> list[tuple[Spectra, SpectraState]]:
        ready = [max(0, (len(one) - FRAME_TAIL_SAMPLES) // TIMESTEP_SAMPLES) for one in pending]
        if not is_end:
            ready = [count - count % at_once for count in ready]
        frames = [
            frames_of(one[: count * TIMESTEP_SAMPLES + FRAME_TAIL_SAMPLES])
            for one, count in zip(pending, ready, strict=True)
        ]
        power = power_spectra(frames[0] if len(frames) == 1 else np.concatenate(frames))
        power = power.reshape(-1, FRAMES_PER_TIMESTEP, FREQUENCY_BINS)
        speech, detectors = self._detect(pending, ready, states, at_once)
        results = []
        last = 0
        for i, count in enumerate(ready):
            first, last = last, last + count
            rest = pending[i][count * TIMESTEP_SAMPLES :].copy()
            state = SpectraState(rest, states[i].timesteps + count, detectors[i])
            results.append((Spectra(power[first:last], speech[i]), state))
        return results

    def _detect(
        self,
        pending: list[Float32],
        ready: list[int],
        states: Sequence[SpectraState],
        at_once: int,
    ) -> tuple[list[Float32], list[SpeechState]]:
        """Return the ready timesteps' speech probabilities, and the gate's states after them."""
        speech = [np.zeros(count, np.float32) for count in ready]
        detectors = [state.speech for state in states]
        for step in range(0, max(ready, default=0), at_once):
            streams = [i for i, count in enumerate(ready) if count > step]
            ends = [min(step + at_once, ready[i]) for i in streams]
            # The gate may use the samples in these timesteps' frames, and no later ones.
            blocks = [
                pending[i][_heard(step - 1, states[i]) : _heard(end - 1, states[i])]
                for i, end in zip(streams, ends, strict=True)
            ]
            after = self._detector.accept_many(blocks, [detectors[i] for i in streams])
            for i, end, (probabilities, detector) in zip(streams, ends, after, strict=True):
                first = states[i].timesteps + step
                speech[i][step:end] = _loudest(probabilities, first, end - step)
                detectors[i] = detector
        return speech, detectors


def _heard(step: int, state: SpectraState) -> int:
    """Return how many of the pending samples the gate has heard after a timestep of this call."""
    if state.timesteps + step < 0:
        return 0
    return (step + 1) * TIMESTEP_SAMPLES + FRAME_TAIL_SAMPLES


def _loudest(probabilities: list[float], first: int, count: int) -> list[float]:
    """Return the greatest probability of the chunks that each timestep finishes.

    Args:
        probabilities: of the chunks that these timesteps finish.
        first: number of the first timestep.
        count: number of timesteps.
    """
    ends = [
        ((first + i) * TIMESTEP_SAMPLES + FRAME_TAIL_SAMPLES) // CHUNK_SAMPLES if first + i else 0
        for i in range(count + 1)
    ]
    # A timestep is longer than a chunk, so it finishes one or two.
    return [max(probabilities[a - ends[0] : b - ends[0]]) for a, b in pairwise(ends)]
