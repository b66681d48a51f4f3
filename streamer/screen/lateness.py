"""How late estimates come: lately, in the whole session, and how many were held up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from streamer.signal import TIMESTEP_S

#: An estimate is held up if it comes so much, and a block, later than the promptest did; resampler
#: and device make a difference of less.
HELD_UP_MS = 2 * 1000.0 * TIMESTEP_S
#: Latencies of the last 10 s give the percentiles that the screen shows.
RECENT_TIMESTEPS = round(10.0 / TIMESTEP_S)
#: Those of the session are counted by the millisecond, all beyond 10 s as 10 s.
_MOST_MS = 10_000


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late estimates came, where a clock applies.

    Attributes:
        newest_ms: of the newest estimate, None where no clock applies.
        recent_ms: ``(n,)`` of the last 10 s, unordered.
        held_up: estimates that came more than :data:`HELD_UP_MS` and a block after the promptest.
    """

    newest_ms: float | None = None
    recent_ms: tuple[float, ...] = ()
    held_up: int = 0

    @property
    def percentiles_ms(self) -> tuple[float, float] | None:
        """Median and 95th percentile of the last 10 s, by rank; None before there is any."""
        if not self.recent_ms:
            return None
        ranked = sorted(self.recent_ms)
        last = len(ranked) - 1
        return ranked[round(0.5 * last)], ranked[round(0.95 * last)]


#: Before the first estimate.
NO_LATENESS = Lateness()


class LatenessCounts:
    """Counts the latencies of one session, in the same memory however long it runs.

    While the process was stopped by hand (Ctrl-Z) nothing could come in time. What comes late only
    because of that counts neither as latency nor as held up.
    """

    def __init__(self) -> None:
        self._promptest_ms = float("inf")
        self._recent: deque[float] = deque(maxlen=RECENT_TIMESTEPS)
        self._counts = np.zeros(_MOST_MS + 1, np.int64)
        self._held_up = 0
        self._is_stopped = self._catches_up = False

    def stopped(self) -> None:
        """The process is about to be stopped; the thread of the screen says so."""
        self._is_stopped = True

    def resumed(self) -> None:
        """The process goes on."""
        self._catches_up = True
        self._is_stopped = False

    def after(self, latency_ms: float | None, block_ms: float) -> Lateness:
        """What is known once one more estimate has come, out of a block of so many ms."""
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
        """Median and 95th percentile in ms over the whole session, None without a clock."""
        totals = self._counts.cumsum()
        if not totals[-1]:
            return None
        low, high = np.searchsorted(totals, totals[-1] * np.array([0.5, 0.95]))
        return float(low), float(high)
