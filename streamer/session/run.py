"""Runs a session: source -> resampler -> stream -> sinks, at the pace of a clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from streamer.errors import ReaderGone, RunFailure, SerLiveError
from streamer.recognition.profile import UNKNOWN_VOICE, Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.session.clock import Clock
from streamer.session.events import (
    AudioBlock,
    Gap,
    Listener,
    SessionStarted,
    Sink,
)
from streamer.session.interrupts import Interrupted, Interrupts
from streamer.session.profile_level import ProfileLevel
from streamer.session.report import Report, Sinks, deliver_by_time
from streamer.sound.resampler import Resampler
from streamer.sound.source import Away, Float32, Loss, Source


class _Hearing:
    """Feeds a source to a stream and counts the samples heard and skipped."""

    def __init__(
        self,
        source: Source,
        recognizer: Recognizer,
        report: Report,
        clock: Clock,
        listeners: Sequence[Listener],
        adaptation: Adaptation,
        at_once: int,
        say: Callable[[str], None],
    ) -> None:
        self._source = source
        self._rate = source.sample_rate
        self._metadata = recognizer.metadata
        self._prior = recognizer.prior
        self._resampler = Resampler(source.sample_rate)
        self._adaptation = adaptation.told(recognizer.metadata)
        self._stream = recognizer.stream(adaptation.profile, adaptation.adapts, at_once)
        self._level = ProfileLevel(adaptation.profile, recognizer.metadata)
        self._say = say
        self._report = report
        self._clock = clock
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
            self._tell(block, self._accept(block))

    def finish(self) -> None:
        """End the audio, by itself or from outside: account for any loss and flush the stream.

        Raises:
            RunFailure: the loss cannot be recorded; the stream is flushed all the same.
        """
        try:
            if loss := self._source.unheard(self._heard + self._left_out):
                self._lose(loss)
        finally:
            self._report.owe(self._stream.accept(self._resampler.flush()))
            self._report.owe(self._stream.flush())

    def end(self) -> None:
        """Send the last event."""
        self._report.end(self.duration_s)

    def _lose(self, loss: Loss) -> None:
        skipped, silence = loss.samples - loss.filled, np.zeros(loss.filled, np.float32)
        self._report.gap(
            Gap(self.duration_s, loss.samples, loss.reason, self._report.channel),
            self._heard / self._rate,
            skipped / self._rate,
            loss.filled / self._rate,
        )
        self._left_out += skipped
        self._tell(silence, self._accept(silence))

    def _accept(self, block: Float32) -> float:
        """Process a block and return the computing time."""
        began = time.perf_counter()
        self._report.owe(self._stream.accept(self._resampler.accept(block)))
        if note := self._level.heard(self._stream):
            self._say(f"{self._source.name}: {note}")
        self._heard += len(block)
        return time.perf_counter() - began

    def _tell(self, block: Float32, compute_s: float) -> None:
        clipped, self._clipped = self._source.clipped - self._clipped, self._source.clipped
        heard = AudioBlock(block, self._rate, clipped, self._source.overflows, compute_s)
        for listener in self._listeners:
            listener.hear(heard)


def ignore(_line: str) -> None:
    """Say nothing."""


def _by_channel(
    block: Float32 | Loss | Away, channels: Sequence[int | None]
) -> Sequence[Float32 | Loss | Away]:
    """Return each stream's part of a block."""
    if isinstance(block, np.ndarray) and block.ndim == 2:
        return list(np.ascontiguousarray(block.T))
    return [block] * len(channels)


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
    say: Callable[[str], None] = ignore,
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
        say: takes a line for the user, if a voice is far from the level of its profile.

    Raises:
        SerLiveError: the audio is damaged; raised after the last event for what was heard. Or the
            profile belongs to another model; raised before the first event.
        RunFailure: a sink failed; raised after the other sinks' last event.
        Interrupted: a signal came; raised after the last event, unless that could not be written.
    """
    working = Sinks(sinks)  # shared by all channels: a sink that failed gets nothing more
    channels = [None] if streams is None else [*range(1, streams + 1)]
    reports = [Report(recognizer, working, clock, one) for one in channels]
    hearings = [
        _Hearing(source, recognizer, report, clock, heard_by, adaptation, at_once, say)
        for report, heard_by in zip(reports, [listeners, *[()] * len(channels)], strict=False)
    ]
    cause: SerLiveError | Interrupted | None = None
    try:
        for block in interrupts.each(source.blocks(block_ms)):
            for hearing in hearings:
                hearing.start()
            for hearing, own in zip(hearings, _by_channel(block, channels), strict=True):
                hearing.take(own)
            deliver_by_time(reports)
            working.check()
        for hearing in hearings:
            hearing.start()
    except (SerLiveError, Interrupted) as error:
        if not reports[0].is_started or (isinstance(error, Interrupted) and error.is_impatient):
            raise
        cause = error  # the audio ends here; what was heard still gets its last estimates
    for hearing in hearings:
        try:
            hearing.finish()
        except RunFailure as failure:
            if cause is None or (isinstance(cause, Interrupted) and not cause.is_hangup):
                cause = failure
    deliver_by_time(reports)
    for hearing in hearings:
        hearing.end()
    # Ctrl-C ends the reader of a pipeline too, and a closed terminal takes no line.
    is_reader_gone = isinstance(working.failure, ReaderGone)
    if not (isinstance(cause, Interrupted) and (is_reader_gone or cause.is_hangup)):
        working.check()
    if cause is not None:
        raise cause
    interrupts.check()
