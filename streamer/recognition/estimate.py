"""A stream's output for each timestep, and the state that it carries on."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.decision import DecisionState
from streamer.recognition.level import LevelState
from streamer.recognition.network import NetworkState
from streamer.recognition.normaliser import NormaliserState
from streamer.recognition.spectra import SpectraState

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The result for one timestep; two are equal if all their fields are.

    Attributes:
        time: end of the timestep in stream time, seconds.
        label: an emotion, `silence`, `uncertain` or `warming up`.
        probabilities: ``(labels,)`` calibrated, under the recognizer's prior, float32.
        speech: speech probability.
        attention: ``(T,)`` weights over the rolling window, newest timestep last.
        ordinary: probability that the speech is not acted, if such speech is as common as in
            training; None if the model does not compute it.
        weighed: ``(labels,)`` the weights that decided the label: recently averaged probabilities,
            none above that of the emotion shown; None if no emotion is shown.
    """

    time: float
    label: str
    probabilities: Float32
    speech: float
    attention: Float32 = field(repr=False)  # long
    ordinary: float | None = None
    weighed: Float32 | None = None

    @property
    def decisive(self) -> Float32:
        """``(labels,)`` the figures to show beside the label.

        These are the weights that decided it, or without an emotion the probabilities.
        """
        return self.probabilities if self.weighed is None else self.weighed

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Estimate):
            return NotImplemented
        pairs = [(getattr(self, one.name), getattr(other, one.name)) for one in fields(self)]
        return all(np.array_equal(ours, theirs) for ours, theirs in pairs)

    def __hash__(self) -> int:
        return hash((self.time, self.label, self.speech))


@dataclass(frozen=True, slots=True)
class StreamState:
    """Everything one stream carries from block to block; its size does not depend on time.

    A call uses up the state passed into it: the network's part moves on in place. Continue from the
    state it returns; an older one is refused once a timestep was taken from it.

    Attributes:
        spectra: pending samples and the voice gate.
        normaliser: running reference of the features.
        network: the network's state tensors.
        decision: smoothing and hysteresis.
        speech: pairs for the timesteps whose estimates are still to come: speech probability, and
            level of the speech in dB, or ``UNKNOWN_DB`` for a model that hears no levels.
        level: level of the latest speech.
        emitted: number of estimates emitted.
        takes_in: how much of its voice it takes in, see
            :data:`streamer.recognition.profile.ORDINARY`.
        at_once: number of timesteps that the network takes at once.
    """

    spectra: SpectraState
    normaliser: NormaliserState
    network: NetworkState
    decision: DecisionState
    speech: tuple[tuple[float, float], ...]
    level: LevelState
    emitted: int
    takes_in: float
    at_once: int
