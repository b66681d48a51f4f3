"""Captured frames counted against a clock: what a device loses shows, whatever it says."""

from __future__ import annotations

import math
from typing import NamedTuple


class Mark(NamedTuple):
    """Where capture stood at a callback.

    Attributes:
        position: frames captured.
        captured_s: monotonic time at which the last of them was at the converter.
        arrived_s: monotonic time of the callback.
    """

    position: int
    captured_s: float
    arrived_s: float


class LossWatch:
    """Finds audio that was lost before the callback, flagged or not, by counting against a clock.

    Callbacks may come late, but after audio that was not lost they catch up. So the least delay of
    one second is compared with that of the second before; a device's clock may be off by
    ``DRIFT``, and what is more than ``THRESHOLD_S`` is lost. Known a second or two late.
    """

    WINDOW_S = 1.0
    THRESHOLD_S = 0.06
    DRIFT = 500e-6

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._baseline_s: float | None = None
        self._least_s = math.inf
        self._window_end_s: float | None = None

    def observe(self, mark: Mark) -> int:
        """Take the newest mark; return how many frames have turned out lost, mostly 0."""
        if self._window_end_s is None:
            self._window_end_s = mark.arrived_s + self.WINDOW_S
        self._least_s = min(self._least_s, mark.arrived_s - mark.position / self._rate)
        if mark.arrived_s < self._window_end_s:
            return 0
        least_s = self._least_s
        self._least_s, self._window_end_s = math.inf, mark.arrived_s + self.WINDOW_S
        if self._baseline_s is None or least_s < self._baseline_s:
            self._baseline_s = least_s
            return 0
        late_s = least_s - self._baseline_s
        if late_s < self.THRESHOLD_S:
            self._baseline_s += min(late_s, self.DRIFT * self.WINDOW_S)
            return 0
        self._baseline_s = least_s
        return round(late_s * self._rate)
