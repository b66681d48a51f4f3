"""Round numbers on axes."""

from __future__ import annotations

import numpy as np

_DAY_S = 86_400.0
_TIME_STEPS_S = (
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0, 43_200.0),
)


def time_ticks(duration_s: float, most: int) -> list[float]:
    """Return at most ``most + 1`` round moments from 0 on, in seconds."""
    least_s = duration_s / most
    step_s = next((step_s for step_s in _TIME_STEPS_S if step_s >= least_s), None)
    if step_s is None:
        step_s = _DAY_S * max(1.0, _round_step(least_s / _DAY_S))
    return _multiples(0.0, duration_s, step_s)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most ``most + 1`` distinct round numbers in ``[low, high]``."""
    return _multiples(low, high, _round_step((high - low) / most))


def clock(time_s: float, duration_s: float, decimals: int = 0) -> str:
    """Format a moment of something that lasts ``duration_s``: seconds, m:ss or h:mm:ss.

    ``decimals`` applies to the seconds; less than a minute is always shown to 10 ms.
    """
    if duration_s < 60.0:
        return f"{round(time_s, 2):g}"
    minutes, seconds = divmod(round(time_s, decimals), 60)
    shown = f"{seconds:0{decimals + 3 if decimals else 2}.{decimals}f}"
    if duration_s < 3600.0:
        return f"{minutes:.0f}:{shown}"
    return f"{minutes // 60:.0f}:{minutes % 60:02.0f}:{shown}"


def clock_unit(duration_s: float) -> str:
    """Return the unit of :func:`clock`'s text."""
    if duration_s < 60.0:
        return "s"
    return "min:s" if duration_s < 3600.0 else "h:min:s"


def _round_step(least: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten that is not less."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(power * one for one in (1, 2, 5, 10) if power * one >= least * (1 - 1e-9)))


def _multiples(low: float, high: float, step: float) -> list[float]:
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [round(number * step, 9) for number in range(first, last + 1)]
