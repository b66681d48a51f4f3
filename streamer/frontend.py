"""Incremental STFT and causal normalisation; live recognition and training share this code.

A frame is a 25 ms Hann window every 10 ms; four frames that start in the same 40 ms make a
timestep. Timestep ``t`` covers samples ``[640 t, 640 t + 640)`` and needs samples up to
``640 t + 880``, the end of its last frame. A stream of ``n`` samples has exactly ``n // 640``
timesteps, so an estimate never carries a time beyond the end of the audio.

Every timestep is computed with the same array shapes however the samples were cut into blocks,
which is what makes the result independent of the block size bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.speech import SpeechDetector, SpeechState

SAMPLE_RATE = 16_000
FRAME_SAMPLES = 400
HOP_SAMPLES = 160
FREQUENCY_BINS = FRAME_SAMPLES // 2 + 1
FRAMES_PER_TIMESTEP = 4
TIMESTEP_SAMPLES = FRAMES_PER_TIMESTEP * HOP_SAMPLES
TIMESTEP_S = TIMESTEP_SAMPLES / SAMPLE_RATE
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


def power_spectra(samples: Float32) -> Float32:
    """Power of every complete frame: ``(samples,)`` -> ``(frames, 201)``, linear, float32."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES]
    spectrum = np.fft.rfft(frames * _WINDOW, axis=-1)
    return np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)


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
        pending = np.concatenate([state.pending, samples.astype(np.float32, copy=False)])
        ready = max(0, (len(pending) - FRAME_TAIL_SAMPLES) // TIMESTEP_SAMPLES)
        return self._analyse(pending, ready, state)

    def flush(self, state: SpectraState) -> tuple[Spectra, SpectraState]:
        """End the stream: the last timesteps, their frames completed with zeros."""
        remaining = len(state.pending) // TIMESTEP_SAMPLES
        pending = np.concatenate([state.pending, np.zeros(FRAME_TAIL_SAMPLES, np.float32)])
        return self._analyse(pending, remaining, state)

    def _analyse(
        self, pending: Float32, ready: int, state: SpectraState
    ) -> tuple[Spectra, SpectraState]:
        used = ready * TIMESTEP_SAMPLES
        if ready == 0:
            power = np.zeros((0, FRAMES_PER_TIMESTEP, FREQUENCY_BINS), np.float32)
        else:
            power = power_spectra(pending[: used + FRAME_TAIL_SAMPLES]).reshape(
                ready, FRAMES_PER_TIMESTEP, FREQUENCY_BINS
            )
        speech = np.zeros(ready, np.float32)
        detector_state = state.speech
        for step in range(ready):
            # The gate may hear what the frames of this timestep hear, and nothing later.
            heard = (step + 1) * TIMESTEP_SAMPLES + FRAME_TAIL_SAMPLES
            already = step * TIMESTEP_SAMPLES + FRAME_TAIL_SAMPLES
            if step == 0 and state.timesteps == 0:
                already = 0
            speech[step], detector_state = self._detector.accept(
                pending[already:heard], detector_state
            )
        return Spectra(power, speech), SpectraState(
            pending[used:].copy(), state.timesteps + ready, detector_state
        )


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
    speech_threshold: float = 0.5

    def __post_init__(self) -> None:
        prior = self.prior_spectrum
        if prior.shape != (FREQUENCY_BINS,):
            raise ValueError(f"prior_spectrum must have {FREQUENCY_BINS} bins, has {prior.shape}")
        if not (np.all(np.isfinite(prior)) and np.all(prior > 0)):
            raise ValueError("prior_spectrum must be finite and positive")
        if not self.prior_timesteps > 0:
            raise ValueError("prior_timesteps must be positive")
        if not self.memory_timesteps >= 1:
            raise ValueError("memory_timesteps must be at least 1")
        if not -100 <= self.floor_db < 0:
            raise ValueError("floor_db must lie in [-100, 0)")

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
        total, count, loudest = state.power, state.timesteps, state.loudest
        keep = float(np.exp(-1.0 / self.memory_timesteps))
        floor = 10.0 ** (self.floor_db / 10.0)
        scale = np.float32(1.0 / np.log1p(1.0 / floor))
        for step in range(spectra.power.shape[-3]):
            power = spectra.power[..., step, :, :]
            mean = power.mean(axis=-2, dtype=np.float64)
            level = mean.sum(axis=-1)
            loudest = np.maximum(loudest, level)
            is_speech = spectra.speech[..., step] >= self.speech_threshold
            total = np.where(is_speech[..., None], keep * total + mean, total)
            count = np.where(is_speech, keep * count + 1.0, count)
            # Where nothing was counted yet the sum is zero too, and the loudest timestep stands in.
            speech_level = np.where(
                count > 0, total.sum(axis=-1) / np.maximum(count, 1e-9), loudest
            )
            reference = (
                self.prior_timesteps * speech_level[..., None] * self.prior_spectrum + total
            ) / (self.prior_timesteps + count)[..., None]
            inverse = (1.0 / (floor * reference + SILENT_POWER)).astype(np.float32)
            features[..., step, :, :] = np.log1p(power * inverse[..., None, :]) * scale
        return features, NormaliserState(total, count, loudest)
