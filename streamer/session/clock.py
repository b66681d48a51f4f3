"""Clocks: when audio was heard, and when the next is due."""

from __future__ import annotations

import time
from typing import Protocol

from streamer.sound.source import NO_SIGNALS, Signals


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

    def __init__(self, speed: float | None, signals: Signals = NO_SIGNALS) -> None:
        """Set the pace.

        Args:
            speed: 1 is real time; with None there is no wait and no latency.
            signals: end a wait.
        """
        self._speed = speed
        self._signals = signals
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
            with self._signals.waiting():
                time.sleep(delay)

    def latency_ms(self, time_s: float) -> float | None:
        """Return how long ago stream time ``time_s`` was heard."""
        if self._speed is None or self._start is None:
            return None
        return 1000.0 * (time.monotonic() - self._start - time_s / self._speed)
