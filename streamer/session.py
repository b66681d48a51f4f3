"""One session: source -> resampler -> stream -> sinks, at the pace of a clock."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType
from typing import NoReturn

from streamer.audio import Resampler, Source
from streamer.decision import STATES, Verdict
from streamer.errors import RunFailure, SerLiveError
from streamer.events import Estimated, Event, Heard, Listener, SessionEnded, SessionStarted, Sink
from streamer.recognizer import Estimate, Recognizer


class Interrupted(BaseException):
    """A signal asked to stop; ``number`` is the signal's, 0 where the person quit.

    Like KeyboardInterrupt no Exception, so that nothing on the way takes it for an error.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interrupts:
    """SIGINT, SIGTERM and SIGHUP as :class:`Interrupted`, never in the middle of a write."""

    def __init__(self) -> None:
        self._is_shielded = False
        self._has_quit = False
        self._main = threading.get_ident()
        self._pending: int | None = None

    def install(self) -> None:
        """Handle the signals from now on; of the main thread only."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):  # Windows has no SIGHUP
                signal.signal(getattr(signal, name), self._handle)

    def quit(self) -> None:
        """End the session as a signal would, but from another thread and with exit code 0."""
        if self._has_quit:
            return  # once is enough, however often the key was pressed
        self._has_quit = True
        if sys.platform == "win32":
            _thread.interrupt_main()
        else:  # a real signal, which ends a wait too
            signal.pthread_kill(self._main, signal.SIGINT)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Hold signals back until the block is done."""
        self._is_shielded = True
        try:
            yield
        finally:
            self._is_shielded = False
        if self._pending is not None:
            self._raise(self._pending)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._has_quit:
            number = 0
        if self._is_shielded:
            self._pending = number
        else:
            self._raise(number)

    def _raise(self, number: int) -> NoReturn:
        self._pending = None
        raise Interrupted(number)


class Pace:
    """The clock of a replay: audio is handed over when a microphone would have heard it."""

    def __init__(self, speed: float | None) -> None:
        """Speed 1 is real time; None does not wait, and no latency applies."""
        self._speed = speed
        self._start: float | None = None

    def wait_until(self, stream_s: float, block_s: float) -> None:
        """Wait for the moment at which the block that ends at ``stream_s`` was heard.

        Moments are counted from the first block, so lateness of one does not delay the next.
        """
        if self._speed is None:
            return
        if self._start is None:
            # A pipe hands over its first block when it was heard, a file at once.
            self._start = time.monotonic() - (stream_s - block_s) / self._speed
        delay = self._start + stream_s / self._speed - time.monotonic()
        if delay > 0:
            time.sleep(delay)

    def latency_ms(self, time_s: float) -> float | None:
        """How long ago the moment ``time_s`` of the stream was heard."""
        if self._speed is None or self._start is None:
            return None
        return 1000.0 * (time.monotonic() - self._start - time_s / self._speed)


class _Report:
    """Hands events to the sinks and counts what the last event sums up."""

    def __init__(
        self, recognizer: Recognizer, sinks: Sequence[Sink], pace: Pace, interrupts: Interrupts
    ) -> None:
        self._labels = recognizer.metadata.labels
        self._verdict = Verdict(self._labels, recognizer.metadata.decision.speech_on)
        self._counts = dict.fromkeys((*self._labels, *STATES), 0)
        self._sinks = sinks
        self._pace = pace
        self._interrupts = interrupts

    def start(self, event: SessionStarted) -> None:
        with self._interrupts.shielded():
            self._send(event)

    def estimates(self, estimates: Sequence[Estimate]) -> None:
        for estimate in estimates:
            with self._interrupts.shielded():  # counted and written, or neither
                self._counts[estimate.label] += 1
                self._verdict.add(estimate.probabilities, estimate.speech)
                self._send(Estimated(estimate, self._pace.latency_ms(estimate.time)))

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
    speed: float | None,
    block_ms: int,
    interrupts: Interrupts,
    listeners: Sequence[Listener] = (),
) -> None:
    """Run a source to its end, or to a signal; either way the sinks get their last event.

    Args:
        source: audio at any rate.
        recognizer: makes the stream.
        sinks: take the events.
        speed: 1 is real time, None as fast as it goes.
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
    pace = Pace(speed)
    report = _Report(recognizer, sinks, pace, interrupts)
    metadata = recognizer.metadata
    started = SessionStarted(
        source.name,
        source.sample_rate,
        metadata.name,
        metadata.labels,
        metadata.look_ahead_ms + 1000.0 * resampler.look_ahead_s,
        datetime.now(UTC),
    )
    heard = 0
    is_started = False
    try:
        for block in source.blocks(block_ms):
            if not is_started:
                report.start(started)  # not before the source has given audio
                is_started = True
            heard += len(block)
            pace.wait_until(heard / source.sample_rate, len(block) / source.sample_rate)
            began = time.perf_counter()
            estimates = stream.accept(resampler.accept(block))
            compute_s = time.perf_counter() - began
            for listener in listeners:
                listener.hear(Heard(block, source.sample_rate, compute_s))
            report.estimates(estimates)
        report.estimates(stream.accept(resampler.flush()))
        report.estimates(stream.flush())
    except (SerLiveError, Interrupted):
        if is_started:
            with suppress(RunFailure):  # the sink may be what failed
                report.end(heard / source.sample_rate)
        raise
    report.end(heard / source.sample_rate)
