"""Latency of the estimates: recent, in the whole session, and how many were delayed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from streamer.signal import TIMESTEP_S

#: An estimate is delayed if it comes this much, plus a block, later than the fastest; resampler
#: and device account for less.
HELD_UP_MS = 2 * 1000.0 * TIMESTEP_S
#: The screen shows percentiles of the latencies in the last 10 s.
RECENT_TIMESTEPS = round(10.0 / TIMESTEP_S)
#: Those of the session are counted per millisecond, all above 10 s as 10 s.
_MOST_MS = 10_000


@dataclass(frozen=True, slots=True)
class Lateness:
    """Latency of the estimates, if a clock applies.

    Attributes:
        newest_ms: latency of the newest estimate, None if no clock applies.
        recent_ms: ``(n,)`` latencies of the last 10 s, unordered.
        held_up: number of estimates more than :data:`HELD_UP_MS` and a block after the fastest.
    """

    newest_ms: float | None = None
    recent_ms: tuple[float, ...] = ()
    held_up: int = 0

    @property
    def percentiles_ms(self) -> tuple[float, float] | None:
        """Median and 95th percentile of the last 10 s, by rank; None if it is empty."""
        if not self.recent_ms:
            return None
        ranked = sorted(self.recent_ms)
        last = len(ranked) - 1
        return ranked[round(0.5 * last)], ranked[round(0.95 * last)]


#: Before the first estimate.
NO_LATENESS = Lateness()


class LatenessCounts:
    """Counts the latencies of a session, in constant memory.

    While the process is stopped by hand (Ctrl-Z) nothing can come in time. Estimates late only for
    that reason count neither in the latency nor as delayed.
    """

    def __init__(self) -> None:
        self._promptest_ms = float("inf")
        self._recent: deque[float] = deque(maxlen=RECENT_TIMESTEPS)
        self._counts = np.zeros(_MOST_MS + 1, np.int64)
        self._held_up = 0
        self._is_stopped = self._catches_up = False

    def stopped(self) -> None:
        """Note that the process is about to stop; the screen's thread calls it."""
        self._is_stopped = True

    def resumed(self) -> None:
        """Note that the process goes on."""
        self._catches_up = True
        self._is_stopped = False

    def after(self, latency_ms: float | None, block_ms: float) -> Lateness:
        """Return the lateness after one more estimate, from a block of this many ms."""
        if latency_ms is not None:
            self._promptest_ms = min(self._promptest_ms, latency_ms)
            is_late = latency_ms > self._promptest_ms + HELD_UP_MS + block_ms
            if self._catches_up and not is_late and not self._is_stopped:
                self._catches_up = False
            if not (is_late and (self._is_stopped or self._catches_up)):
                self._recent.append(latency_ms)
                self._counts[min(max(round(latency_ms), 0), _MOST_MS)] += 1
                self._held_up += is_late
        return Lateness(latency_ms, tuple(self._recent), self._held_up)

    def of_session(self) -> tuple[float, float] | None:
        """Return the session's median and 95th percentile in ms, None without a clock."""
        totals = self._counts.cumsum()
        if not totals[-1]:
            return None
        low, high = np.searchsorted(totals, totals[-1] * np.array([0.5, 0.95]))
        return float(low), float(high)
