"""Detects losses by comparing the captured frames with a clock, whatever the device reports.

This also detects the time that a machine sleeps.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from dataclasses import dataclass, replace
from statistics import median
from typing import NamedTuple, Self


def asleep_s() -> float:
    """Return how long the machine has slept since it started, if its clock leaves that out.

    The monotonic clocks of Linux and macOS stand still during sleep; where they do not, sleep shows
    as missing frames. NTP slews both clocks of a pair alike, or neither.
    """
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    if sys.platform == "darwin":
        awake_s = time.clock_gettime(time.CLOCK_UPTIME_RAW)
        return time.clock_gettime(time.CLOCK_MONOTONIC_RAW) - awake_s
    return 0.0


class SleepWatch:
    """Detects that the machine has slept."""

    #: Greatest difference between two readings of its clocks without any sleep between them.
    SHORTEST_S = 0.1

    def __init__(self) -> None:
        self._known_s = asleep_s()

    def newly_s(self) -> float:
        """Return the seconds slept since the last call, mostly 0."""
        slept_s = asleep_s() - self._known_s
        if slept_s < self.SHORTEST_S:
            return 0.0
        self._known_s += slept_s
        return slept_s


class Mark(NamedTuple):
    """The progress of capture at a callback.

    Attributes:
        position: frames captured.
        captured_s: monotonic time at which the last of them was at the converter.
        arrived_s: monotonic time of the callback.
    """

    position: int
    captured_s: float
    arrived_s: float


@dataclass(frozen=True, slots=True)
class Passed:
    """Frames that passed at the device but are not in the ring; replaced, never changed.

    So it is consistent whenever a signal comes.

    Attributes:
        lost_outside: lost frames that were never in the ring.
        before_gone: last mark of a device that is gone, until the loss is known.
    """

    lost_outside: int = 0
    before_gone: Mark | None = None

    def with_loss(self, frames: int) -> Self:
        return replace(self, lost_outside=self.lost_outside + frames)

    def gone_after(self, mark: Mark) -> Self:
        return replace(self, before_gone=mark)

    def back(self) -> Self:
        return replace(self, before_gone=None)


class _Lateness:
    """How far a clock is ahead of the frame count, compared with its minimum so far.

    Callbacks may be late, but they catch up if no audio was lost, so the minimum of a window
    counts. A device's clock may be off: by ``DRIFT`` at first, and by up to ``STEEPEST`` once its
    pace is known. A loss is a step and a wrong clock a slope; the median slope of recent windows
    ignores a step. Steady small losses of less than ``STEEPEST`` look like a slow clock, and are
    treated as one.
    """

    DRIFT = 500e-6
    STEEPEST = 0.02
    #: Number of windows that determine a pace, at least and at most.
    FEWEST, MOST = 5, 20

    def __init__(self) -> None:
        self._lowest_s = math.inf
        self._least_s = math.inf
        self._before_s = math.inf
        self._slopes: deque[float] = deque(maxlen=self.MOST)

    def observe(self, ahead_s: float) -> None:
        self._least_s = min(self._least_s, ahead_s)

    def so_far(self) -> float:
        """Return the lateness over the minimum in the open window; infinite if it is empty."""
        if self._least_s == math.inf:
            return math.inf
        return max(0.0, self._least_s - self._lowest_s)

    def of_window(self, window_s: float) -> float:
        """Return the same, and end the window, which lasted ``window_s``."""
        late_s = self.so_far()
        if math.isfinite(rise_s := self._least_s - self._before_s):
            self._slopes.append(rise_s / window_s)
        self._lowest_s = min(self._lowest_s + self._slope() * window_s, self._least_s)
        self._before_s, self._least_s = self._least_s, math.inf
        return late_s

    def _slope(self) -> float:
        """Return how much faster the clock runs than the frames come, as far as known."""
        if len(self._slopes) < self.FEWEST:
            return 0.0
        slope = median(self._slopes)
        return max(-self.STEEPEST, min(slope, self.STEEPEST)) if abs(slope) > self.DRIFT else 0.0

    def follow_drift(self, late_s: float, window_s: float) -> None:
        """Treat lateness that is not a loss as possible drift."""
        self._lowest_s += min(late_s, self.DRIFT * window_s)


class LossWatch:
    """Finds audio lost before the callback, flagged or not, by comparing frames with clocks.

    Two clocks must agree: the time of a callback, and the host API's time of its audio at the
    converter. Either may jump alone: a sound server that switches to larger buffers delivers later
    without losing anything. Lateness over ``THRESHOLD_S`` in each of ``WINDOWS`` is a loss, so a
    loss is known some seconds late. A counted loss is not counted again, even if the device
    catches up in between.
    """

    WINDOW_S = 0.5
    WINDOWS = 6
    THRESHOLD_S = 0.06

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._clocks = (_Lateness(), _Lateness())
        self._window_end_s: float | None = None
        self._counted_s = 0.0
        self._recent_s: deque[float] = deque(maxlen=self.WINDOWS)

    def observe(self, mark: Mark) -> int:
        """Add the newest mark; return the number of frames newly known to be lost, mostly 0."""
        if self._window_end_s is None:
            self._window_end_s = mark.arrived_s + self.WINDOW_S
        counted_s = mark.position / self._rate
        for clock, now_s in zip(self._clocks, (mark.captured_s, mark.arrived_s), strict=True):
            clock.observe(now_s - counted_s)
        if mark.arrived_s < self._window_end_s:
            return 0
        window_s = mark.arrived_s - self._window_end_s + self.WINDOW_S
        self._window_end_s = mark.arrived_s + self.WINDOW_S
        late_s = min(clock.of_window(window_s) for clock in self._clocks) - self._counted_s
        self._recent_s.append(late_s)
        if late_s < self.THRESHOLD_S:
            for clock in self._clocks:
                clock.follow_drift(max(late_s, 0.0), self.WINDOW_S)
        lost_s = min(self._recent_s)
        if len(self._recent_s) < self.WINDOWS or lost_s < self.THRESHOLD_S:
            return 0
        self._counted_s += lost_s
        self._recent_s.clear()
        return round(lost_s * self._rate)

    def settle(self) -> int:
        """Return, at an end, frames that look lost, though not for long enough to be sure.

        A loss in the last second cannot be distinguished from lateness.
        """
        if not self._recent_s:
            return 0
        open_s = min(clock.so_far() for clock in self._clocks) - self._counted_s
        late_s = min(self._recent_s[-1], open_s)
        return round(late_s * self._rate) if late_s >= self.THRESHOLD_S else 0
