"""One session: source -> resampler -> stream -> sinks, at the pace of a clock."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from streamer.audio import Away, Loss, Source
from streamer.decision import STATES, Verdict
from streamer.errors import RunFailure, SerLiveError
from streamer.events import (
    Estimated,
    Event,
    Gap,
    Heard,
    Listener,
    SessionEnded,
    SessionStarted,
    Sink,
    SourceAway,
)
from streamer.frontend import TIMESTEP_S
from streamer.interrupts import Interrupted, Interrupts
from streamer.recognizer import Estimate, Recognizer, Stream
from streamer.resampler import Resampler


class Clock(Protocol):
    """What ties stream time to the wall clock: :class:`Pace`, or a microphone's own."""

    def wait_until(self, stream_s: float, block_s: float) -> None:
        """Wait for the moment at which the block that ends at ``stream_s`` was heard."""
        ...

    def latency_ms(self, time_s: float) -> float | None:
        """How long ago the moment ``time_s`` of the stream was heard; None if no clock applies."""
        ...


class Pace:
    """The clock of a replay: audio is handed over when a microphone would have heard it."""

    def __init__(self, speed: float | None, *, is_piped: bool = False) -> None:
        """Speed 1 is real time; None does not wait, and no latency applies.

        The first block of a pipe was heard when it comes, that of a file is still to be heard.
        """
        self._speed = speed
        self._is_piped = is_piped
        self._start: float | None = None

    def wait_until(self, stream_s: float, block_s: float) -> None:
        """Wait for the moment at which the block that ends at ``stream_s`` was heard.

        Moments are counted from the first block, so lateness of one does not delay the next.
        """
        if self._speed is None:
            return
        if self._start is None:
            heard_s = block_s if self._is_piped else 0.0
            self._start = time.monotonic() - heard_s / self._speed
        delay = self._start + stream_s / self._speed - time.monotonic()
        if delay > 0:
            time.sleep(delay)

    def latency_ms(self, time_s: float) -> float | None:
        """How long ago the moment ``time_s`` of the stream was heard."""
        if self._speed is None or self._start is None:
            return None
        return 1000.0 * (time.monotonic() - self._start - time_s / self._speed)


class _StreamTime:
    """Samples handed to the stream -> stream time, where lost audio was left out of them.

    Asked in ascending order.
    """

    def __init__(self) -> None:
        self._skips: deque[tuple[float, float]] = deque()
        self._silences: deque[tuple[float, float]] = deque()
        self._skipped_s = 0.0

    def lose(self, heard_s: float, skipped_s: float, filled_s: float) -> None:
        """After ``heard_s`` of samples audio is lost: left out, or silence in its place."""
        if skipped_s:
            self._skips.append((heard_s, skipped_s))
        if filled_s:
            self._silences.append((heard_s, heard_s + filled_s))

    def at(self, heard_s: float) -> float:
        """Stream time of the end of ``heard_s`` of samples."""
        while self._skips and heard_s > self._skips[0][0]:
            self._skipped_s += self._skips.popleft()[1]
        return heard_s + self._skipped_s

    def is_lost(self, heard_s: float) -> bool:
        """Whether any of the timestep that ends there is silence in place of lost audio."""
        while self._silences and heard_s - TIMESTEP_S >= self._silences[0][1]:
            self._silences.popleft()
        return bool(self._silences) and heard_s > self._silences[0][0]


class _Report:
    """Hands events to the sinks and counts what the last event sums up."""

    def __init__(
        self, recognizer: Recognizer, sinks: Sequence[Sink], clock: Clock, interrupts: Interrupts
    ) -> None:
        self._labels = recognizer.metadata.labels
        self._verdict = Verdict(self._labels, recognizer.metadata.decision.speech_on)
        self._counts = dict.fromkeys((*self._labels, *STATES), 0)
        self._sinks = sinks
        self._clock = clock
        self._stream_time = _StreamTime()
        self._interrupts = interrupts
        self._owed: deque[Estimate] = deque()
        self.is_started = False

    def start(self, event: SessionStarted) -> None:
        with self._interrupts.shielded():
            self.is_started = True
            self._send(event)

    def owe(self, estimates: Sequence[Estimate]) -> None:
        """Take estimates in; :meth:`deliver` hands them on."""
        self._owed.extend(estimates)

    def deliver(self) -> None:
        """Hand on the estimates that are owed, one by one."""
        while self._owed:
            estimate = self._owed[0]
            is_lost = self._stream_time.is_lost(estimate.time)
            time_s = self._stream_time.at(estimate.time)
            if time_s != estimate.time:
                estimate = replace(estimate, time=time_s)
            with self._interrupts.shielded():  # counted and written, or neither
                self._owed.popleft()
                self._counts[estimate.label] += 1
                self._verdict.add(estimate.probabilities, estimate.speech)
                latency_ms = None if is_lost else self._clock.latency_ms(time_s)
                self._send(Estimated(estimate, latency_ms, is_lost))

    def gap(self, loss: Loss, heard: int, skipped: int, sample_rate: int) -> None:
        """Audio is lost after ``heard`` samples, and ``skipped`` left out before."""
        heard_s, left_out = heard / sample_rate, loss.samples - loss.filled
        self._stream_time.lose(heard_s, left_out / sample_rate, loss.filled / sample_rate)
        with self._interrupts.shielded():
            self._send(Gap((heard + skipped) / sample_rate, loss.samples, loss.reason))

    def away(self) -> None:
        with self._interrupts.shielded():
            self._send(SourceAway())

    def end(self, duration_s: float) -> None:
        total = sum(self._counts.values())
        probabilities = self._verdict.probabilities.tolist()
        event = SessionEnded(
            duration_s,
            total,
            {label: count / max(total, 1) for label, count in self._counts.items()},
            self._verdict.overall,
            dict(zip(self._labels, probabilities, strict=True)),
        )
        with self._interrupts.shielded():
            self._send(event)

    def _send(self, event: Event) -> None:
        for sink in self._sinks:
            sink.take(event)


def run_session(
    source: Source,
    recognizer: Recognizer,
    sinks: Sequence[Sink],
    *,
    clock: Clock,
    block_ms: int,
    interrupts: Interrupts,
    listeners: Sequence[Listener] = (),
) -> None:
    """Run a source to its end, or to a signal; either way the sinks get their last event.

    Args:
        source: audio at any rate.
        recognizer: makes the stream.
        sinks: take the events.
        clock: paces the source and dates its audio.
        block_ms: size of the blocks the source hands over.
        interrupts: signals.
        listeners: hear every block before the estimates that it completes.

    Raises:
        SerLiveError: the audio turned out damaged; after the last event of what was heard.
        RunFailure: a sink failed.
        Interrupted: a signal came; after the last event.
    """
    resampler = Resampler(source.sample_rate)
    stream = recognizer.stream()
    report = _Report(recognizer, sinks, clock, interrupts)
    metadata = recognizer.metadata
    started = SessionStarted(
        source.name,
        source.sample_rate,
        metadata.name,
        metadata.labels,
        metadata.look_ahead_ms + 1000.0 * resampler.look_ahead_s,
        datetime.now(UTC),
    )
    rate = source.sample_rate
    heard = skipped = clipped_before = 0
    damage: SerLiveError | None = None
    try:
        try:
            for block in source.blocks(block_ms):
                if not report.is_started:
                    report.start(started)  # not before the source has given audio
                if isinstance(block, Away):
                    report.away()
                    continue
                if isinstance(block, Loss):
                    report.gap(block, heard, skipped, rate)
                    skipped += block.samples - block.filled
                    continue
                ahead_s = len(block) / rate
                clock.wait_until((heard + skipped) / rate + ahead_s, ahead_s)
                with interrupts.shielded():  # heard and estimated, or neither
                    heard += len(block)
                    began = time.perf_counter()
                    report.owe(stream.accept(resampler.accept(block)))
                    compute_s = time.perf_counter() - began
                clipped, clipped_before = source.clipped - clipped_before, source.clipped
                for listener in listeners:
                    listener.hear(Heard(block, rate, clipped, source.overflows, compute_s))
                report.deliver()
            if not report.is_started:
                report.start(started)
        except RunFailure:
            raise
        except SerLiveError as error:
            if not report.is_started:
                raise
            damage = error  # the audio ends here; what was heard is worth its last estimates
        _flush(stream, resampler, report, interrupts)
    except (RunFailure, Interrupted) as error:
        is_impatient = isinstance(error, Interrupted) and error.is_impatient
        if report.is_started and not is_impatient:
            with suppress(RunFailure):  # the sink may be what failed
                _flush(stream, resampler, report, interrupts)
                report.end((heard + skipped) / rate)
        raise
    report.end((heard + skipped) / rate)
    if damage is not None:
        raise damage


def _flush(stream: Stream, resampler: Resampler, report: _Report, interrupts: Interrupts) -> None:
    """Deliver the estimates of all that was heard; what was flushed before is not again."""
    if not stream.is_flushed:
        with interrupts.shielded():
            report.owe(stream.accept(resampler.flush()))
            report.owe(stream.flush())
    report.deliver()
