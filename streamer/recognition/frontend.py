"""Incremental STFT and causal normalisation; live recognition and training share this code.

A frame is a 25 ms Hann window every 10 ms; four frames that start in the same 40 ms make a
timestep. Timestep ``t`` covers samples ``[640 t, 640 t + 640)`` and needs samples up to
``640 t + 880``, the end of its last frame. A stream of ``n`` samples has exactly ``n // 640``
timesteps, so an estimate never carries a time beyond the end of the audio.

The result does not depend on how the samples were cut into blocks, bit for bit: NumPy transforms
every frame by itself, and everything after that works timestep by timestep. A test holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.voice_gate import SAMPLE_RATE as SAMPLE_RATE
from streamer.recognition.voice_gate import SPEECH_THRESHOLD, SpeechDetector, SpeechState

FRAME_SAMPLES = 400
HOP_SAMPLES = 160
FREQUENCY_BINS = FRAME_SAMPLES // 2 + 1
FRAMES_PER_TIMESTEP = 4
TIMESTEP_SAMPLES = FRAMES_PER_TIMESTEP * HOP_SAMPLES
TIMESTEP_S = TIMESTEP_SAMPLES / SAMPLE_RATE
#: First bin that is heard, 80 Hz. Behind a Hann window a constant offset of the converter lies in
#: bins 0 and 1 and nowhere else. Rumble lies there too, and no voice needs them.
LOWEST_BIN = 2
#: How far the last frame of a timestep reaches beyond the timestep's end.
FRAME_TAIL_SAMPLES = FRAME_SAMPLES - HOP_SAMPLES

#: Greatest sample that is taken for audio: integers stored as floats pass, nonsense does not, and
#: no power overflows.
LARGEST_SAMPLE = 1e6

#: Below the power that rounding to 16 bits leaves in a bin, so only digital silence feels it.
SILENT_POWER = 1e-10

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)).astype(
    np.float32
)


def frames_of(samples: Float32) -> Float32:
    """Every complete frame, as a view: ``(samples,)`` -> ``(frames, 400)``."""
    count = max(0, 1 + (len(samples) - FRAME_SAMPLES) // HOP_SAMPLES)
    # NumPy's own sliding window takes as long as the transform of four frames.
    strides = (HOP_SAMPLES * samples.itemsize, samples.itemsize)
    return np.ndarray((count, FRAME_SAMPLES), np.float32, samples, 0, strides)


def power_spectra(frames: Float32) -> Float32:
    """Power of frames: ``(frames, 400)`` -> ``(frames, 201)``, linear, float32.

    Zero below :data:`LOWEST_BIN`.
    """
    spectrum = np.fft.rfft(frames * _WINDOW, axis=-1)
    power: Float32 = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    power[:, :LOWEST_BIN] = 0.0
    return power


@dataclass(frozen=True, slots=True)
class Spectra:
    """What the STFT and the voice gate say about consecutive timesteps.

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
    """Samples of one stream -> spectra and speech probability of its timesteps."""

    def __init__(self, detector: SpeechDetector) -> None:
        self._detector = detector

    def initial_state(self) -> SpectraState:
        return SpectraState(np.zeros(0, np.float32), 0, self._detector.initial_state())

    def accept(self, samples: Float32, state: SpectraState) -> tuple[Spectra, SpectraState]:
        """Add samples and return the timesteps that are now complete.

        Args:
            samples: ``(samples,)`` float32 in [-1, 1], any number, none included.
            state: the stream's state.
        """
        [result] = self.accept_many([samples], [state])
        return result

    def accept_many(
        self, blocks: Sequence[Float32], states: Sequence[SpectraState]
    ) -> list[tuple[Spectra, SpectraState]]:
        """Add a block to each of many streams; what :meth:`accept` returns for each."""
        pending = [
            np.concatenate([state.pending, samples.astype(np.float32, copy=False)])
            for samples, state in zip(blocks, states, strict=True)
        ]
        return self._analyse(pending, states)

    def flush(self, state: SpectraState) -> tuple[Spectra, SpectraState]:
        """End the stream: the last timesteps, their frames completed with zeros."""
        pending = np.concatenate([state.pending, np.zeros(FRAME_TAIL_SAMPLES, np.float32)])
        [result] = self._analyse([pending], [state])
        return result

    def _analyse(
        self, pending: list[Float32], states: Sequence[SpectraState]
    ) -> list[tuple[Spectra, SpectraState]]:
        ready = [max(0, (len(one) - FRAME_TAIL_SAMPLES) // TIMESTEP_SAMPLES) for one in pending]
        frames = [
            frames_of(one[: count * TIMESTEP_SAMPLES + FRAME_TAIL_SAMPLES])
            for one, count in zip(pending, ready, strict=True)
        ]
        power = power_spectra(frames[0] if len(frames) == 1 else np.concatenate(frames))
        power = power.reshape(-1, FRAMES_PER_TIMESTEP, FREQUENCY_BINS)
        speech, detectors = self._detect(pending, ready, states)
        results = []
        last = 0
        for i, count in enumerate(ready):
            first, last = last, last + count
            rest = pending[i][count * TIMESTEP_SAMPLES :].copy()
            state = SpectraState(rest, states[i].timesteps + count, detectors[i])
            results.append((Spectra(power[first:last], speech[i]), state))
        return results

    def _detect(
        self, pending: list[Float32], ready: list[int], states: Sequence[SpectraState]
    ) -> tuple[list[Float32], list[SpeechState]]:
        """Speech probability of the timesteps that are ready, and the gate's states after them."""
        speech = [np.zeros(count, np.float32) for count in ready]
        detectors = [state.speech for state in states]
        for step in range(max(ready, default=0)):
            streams = [i for i, count in enumerate(ready) if count > step]
            blocks = []
            for i in streams:
                # The gate may hear what the frames of this timestep hear, and nothing later.
                heard = (step + 1) * TIMESTEP_SAMPLES + FRAME_TAIL_SAMPLES
                is_first = step == 0 and states[i].timesteps == 0
                blocks.append(pending[i][0 if is_first else heard - TIMESTEP_SAMPLES : heard])
            after = self._detector.accept_many(blocks, [detectors[i] for i in streams])
            for i, (probability, detector) in zip(streams, after, strict=True):
                speech[i][step], detectors[i] = probability, detector
        return speech, detectors


@dataclass(frozen=True, slots=True)
class NormaliserState:
    """Running reference of one stream, or of a batch of streams in the leading axes.

    Attributes:
        power: ``(..., 201)`` forgetting sum of the power of speech timesteps, float64.
        timesteps: ``(...)`` forgetting count of speech timesteps, float64.
        loudest: ``(...)`` greatest timestep power so far, float64.
    """

    power: Float64
    timesteps: Float64
    loudest: Float64


@dataclass(frozen=True)
class Normaliser:
    """Power -> features that see neither the level nor the noise floor of the recording.

    The reference of a bin is the mean power of the speech so far, drawn towards a prior spectrum
    that is scaled to the level of that same speech:

        M_b = (n0 L prior_b + sum of speech power_b) / (n0 + n),   L = running speech level

    and a feature is ``log(1 + power_b / (floor M_b)) / log(1 + 1 / floor)``: 1 at the reference,
    0 where the power is far below the floor. Zero is also what the convolutions pad with. Linear
    means are governed by loud frames, so noise under the speech moves neither M nor, being under
    the floor, the feature: the trap at the end of PAPER.md. Before any speech was detected the
    loudest timestep so far stands for the speech level.

    Attributes:
        prior_spectrum: ``(201,)`` relative power of speech, sums to 1.
        prior_timesteps: weight n0 of the prior, in timesteps of speech.
        memory_timesteps: after this many timesteps of speech an old one weighs 1/e.
        floor_db: floor relative to the reference, in dB, negative.
        speech_threshold: speech probability from which a timestep updates the reference.
    """

    prior_spectrum: Float64
    prior_timesteps: float = 50.0
    memory_timesteps: float = 500.0
    floor_db: float = -15.0
    speech_threshold: float = SPEECH_THRESHOLD

    def __post_init__(self) -> None:
        prior = self.prior_spectrum
        if prior.shape != (FREQUENCY_BINS,):
            raise ValueError(f"prior_spectrum must have {FREQUENCY_BINS} bins, has {prior.shape}")
        if not (np.all(np.isfinite(prior)) and np.all(prior > 0)):
            raise ValueError("prior_spectrum must be finite and positive")
        if not 0 < self.prior_timesteps < 1e6:
            raise ValueError("prior_timesteps must lie in (0, 1e6)")
        if not 1 <= self.memory_timesteps < 1e9:
            raise ValueError("memory_timesteps must lie in [1, 1e9)")
        if not -100 <= self.floor_db < 0:
            raise ValueError("floor_db must lie in [-100, 0)")
        if not 0 <= self.speech_threshold <= 1:
            raise ValueError("speech_threshold must lie in [0, 1]")

    def initial_state(self, batch: tuple[int, ...] = ()) -> NormaliserState:
        return NormaliserState(np.zeros((*batch, FREQUENCY_BINS)), np.zeros(batch), np.zeros(batch))

    def normalise(
        self, spectra: Spectra, state: NormaliserState
    ) -> tuple[Float32, NormaliserState]:
        """Normalise consecutive timesteps.

        Args:
            spectra: power ``(..., timesteps, 4, 201)`` and speech ``(..., timesteps)``.
            state: what the earlier timesteps left.

        Returns:
            features ``(..., timesteps, 4, 201)`` float32, and the new state.
        """
        features = np.empty_like(spectra.power)
        for step in range(spectra.power.shape[-3]):
            power, speech = spectra.power[..., step, :, :], spectra.speech[..., step]
            state = self._update(power, speech, state)
            np.multiply(power, self._gain(state)[..., None, :], out=features[..., step, :, :])
        np.log1p(features, out=features)
        features *= self._scale
        return features, state

    def normalise_many(
        self, spectra: Sequence[Spectra], states: Sequence[NormaliserState]
    ) -> list[tuple[Float32, NormaliserState]]:
        """Consecutive timesteps of each of many streams; what :meth:`normalise` returns."""
        if len({len(one.power) for one in spectra}) != 1:
            return [self.normalise(*pair) for pair in zip(spectra, states, strict=True)]
        together = Spectra(
            np.array([one.power for one in spectra]), np.array([one.speech for one in spectra])
        )
        state = NormaliserState(
            np.array([one.power for one in states]),
            np.array([one.timesteps for one in states]),
            np.array([one.loudest for one in states]),
        )
        features, state = self.normalise(together, state)
        after = zip(state.power, state.timesteps, state.loudest, strict=True)
        return [(row, NormaliserState(*one)) for row, one in zip(features, after, strict=True)]

    @cached_property
    def _floor(self) -> float:
        return float(10.0 ** (self.floor_db / 10.0))

    @cached_property
    def _keep(self) -> float:
        return float(np.exp(-1.0 / self.memory_timesteps))

    @cached_property
    def _scale(self) -> np.float32:
        return np.float32(1.0 / np.log1p(1.0 / self._floor))

    def _update(self, power: Float32, speech: Float32, state: NormaliserState) -> NormaliserState:
        """The state after one more timestep: power ``(..., 4, 201)`` and speech ``(...)``."""
        mean = np.add.reduce(power, axis=-2, dtype=np.float64) / FRAMES_PER_TIMESTEP
        loudest = np.maximum(state.loudest, np.add.reduce(mean, axis=-1))
        is_speech = speech >= self.speech_threshold
        if not is_speech.any():
            return NormaliserState(state.power, state.timesteps, loudest)
        total = np.where(is_speech[..., None], self._keep * state.power + mean, state.power)
        count = np.where(is_speech, self._keep * state.timesteps + 1.0, state.timesteps)
        return NormaliserState(total, count, loudest)

    def _gain(self, state: NormaliserState) -> Float32:
        """What a timestep's power is multiplied with, ``(..., 201)``: one over the floor."""
        # Where nothing was counted yet the sum is zero too, and the loudest timestep stands in.
        mean_level = np.add.reduce(state.power, axis=-1) / np.maximum(state.timesteps, 1e-9)
        level = np.where(state.timesteps > 0, mean_level, state.loudest)
        weight = self.prior_timesteps + state.timesteps
        reference = (
            self.prior_timesteps * level[..., None] * self.prior_spectrum + state.power
        ) / weight[..., None]
        gain: Float32 = (1.0 / (self._floor * reference + SILENT_POWER)).astype(np.float32)
        return gain
