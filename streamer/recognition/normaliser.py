"""Causal normalisation of spectra; live recognition and training share this code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.line import (
    LINE_SHAPE,
    after_each,
    after_one,
    forgetting,
    telephone_share,
)
from streamer.recognition.spectra import SILENT_POWER, Spectra
from streamer.signal import (
    FRAME_SAMPLES,
    FRAMES_PER_TIMESTEP,
    FREQUENCY_BINS,
    SAMPLE_RATE,
    SPEECH_THRESHOLD,
)

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: High-pass of the prior over a telephone, and what it leaves at least.
CUT_HZ = 300.0
CUT_ORDER = 4
LEAST_LEFT = 0.01


@dataclass(frozen=True, slots=True)
class NormaliserState:
    """Running reference of one stream, or of a batch of streams in the leading axes.

    Attributes:
        power: ``(..., 201)`` forgetting sum of the power of speech timesteps, float64.
        timesteps: ``(...)`` forgetting count of speech timesteps, float64.
        loudest: ``(...)`` greatest timestep power so far, float64.
        line: ``(..., 3, 2)`` what is known of the line, see :mod:`streamer.recognition.line`.
    """

    power: Float64
    timesteps: Float64
    loudest: Float64
    line: Float64


@dataclass(frozen=True)
class Normaliser:
    """Power -> features that are independent of the recording's level and noise floor.

    The reference of a bin is the mean power of the speech so far, drawn towards a prior spectrum
    that is scaled to the level of the same speech:

        M_b = (n0 L prior_b + sum of speech power_b) / (n0 + n),   L = running speech level

    and a feature is ``log(1 + power_b / (floor M_b)) / log(1 + 1 / floor)``: 1 at the reference,
    0 where the power is far below the floor. The convolutions also pad with zero. Loud frames
    govern a linear mean, so noise under the speech does not change M; it is under the floor, so it
    does not change the feature either. Until speech is detected, the loudest timestep so far
    replaces the speech level.

    Over a telephone the prior goes through a high-pass. A voice has much of its power in the low
    band, so with a prior that expected it there the reference of all other bins would be too low.

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
        return NormaliserState(
            power=np.zeros((*batch, FREQUENCY_BINS)),
            timesteps=np.zeros(batch),
            loudest=np.zeros(batch),
            line=np.zeros((*batch, *LINE_SHAPE)),
        )

    def normalise(
        self, spectra: Spectra, state: NormaliserState, at_once: int = 1
    ) -> tuple[Float32, NormaliserState]:
        """Normalise consecutive timesteps.

        Args:
            spectra: power ``(..., timesteps, 4, 201)`` and speech ``(..., timesteps)``.
            state: state after the earlier timesteps.
            at_once: number of timesteps that are computed at once. The result depends on it, to
                float rounding.

        Returns:
            features ``(..., timesteps, 4, 201)`` float32, and the new state.
        """
        features = np.empty_like(spectra.power)
        for first in range(0, spectra.power.shape[-3], at_once):
            # A single timestep without its axis: the closed form takes twice as long for it.
            own = slice(first, first + at_once) if at_once > 1 else first
            power, speech = spectra.power[..., own, :, :], spectra.speech[..., own]
            after = (self._references if at_once > 1 else self._reference)(power, speech, state)
            np.multiply(power, self._gain(after)[..., None, :], out=features[..., own, :, :])
            state = after
            if at_once > 1:
                state = NormaliserState(
                    power=after.power[..., -1, :],
                    timesteps=after.timesteps[..., -1],
                    loudest=after.loudest[..., -1],
                    line=after.line[..., -1, :, :],
                )
        np.log1p(features, out=features)
        features *= self._scale
        return features, state

    def normalise_many(
        self, spectra: Sequence[Spectra], states: Sequence[NormaliserState], at_once: int = 1
    ) -> list[tuple[Float32, NormaliserState]]:
        """Do :meth:`normalise` for each of many streams."""
        if len({len(one.power) for one in spectra}) != 1:
            pairs = zip(spectra, states, strict=True)
            return [self.normalise(*pair, at_once) for pair in pairs]
        together = Spectra(
            np.array([one.power for one in spectra]), np.array([one.speech for one in spectra])
        )
        state = NormaliserState(
            power=np.array([one.power for one in states]),
            timesteps=np.array([one.timesteps for one in states]),
            loudest=np.array([one.loudest for one in states]),
            line=np.array([one.line for one in states]),
        )
        features, state = self.normalise(together, state, at_once)
        after = zip(state.power, state.timesteps, state.loudest, state.line, strict=True)
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

    def _reference(
        self, power: Float32, speech: Float32, state: NormaliserState
    ) -> NormaliserState:
        """Return the state after a timestep of power ``(..., 4, 201)`` and speech ``(...)``."""
        mean = np.add.reduce(power, axis=-2, dtype=np.float64) / FRAMES_PER_TIMESTEP
        loudest = np.maximum(state.loudest, np.add.reduce(mean, axis=-1))
        is_speech = speech >= self.speech_threshold
        line = after_one(state.line, mean, is_speech)
        if not is_speech.any():
            return NormaliserState(state.power, state.timesteps, loudest, line)
        total = np.where(is_speech[..., None], self._keep * state.power + mean, state.power)
        count = np.where(is_speech, self._keep * state.timesteps + 1.0, state.timesteps)
        return NormaliserState(total, count, loudest, line)

    def _references(
        self, power: Float32, speech: Float32, state: NormaliserState
    ) -> NormaliserState:
        """Return the state after each timestep, with their axis before the last.

        Args:
            power: ``(..., timesteps, 4, 201)``.
            speech: ``(..., timesteps)``.
            state: state before them.
        """
        mean = np.add.reduce(power, axis=-2, dtype=np.float64) / FRAMES_PER_TIMESTEP
        levels = np.add.reduce(mean, axis=-1)
        levels[..., 0] = np.maximum(state.loudest, levels[..., 0])
        loudest = np.maximum.accumulate(levels, axis=-1)
        is_speech = speech >= self.speech_threshold
        kept, weights = forgetting(is_speech, self._keep)
        total = kept[..., None] * state.power[..., None, :] + weights @ mean
        count = kept * state.timesteps[..., None] + np.add.reduce(weights, axis=-1)
        line = after_each(state.line, mean, is_speech)
        return NormaliserState(total, count, loudest, line)

    def _gain(self, state: NormaliserState) -> Float32:
        """Return the factor for the power of timesteps, ``(..., 201)``: one over the floor."""
        # Before the first speech the sum is zero, too; the loudest timestep replaces the level.
        mean_level = np.add.reduce(state.power, axis=-1) / np.maximum(state.timesteps, 1e-9)
        level = np.where(state.timesteps > 0, mean_level, state.loudest)
        weight = self.prior_timesteps + state.timesteps
        reference = (
            self.prior_timesteps * level[..., None] * self.prior(state) + state.power
        ) / weight[..., None]
        gain: Float32 = (1.0 / (self._floor * reference + SILENT_POWER)).astype(np.float32)
        return gain

    def prior(self, state: NormaliserState) -> Float64:
        """Return the prior spectrum in a state, ``(..., 201)``, or ``(201,)`` for all streams."""
        share = telephone_share(state.line)
        if not share.any():
            return self.prior_spectrum
        return self.prior_spectrum + share[..., None] * self._change

    @cached_property
    def telephone_spectrum(self) -> Float64:
        """The prior spectrum over a telephone, ``(201,)``."""
        hertz = np.maximum(np.arange(FREQUENCY_BINS) * (SAMPLE_RATE / FRAME_SAMPLES), 1.0)
        left = np.maximum(1.0 / (1.0 + (CUT_HZ / hertz) ** (2 * CUT_ORDER)), LEAST_LEFT)
        prior = self.prior_spectrum * left
        return np.asarray(prior / prior.sum())

    @cached_property
    def _change(self) -> Float64:
        return np.asarray(self.telephone_spectrum - self.prior_spectrum)
