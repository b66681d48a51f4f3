"""What comes out of a stream for every timestep, and the state that it carries on."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.decision import DecisionState
from streamer.recognition.network import NetworkState
from streamer.recognition.normaliser import NormaliserState
from streamer.recognition.spectra import SpectraState

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The result for one timestep; two are equal if all of them is.

    Attributes:
        time: end of the timestep in stream time, seconds.
        label: an emotion, `silence`, `uncertain` or `warming up`.
        probabilities: ``(labels,)`` calibrated, under the recognizer's prior, float32.
        speech: speech probability.
        attention: ``(T,)`` weights over the rolling window, newest timestep last.
        ordinary: how likely speech is that nobody acts, where it is as common as it was in
            training; None of a model that does not tell.
        weighed: ``(labels,)`` what the label was decided by: probabilities averaged over the last
            moments, none above that of the emotion that is shown; None where no emotion was.
    """

    time: float
    label: str
    probabilities: Float32
    speech: float
    attention: Float32
    ordinary: float | None = None
    weighed: Float32 | None = None

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

    The state passed into a call is used up: the network's part moves on in place. Go on from the
    one that comes back; one from before is refused as soon as a timestep was taken from it.

    Attributes:
        spectra: pending samples and the voice gate.
        normaliser: running reference of the features.
        network: the network's state tensors.
        decision: smoothing and hysteresis.
        speech: speech probability of timesteps whose estimate is still to come.
        emitted: number of estimates that went out.
        takes_in: how much of its voice, see :data:`streamer.recognition.profile.ORDINARY`.
    """

    spectra: SpectraState
    normaliser: NormaliserState
    network: NetworkState
    decision: DecisionState
    speech: tuple[float, ...]
    emitted: int
    takes_in: float
