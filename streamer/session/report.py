"""A stream's report: its events, sent to the sinks in order, and the counts for the last one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from streamer.errors import RunFailure
from streamer.recognition.decision import Verdict, names_of
from streamer.recognition.estimate import Estimate
from streamer.recognition.recognizer import Recognizer
from streamer.session.clock import Clock
from streamer.session.events import (
    Estimated,
    Event,
    Gap,
    SessionEnded,
    SessionStarted,
    Sink,
    SourceAway,
)
from streamer.signal import TIMESTEP_S


class _StreamTime:
    """Converts time in samples given to the stream to stream time, which includes lost audio.

    Queries must come in ascending order.
    """

    def __init__(self) -> None:
        self._skips: deque[tuple[float, float]] = deque()
        self._silences: deque[tuple[float, float]] = deque()
        self._skipped_s = 0.0

    def lose(self, heard_s: float, skipped_s: float, filled_s: float) -> None:
        """Note that audio is lost after ``heard_s``: skipped, or replaced by silence."""
        if skipped_s:
            self._skips.append((heard_s, skipped_s))
        if filled_s:
            self._silences.append((heard_s, heard_s + filled_s))

    def at(self, heard_s: float) -> float:
        """Return the stream time at which ``heard_s`` of samples end."""
        while self._skips and heard_s > self._skips[0][0]:
            self._skipped_s += self._skips.popleft()[1]
        return heard_s + self._skipped_s

    def is_lost(self, heard_s: float) -> bool:
        """Return whether the timestep that ends there has any silence in place of lost audio."""
        while self._silences and heard_s - TIMESTEP_S >= self._silences[0][1]:
            self._silences.popleft()
        return bool(self._silences) and heard_s > self._silences[0][0]


class Sinks:
    """The sinks of a session; if one fails, the others go on without it.

    Attributes:
        failure: the first failure, if there was one.
    """

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self._working = list(sinks)
        self.failure: RunFailure | None = None

    def take(self, event: Event) -> None:
        """Send an event to every sink that has not failed."""
        for sink in tuple(self._working):
            try:
                sink.take(event)
            except RunFailure as error:
                self._working.remove(sink)
                self.failure = self.failure or error

    def check(self) -> None:
        """Raise the first failure, if there was one.

        Raises:
            RunFailure: a sink failed.
        """
        if self.failure is not None:
            raise self.failure


class Report:
    """Sends events to the sinks and keeps the counts for the last event."""

    def __init__(
        self,
        recognizer: Recognizer,
        sinks: Sinks,
        clock: Clock,
        channel: int | None = None,
    ) -> None:
        metadata = recognizer.metadata
        self._labels = metadata.labels
        self._verdict = Verdict(
            metadata.labels, metadata.window_timesteps, metadata.decision.speech_on
        )
        self._counts = dict.fromkeys(names_of(self._labels), 0)
        self._sinks = sinks
        self.channel = channel
        self._clock = clock
        self._stream_time = _StreamTime()
        self._owed: deque[Estimate] = deque()
        self.is_started = False

    def start(self, event: SessionStarted) -> None:
        self.is_started = True
        self._sinks.take(event)

    def owe(self, estimates: Sequence[Estimate]) -> None:
        """Queue estimates; :meth:`deliver` sends them."""
        self._owed.extend(estimates)

    @property
    def next_time_s(self) -> float:
        """Time of the oldest queued estimate, by samples heard; infinite if there is none."""
        return self._owed[0].time if self._owed else float("inf")

    def deliver(self, most: int | None = None) -> None:
        """Send the queued estimates, or at most so many of them, one by one."""
        while self._owed and most != 0:
            most = None if most is None else most - 1
            estimate = self._owed[0]
            is_lost = self._stream_time.is_lost(estimate.time)
            time_s = self._stream_time.at(estimate.time)
            if time_s != estimate.time:
                estimate = replace(estimate, time=time_s)
            self._owed.popleft()
            self._counts[estimate.label] += 1
            self._verdict.add(estimate.probabilities, estimate.speech, estimate.label)
            latency_ms = None if is_lost else self._clock.latency_ms(time_s)
            self._sinks.take(Estimated(estimate, latency_ms, is_lost, self.channel))

    def gap(self, event: Gap, heard_s: float, skipped_s: float, filled_s: float) -> None:
        """Report that audio is lost after ``heard_s``: skipped, or replaced by silence."""
        self._stream_time.lose(heard_s, skipped_s, filled_s)
        self._sinks.take(event)

    def away(self) -> None:
        self._sinks.take(SourceAway(self.channel))

    def end(self, duration_s: float) -> None:
        total = sum(self._counts.values())
        probabilities = self._verdict.probabilities.tolist()
        event = SessionEnded(
            duration_s,
            total,
            {label: count / max(total, 1) for label, count in self._counts.items()},
            self._verdict.overall,
            dict(zip(self._labels, probabilities, strict=True)),
            self.channel,
        )
        self._sinks.take(event)


def deliver_by_time(reports: Sequence[Report]) -> None:
    """Send the queued estimates of all streams by time, so block size does not change the order."""
    if len(reports) == 1:
        reports[0].deliver()
        return
    while True:
        first = min(reports, key=lambda report: report.next_time_s)
        if first.next_time_s == float("inf"):
            return
        first.deliver(1)
