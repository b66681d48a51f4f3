"""Runs a session: source -> resampler -> stream -> sinks, at the pace of a clock."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np

from streamer.errors import RunFailure, SerLiveError
from streamer.recognition.decision import Verdict, names_of
from streamer.recognition.estimate import Estimate
from streamer.recognition.profile import UNKNOWN_VOICE, Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.session.events import (
    AudioBlock,
    Estimated,
    Event,
    Gap,
    Listener,
    SessionEnded,
    SessionStarted,
    Sink,
    SourceAway,
)
from streamer.session.interrupts import Interrupted, Interrupts
from streamer.signal import TIMESTEP_S
from streamer.sound.resampler import Resampler
from streamer.sound.source import Away, Float32, Loss, Source


class Clock(Protocol):
    """Ties stream time to the wall clock: :class:`Pace`, or a microphone's own clock."""

    def wait_until(self, stream_s: float, block_s: float) -> None:
        """Wait until the block that ends at ``stream_s`` was heard."""
        ...

    def latency_ms(self, time_s: float) -> float | None:
        """Return how long ago stream time ``time_s`` was heard; None if no clock applies."""
        ...


class Pace:
    """The clock of a replay: delivers audio when a microphone would have heard it."""

    def __init__(self, speed: float | None) -> None:
        """Speed 1 is real time; with None there is no wait and no latency."""
        self._speed = speed
        self._start: float | None = None

    def wait_until(self, stream_s: float, block_s: float) -> None:  # noqa: ARG002 (a pipe's does)
        """Wait until the block that ends at ``stream_s`` would have been heard.

        Times count from the first block, so a late block does not delay the next.
        """
        if self._speed is None:
            return
        if self._start is None:
            self._start = time.monotonic()
        delay = self._start + stream_s / self._speed - time.monotonic()
        if delay > 0:
            time.sleep(delay)

    def latency_ms(self, time_s: float) -> float | None:
        """Return how long ago stream time ``time_s`` was heard."""
        if self._speed is None or self._start is None:
            return None
        return 1000.0 * (time.monotonic() - self._start - time_s / self._speed)


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


class Report:
    """Sends events to the sinks and keeps the counts for the last event."""

    def __init__(
        self,
        recognizer: Recognizer,
        sinks: list[Sink],
        clock: Clock,
        interrupts: Interrupts,
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
        self._interrupts = interrupts
        self._owed: deque[Estimate] = deque()
        self.is_started = False

    def start(self, event: SessionStarted) -> None:
        with self._interrupts.shielded():
            self.is_started = True
            self._send(event)

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
            with self._interrupts.shielded():  # counted and written, or neither
                self._owed.popleft()
                self._counts[estimate.label] += 1
                self._verdict.add(estimate.probabilities, estimate.speech, estimate.label)
                latency_ms = None if is_lost else self._clock.latency_ms(time_s)
                self._send(Estimated(estimate, latency_ms, is_lost, self.channel))

    def gap(self, event: Gap, heard_s: float, skipped_s: float, filled_s: float) -> None:
        """Report that audio is lost after ``heard_s``: skipped, or replaced by silence."""
        with self._interrupts.shielded():
            self._stream_time.lose(heard_s, skipped_s, filled_s)
            self._send(event)

    def away(self) -> None:
        with self._interrupts.shielded():
            self._send(SourceAway(self.channel))

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
        with self._interrupts.shielded():
            self._send(event)

    def _send(self, event: Event) -> None:
        """Send to every sink; drop a sink that fails, at no loss to the others."""
        failure: RunFailure | None = None
        for sink in tuple(self._sinks):
            try:
                sink.take(event)
            except RunFailure as error:
                self._sinks.remove(sink)
                failure = failure or error
        if failure is not None:
            raise failure


class _Hearing:
    """Feeds a source to a stream and counts the samples heard and skipped."""

    def __init__(
        self,
        source: Source,
        recognizer: Recognizer,
        report: Report,
        clock: Clock,
        interrupts: Interrupts,
        listeners: Sequence[Listener],
        adaptation: Adaptation,
        at_once: int,
    ) -> None:
        self._source = source
        self._rate = source.sample_rate
        self._metadata = recognizer.metadata
        self._prior = recognizer.prior
        self._resampler = Resampler(source.sample_rate)
        self._adaptation = adaptation.told(recognizer.metadata)
        self._stream = recognizer.stream(adaptation.profile, adaptation.adapts, at_once)
        self._report = report
        self._clock = clock
        self._interrupts = interrupts
        self._listeners = listeners
        self._heard = self._left_out = self._clipped = 0

    @property
    def duration_s(self) -> float:
        """Stream time so far."""
        return (self._heard + self._left_out) / self._rate

    def start(self) -> None:
        """Send the first event, once; call it only after the source has delivered audio."""
        if self._report.is_started:
            return
        age_s = (self._clock.latency_ms(0.0) or 0.0) / 1000.0
        self._report.start(
            SessionStarted(
                self._source.name,
                self._rate,
                self._metadata.name,
                self._metadata.labels,
                self._metadata.look_ahead_ms + 1000.0 * self._resampler.look_ahead_s,
                datetime.now(UTC) - timedelta(seconds=age_s),
                self._prior,
                self._adaptation,
                self._report.channel,
            )
        )

    def take(self, block: Float32 | Loss | Away) -> None:
        """Process a block and queue the estimates it completes."""
        self.start()
        if isinstance(block, Away):
            self._report.away()
        elif isinstance(block, Loss):
            self._lose(block)
        else:
            block_s = len(block) / self._rate
            self._clock.wait_until(self.duration_s + block_s, block_s)
            with self._interrupts.shielded():  # heard and estimated, or neither
                compute_s = self._accept(block)
            self._tell(block, compute_s)

    def finish(self) -> None:
        """End the audio, by itself or from outside: account for any loss and flush the stream."""
        if not self._stream.is_flushed:
            if loss := self._source.unheard(self._heard + self._left_out):
                self._lose(loss)
            with self._interrupts.shielded():
                self._report.owe(self._stream.accept(self._resampler.flush()))
                self._report.owe(self._stream.flush())

    def _lose(self, loss: Loss) -> None:
        skipped, silence = loss.samples - loss.filled, np.zeros(loss.filled, np.float32)
        with self._interrupts.shielded():  # reported, counted and filled, or none of these
            self._report.gap(
                Gap(self.duration_s, loss.samples, loss.reason, self._report.channel),
                self._heard / self._rate,
                skipped / self._rate,
                loss.filled / self._rate,
            )
            self._left_out += skipped
            compute_s = self._accept(silence)
        self._tell(silence, compute_s)

    def _accept(self, block: Float32) -> float:
        """Process a block and return the computing time."""
        began = time.perf_counter()
        self._report.owe(self._stream.accept(self._resampler.accept(block)))
        self._heard += len(block)
        return time.perf_counter() - began

    def _tell(self, block: Float32, compute_s: float) -> None:
        clipped, self._clipped = self._source.clipped - self._clipped, self._source.clipped
        heard = AudioBlock(block, self._rate, clipped, self._source.overflows, compute_s)
        for listener in self._listeners:
            listener.hear(heard)


def _by_channel(
    block: Float32 | Loss | Away, channels: Sequence[int | None]
) -> Sequence[Float32 | Loss | Away]:
    """Return each stream's part of a block."""
    if isinstance(block, np.ndarray) and block.ndim == 2:
        return list(np.ascontiguousarray(block.T))
    return [block] * len(channels)


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


def run_session(
    source: Source,
    recognizer: Recognizer,
    sinks: Sequence[Sink],
    *,
    clock: Clock,
    block_ms: int,
    interrupts: Interrupts,
    listeners: Sequence[Listener] = (),
    streams: int | None = None,
    adaptation: Adaptation = UNKNOWN_VOICE,
    at_once: int = 1,
) -> None:
    """Run a source to its end or to a signal; either way the sinks get their last event.

    Args:
        source: audio at any rate.
        recognizer: makes the stream.
        sinks: take the events.
        clock: paces the source and dates its audio.
        block_ms: size of the blocks that the source delivers.
        interrupts: signals.
        listeners: get every block of the first channel, before the estimates it completes.
        streams: number of channels that are separate streams; None if the source is one stream.
        adaptation: how each stream adapts to its voice.
        at_once: number of timesteps that the network takes at once; more than one is for those who
            do not wait for estimates.

    Raises:
        SerLiveError: the audio is damaged; raised after the last event for what was heard. Or the
            profile belongs to another model; raised before the first event.
        RunFailure: a sink failed; raised after the other sinks' last event.
        Interrupted: a signal came; raised after the last event.
    """
    remaining = list(sinks)  # shared by all channels: a sink that failed gets nothing more
    channels = [None] if streams is None else [*range(1, streams + 1)]
    reports = [Report(recognizer, remaining, clock, interrupts, one) for one in channels]
    hearings = [
        _Hearing(
            source,
            recognizer,
            report,
            clock,
            interrupts,
            listeners if first else (),
            adaptation,
            at_once,
        )
        for first, report in zip([True, *[False] * len(reports)], reports, strict=False)
    ]
    damage: SerLiveError | None = None
    try:
        try:
            for block in source.blocks(block_ms):
                for hearing in hearings:
                    hearing.start()
                for hearing, own in zip(hearings, _by_channel(block, channels), strict=True):
                    hearing.take(own)
                deliver_by_time(reports)
            for hearing in hearings:
                hearing.start()
        except RunFailure:
            raise
        except SerLiveError as error:
            if not reports[0].is_started:
                raise
            damage = error  # the audio ends here; what was heard still gets its last estimates
        for hearing in hearings:
            hearing.finish()
        deliver_by_time(reports)
    except (RunFailure, Interrupted) as error:
        is_impatient = isinstance(error, Interrupted) and error.is_impatient
        for report, hearing in zip(reports, hearings, strict=True):
            if report.is_started and not is_impatient:
                with suppress(RunFailure):  # if a sink failed, the others go on
                    hearing.finish()
                with suppress(RunFailure):
                    report.deliver()
                with suppress(RunFailure):
                    report.end(hearing.duration_s)
        raise
    for report, hearing in zip(reports, hearings, strict=True):
        report.end(hearing.duration_s)
    if damage is not None:
        raise damage
