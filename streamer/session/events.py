"""What a session tells its sinks, in the order it happens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.estimate import Estimate
from streamer.recognition.prior import BALANCED, Prior
from streamer.recognition.profile import USUAL


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """First event.

    Attributes:
        source: file, ``-`` for standard input, or device.
        sample_rate: of the source, in Hz.
        model: name of the model.
        labels: emotions.
        look_ahead_ms: most audio after an estimate's time that it may depend on, resampler
            included.
        started: wall-clock time.
        prior: how often each label was taken to be met.
        adaptation: how the stream goes about its voice, as
            :meth:`streamer.recognition.profile.Adaptation.told` says it; None of a model that
            knows no voices.
        channel: of the source, from 1; None where its channels are one stream.
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
        """What people are told of the adaptation, after a comma; empty where it is as usual."""
        is_usual = self.adaptation in (None, USUAL)
        return "" if is_usual else f", adaptation: {self.adaptation}"


@dataclass(frozen=True, slots=True)
class Estimated:
    """One timestep.

    Attributes:
        estimate: what the stream gave, its time in stream time.
        latency_ms: how late it came; None where no clock applies, as of audio that was lost.
        is_lost: it was made of silence in place of audio that was lost.
        channel: as of the session.
    """

    estimate: Estimate
    latency_ms: float | None
    is_lost: bool = False
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Audio was lost; estimates for the lost stretch, if any, were made of silence.

    Attributes:
        time_s: stream time at which the loss begins, or was noticed.
        lost_samples: at the source's rate.
        reason: in words.
        channel: as of the session.
    """

    time_s: float
    lost_samples: int
    reason: str
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """The person marked a moment; it comes after the estimates that were shown by then.

    Attributes:
        time_s: stream time, end of the newest timestep that was shown.
        channel: as of the session.
    """

    time_s: float
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class SourceAway:
    """The source gives nothing for a while; a :class:`Gap` says how much once that is known.

    Attributes:
        channel: as of the session.
    """

    channel: int | None = None


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Last event.

    Attributes:
        duration_s: stream time: audio heard and lost.
        estimates: how many were given.
        summary: share of the estimates, by label; all labels and states are named.
        overall: verdict on the whole, an emotion or `silence`.
        probabilities: of the verdict, by emotion.
        channel: as of the session.
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
    """A block went through; no event, because what was heard is no result.

    Attributes:
        samples: ``(samples,)`` mono float32, as the source gave it.
        sample_rate: in Hz.
        clipped: samples among them that are clipped on any channel.
        overflows: losses that the device has flagged so far.
        compute_s: computing time it took, resampling included.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    clipped: int
    overflows: int
    compute_s: float


class Listener(Protocol):
    """Wants the audio itself, before the estimates that it completes: a meter, a recorder."""

    def hear(self, heard: AudioBlock) -> None: ...
