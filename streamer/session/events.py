"""Events that a session sends to its sinks, in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.estimate import Estimate
from streamer.recognition.prior import BALANCED, Prior
from streamer.recognition.profile import USUAL
from streamer.signal import TIMESTEP_S


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """First event.

    Attributes:
        source: file, ``-`` for standard input, or device.
        sample_rate: the source's, in Hz.
        model: name of the model.
        labels: emotions.
        look_ahead_ms: the most audio after its time that an estimate may depend on, resampler
            included.
        started: wall-clock time.
        prior: the assumed frequency of each label.
        adaptation: how the stream adapts to its voice, as text from
            :meth:`streamer.recognition.profile.Adaptation.told`; None for a model that does not
            adapt to voices.
        channel: number in the source, from 1; None if its channels are one stream.
    """

    source: str
    sample_rate: int
    model: str
    labels: tuple[str, ...]
    look_ahead_ms: float
    started: datetime
    prior: Prior = BALANCED
    adaptation: str | None = None
    channel: int | None = None

    @property
    def unusual(self) -> str:
        """The adaptation as text to append, after a comma; empty if it is the usual one."""
        is_usual = self.adaptation in (None, USUAL)
        return "" if is_usual else f", adaptation: {self.adaptation}"


@dataclass(frozen=True, slots=True)
class Estimated:
    """One timestep.

    Attributes:
        estimate: the stream's estimate, its time in stream time.
        latency_ms: how late it came; None if no clock applies, or if the audio was lost.
        is_lost: whether it was computed from silence in place of lost audio.
        channel: as in :class:`SessionStarted`.
    """

    estimate: Estimate
    latency_ms: float | None
    is_lost: bool = False
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Audio was lost; estimates for the lost stretch, if any, were computed from silence.

    Attributes:
        time_s: stream time at which the loss begins, or was noticed.
        lost_samples: at the source's rate.
        reason: in words.
        channel: as in :class:`SessionStarted`.
    """

    time_s: float
    lost_samples: int
    reason: str
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """The user marked a moment; the event comes after the estimates that were shown by then.

    Attributes:
        time_s: stream time at which the newest timestep shown ends.
        channel: as in :class:`SessionStarted`.
    """

    time_s: float
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class SourceAway:
    """The source delivers nothing for a while; a :class:`Gap` gives the length once it is known.

    Attributes:
        channel: as in :class:`SessionStarted`.
    """

    channel: int | None = None


#: What is wrong with a recording that ends without an estimate.
TOO_SHORT = f"too short: a timestep is {1000 * TIMESTEP_S:g} ms"


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Last event.

    Attributes:
        duration_s: stream time: audio heard and lost.
        estimates: number of estimates.
        summary: share of the estimates by label, with every label and state.
        overall: verdict on the whole session, an emotion or `silence`.
        probabilities: the verdict's, by emotion.
        channel: as in :class:`SessionStarted`.
    """

    duration_s: float
    estimates: int
    summary: dict[str, float]
    overall: str
    probabilities: dict[str, float]
    channel: int | None = None


Event = SessionStarted | Estimated | Gap | Marked | SourceAway | SessionEnded


class Sink(Protocol):
    """Takes events; :mod:`streamer.formats` writes them."""

    def take(self, event: Event) -> None: ...


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """A block that was processed; not an event, because audio is not a result.

    Attributes:
        samples: ``(samples,)`` mono float32, as the source delivered it.
        sample_rate: in Hz.
        clipped: number of these samples that are clipped on any channel.
        overflows: losses that the device has flagged so far.
        compute_s: computing time of the block, resampling included.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    clipped: int
    overflows: int
    compute_s: float


class Listener(Protocol):
    """Takes the audio itself, before the estimates it completes: a meter, a recorder."""

    def hear(self, heard: AudioBlock) -> None: ...
