"""Estimates, gaps and marks as intervals of time, in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from streamer.formats.numbers import TIME_DIGITS
from streamer.session.events import Estimated, Event, Gap, Marked, SessionStarted
from streamer.signal import TIMESTEP_S


class Kind(Enum):
    """The kind of an interval."""

    LABEL = "label"
    GAP = "gap"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of stream time, in seconds; a mark has no length.

    Labels do not overlap, nor do gaps; between labels there are holes where audio was skipped.
    """

    start_s: float
    end_s: float
    kind: Kind
    text: str


class Intervals:
    """Converts the events of a session to intervals: a run of equal labels is one interval.

    An estimate's time is the end of its timestep, so a run begins one timestep earlier.
    """

    def __init__(self) -> None:
        self._rate = 1
        self._run: Interval | None = None
        self._lost_until_s = 0.0
        self._waiting: list[Interval] = []

    def take(self, event: Event) -> list[Interval]:
        """Return the intervals now complete, in order of their starts."""
        match event:
            case SessionStarted():
                self._rate = event.sample_rate
            case Gap():
                self._waiting.append(self._gap(event))
            case Marked():
                time_s = round(event.time_s, TIME_DIGITS)
                self._waiting.append(Interval(time_s, time_s, Kind.MARK, "mark"))
            case Estimated():
                return self._estimate(event.estimate.time, event.estimate.label)
        return []

    def finish(self) -> list[Interval]:
        """Return the remaining intervals."""
        rest, self._waiting = self._waiting, []
        if self._run is not None:
            rest.append(self._run)
            self._run = None
        return sorted(rest, key=lambda one: one.start_s)

    def _gap(self, event: Gap) -> Interval:
        start_s = max(round(event.time_s, TIME_DIGITS), self._lost_until_s)
        end_s = round(event.time_s + event.lost_samples / self._rate, TIME_DIGITS)
        self._lost_until_s = max(start_s, end_s)
        return Interval(start_s, self._lost_until_s, Kind.GAP, event.reason)

    def _estimate(self, time_s: float, label: str) -> list[Interval]:
        end_s = round(time_s, TIME_DIGITS)
        start_s = max(0.0, round(time_s - TIMESTEP_S, TIME_DIGITS))
        run = self._run
        if run is None:
            self._run = Interval(start_s, end_s, Kind.LABEL, label)
            return []
        is_hole = start_s - run.end_s > TIMESTEP_S / 2
        if not is_hole:  # rounding must leave neither slivers nor overlaps
            start_s = run.end_s
        if label == run.text and not is_hole:
            self._run = Interval(run.start_s, end_s, Kind.LABEL, label)
            return []
        self._run = Interval(start_s, end_s, Kind.LABEL, label)
        return [*self._before(run.start_s), run]

    def _before(self, time_s: float) -> list[Interval]:
        """Return the gaps and marks that are due. A gap comes before the estimates around it."""
        if not self._waiting:
            return []
        ready = sorted((i for i in self._waiting if i.start_s < time_s), key=lambda i: i.start_s)
        self._waiting = [one for one in self._waiting if one.start_s >= time_s]
        return ready
