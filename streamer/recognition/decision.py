"""Turns estimates into labels, and a whole recording into one verdict."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from streamer.signal import SPEECH_THRESHOLD, TIMESTEP_S

SILENCE = "silence"
UNCERTAIN = "uncertain"
WARMING_UP = "warming up"
STATES = (SILENCE, UNCERTAIN, WARMING_UP)
#: Least speech for a verdict.
LEAST_SPEECH_S = 0.4


def names_of(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return every label that an estimate may have: the emotions, then the states."""
    return (*labels, *STATES)


def check_labels(labels: tuple[str, ...]) -> None:
    """Raise ValueError unless there are two or more different names, none of them a state's."""
    if len(labels) < 2 or len(set(names_of(labels))) != len(labels) + len(STATES):
        raise ValueError(f"labels must be two or more different names, none of {', '.join(STATES)}")


@dataclass(frozen=True, slots=True)
class DecisionConfig:
    """Settings for turning estimates into labels.

    Attributes:
        speech_on: speech probability at which speech begins.
        speech_off: probability under which it ends ...
        hangover_s: ... once it has stayed there this long.
        warm_up_s: speech that must be in the rolling window before an emotion is named.
        smoothing_s: time constant of the exponential average over the probabilities.
        switch_margin: a new emotion must lead the shown one by this much.
        uncertain_below: the shown emotion is `uncertain` under this smoothed probability ...
        certain_from: ... and is shown again from this one on.
    """

    speech_on: float = SPEECH_THRESHOLD
    speech_off: float = 0.35
    hangover_s: float = 0.4
    warm_up_s: float = 0.4
    smoothing_s: float = 0.3
    switch_margin: float = 0.1
    uncertain_below: float = 0.38
    certain_from: float = 0.42

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            limit = 60.0 if field.name.endswith("_s") else 1.0
            if not 0.0 <= value <= limit:
                raise ValueError(f"{field.name} must lie in [0, {limit:g}], is {value}")
        if self.speech_off > self.speech_on:
            raise ValueError("speech_off must not exceed speech_on")
        if self.uncertain_below > self.certain_from:
            raise ValueError("uncertain_below must not exceed certain_from")


@dataclass(frozen=True, slots=True)
class DecisionState:
    """The decision's memory of one stream.

    Attributes:
        is_speaking: speech has begun and its hangover has not passed.
        quiet_timesteps: timesteps since the probability was last at ``speech_off`` or more.
        heard: which of the last T timesteps were speech, a bit for each, newest lowest.
        smoothed: averaged probability of each label, None before the first speech.
        emotion: index of the current emotion, None before the first.
        is_certain: whether it is certain enough to be shown.
    """

    is_speaking: bool = False
    quiet_timesteps: int = 0
    heard: int = 0
    smoothed: tuple[float, ...] | None = None
    emotion: int | None = None
    is_certain: bool = False


class Decision:
    """Smoothing, hysteresis, silence and uncertainty; immutable, as callers pass the state."""

    def __init__(
        self, labels: Sequence[str], window_timesteps: int, config: DecisionConfig
    ) -> None:
        self._labels = tuple(labels)
        self._window = (1 << window_timesteps) - 1
        self._config = config
        self._hangover = round(config.hangover_s / TIMESTEP_S)
        self._warm_up = round(config.warm_up_s / TIMESTEP_S)
        share = config.smoothing_s / TIMESTEP_S
        self._new = 1.0 - float(np.exp(-1.0 / share)) if share > 0 else 1.0

    def initial_state(self) -> DecisionState:
        return DecisionState()

    def decide(
        self, probabilities: Sequence[float], speech: float, state: DecisionState
    ) -> tuple[str, DecisionState]:
        """Return the label of the next timestep and the new state.

        Args:
            probabilities: of each label, calibrated.
            speech: speech probability of the same timestep.
            state: state after the previous timestep.
        """
        config = self._config
        quiet = 0 if speech >= config.speech_off else state.quiet_timesteps + 1
        is_speaking = speech >= config.speech_on or (state.is_speaking and quiet <= self._hangover)
        heard = (state.heard << 1 | (speech >= config.speech_on)) & self._window
        smoothed, emotion, is_certain = state.smoothed, state.emotion, state.is_certain
        if not is_speaking:
            label = SILENCE
        elif heard.bit_count() < self._warm_up:
            # Earlier speech has left the window: begin afresh.
            label, smoothed, emotion = WARMING_UP, None, None
        else:
            smoothed, emotion, is_certain = self._hold_emotion(probabilities, state)
            label = self._labels[emotion] if is_certain else UNCERTAIN
        return label, DecisionState(is_speaking, quiet, heard, smoothed, emotion, is_certain)

    def weighed(self, state: DecisionState) -> NDArray[np.float32] | None:
        """Return the weights ``(labels,)`` that decided a state's emotion; None if it has none.

        They sum to 1. The shown emotion stays until another leads it by a margin; until then both
        count the same.
        """
        if state.smoothed is None or state.emotion is None:
            return None
        weights = [*state.smoothed]
        weights[state.emotion] = max(weights) + 1e-6
        total = sum(weights)
        return np.array([weight / total for weight in weights], np.float32)

    def _hold_emotion(
        self, probabilities: Sequence[float], state: DecisionState
    ) -> tuple[tuple[float, ...], int, bool]:
        """Return the averaged probabilities, the emotion, and whether it is certain."""
        config = self._config
        smoothed = tuple([float(one) for one in probabilities])
        if state.smoothed is not None:
            pairs = zip(state.smoothed, smoothed, strict=True)
            smoothed = tuple([before + self._new * (now - before) for before, now in pairs])
        greatest = max(smoothed)
        emotion = state.emotion
        if emotion is None or greatest - smoothed[emotion] >= config.switch_margin:
            emotion = smoothed.index(greatest)
        # An emotion must reach the upper bound to be shown, but only the lower to stay shown.
        was_shown = state.is_certain and state.emotion == emotion
        bound = config.uncertain_below if was_shown else config.certain_from
        return smoothed, emotion, smoothed[emotion] >= bound


def label_changes(labels: Sequence[str]) -> list[int]:
    """Return the timesteps at which the emotion or `uncertain` shown differs from the last shown.

    `silence` and `warming up` only interrupt: they depend on the voice, not on the emotion.
    """
    shown = [i for i, label in enumerate(labels) if label not in (SILENCE, WARMING_UP)]
    return [now for before, now in pairwise(shown) if labels[now] != labels[before]]


_Count = TypeVar("_Count", int, NDArray[np.int64])


def vote(heard: _Count) -> _Count:
    """Return an estimate's weight in the verdict, by the speech timesteps in its rolling window."""
    return heard * heard


class Verdict:
    """The verdict on a whole recording: a mean of its estimates, weighted by speech.

    The weight is the square of the speech in the estimate's rolling window (:func:`vote`). In a
    short recording the last estimates decide, which heard nearly all of it, as in the paper's one
    window over the utterance; in a long one all estimates with full windows count the same. This
    gains 1 to 3 points of UAR over the plain mean on unseen speakers.
    """

    def __init__(self, labels: Sequence[str], window_timesteps: int, speech_on: float) -> None:
        self._labels = tuple(labels)
        self._speech_on = speech_on
        self._heard: deque[bool] = deque(maxlen=window_timesteps)
        self._sum = np.zeros(len(self._labels))
        self._votes = self._spoken = 0
        self._shown = np.zeros(len(self._labels), np.int64)
        self._led = np.zeros(len(self._labels), bool)

    def add(self, probabilities: NDArray[np.float32], speech: float, label: str = "") -> None:
        """Add the next timestep.

        Args:
            probabilities: ``(labels,)``.
            speech: speech probability.
            label: the label shown, if the verdict may name only emotions that were shown.
        """
        is_speech = speech >= self._speech_on
        if label in self._labels:
            self._shown[self._labels.index(label)] += 1
        self._heard.append(is_speech)
        if is_speech:
            weight = vote(sum(self._heard))
            self._sum += weight * probabilities
            self._votes += weight
            self._spoken += 1
            self._led[probabilities.argmax()] = True

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Mean probabilities ``(labels,)``; all equal without speech."""
        if self._votes:
            return self._sum / self._votes
        return np.full(len(self._labels), 1.0 / len(self._labels))

    @property
    def overall(self) -> str:
        """The likeliest of the emotions shown, or `silence` if there was hardly any speech.

        An emotion shown only for a moment does not beat a likelier one. If none was shown for
        longer, the verdict is the likeliest emotion that led in any estimate.
        """
        least = LEAST_SPEECH_S / TIMESTEP_S - 0.5
        if self._spoken < least:
            return SILENCE
        probabilities = self.probabilities
        if not self._shown[probabilities.argmax()]:
            eligible = self._shown >= least
            eligible = eligible if eligible.any() else self._led
            probabilities = np.where(eligible, probabilities, -1.0)
        return self._labels[int(probabilities.argmax())]
