"""How late the estimates of a session came, as a histogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamer.latency.spread import Spread
from streamer.report.axis import ticks
from streamer.report.ink import FAINT, INK, RULE
from streamer.report.shapes import Area, Line, Shape, Text, steps

Float64 = NDArray[np.float64]

_SIZE = 11.0
_NUMBERS_HEIGHT = 20.0
_BINS = 40
_BAR = "#8ea3b5"
_GUTTER = 40.0
#: What is beyond is counted, not drawn: one late estimate would squeeze the others into one bin.
_PERCENTILES = (1.0, 99.0)


def common_range(latencies_ms: Sequence[Float64]) -> tuple[float, float] | None:
    """Range in ms in which the histograms of all sessions lie, None where there is nothing."""
    known = [known for one in latencies_ms if len(known := one[~np.isnan(one)])]
    if not known:
        return None
    lows, highs = zip(*(np.percentile(one, _PERCENTILES).tolist() for one in known), strict=True)
    low, high = min(lows), max(highs)
    margin = max(1.0, 0.05 * (high - low))
    return low - margin, high + margin


def histogram(
    latency_ms: Float64,
    shown_ms: tuple[float, float] | None,
    at: tuple[float, float],
    size: tuple[float, float],
) -> list[Shape]:
    """Draw latencies, ``(n,)`` in ms, NaN where no clock applied, within a range."""
    x, y = at
    title = Text(x, y, "Latency in ms, from sound to label", _SIZE, INK, is_bold=True)
    known = latency_ms[~np.isnan(latency_ms)]
    if shown_ms is None or not len(known):
        return [title, Text(x, y + 20, "not paced by a clock", _SIZE, FAINT)]
    spread = Spread.of(known)
    counts, edges_ms = np.histogram(known, _BINS, shown_ms)
    left, right = x + _GUTTER, x + size[0]
    base, top = y + size[1] - _NUMBERS_HEIGHT, y + 46.0
    low, high = shown_ms

    def x_of(value_ms: Float64 | float) -> Float64:
        return np.asarray(left + (right - left) * (value_ms - low) / (high - low))

    shares = counts / len(known)
    scale = (base - top) / shares.max() if shares.any() else 0.0
    shapes: list[Shape] = [
        title,
        *_captions(spread, len(known) - int(counts.sum()), len(known), x, y),
    ]
    for share in ticks(0.0, 100.0 * float(shares.max()), 3) if shares.any() else []:
        height = base - scale * share / 100.0
        shapes += [
            Line(left, height, right, height, RULE, 0.6),
            Text(left - 5, height + 4, f"{share:g}%", _SIZE, FAINT, "end"),
        ]
    shapes.append(Area(steps(x_of(edges_ms), scale * shares, base), _BAR))
    for value_ms, is_dashed in ((spread.p50, False), (spread.p95, True)):
        at_x = float(x_of(value_ms))
        shapes.append(Line(at_x, top - 4, at_x, base, INK, 1.2, is_dashed))
    for tick_ms in ticks(low, high, 6):
        at_x = float(x_of(tick_ms))
        shapes += [
            Line(at_x, base, at_x, base + 4, INK),
            Text(at_x, base + 16, f"{tick_ms:g}", _SIZE, INK, "middle"),
        ]
    return [*shapes, Line(left, base, right, base, INK)]


def _captions(spread: Spread, beyond: int, number: int, x: float, y: float) -> list[Shape]:
    percentiles = f"p50 {spread.p50:.0f} ms (line), p95 {spread.p95:.0f} ms (dashed)"
    rest = f"max {spread.max:.0f} ms; {number} estimates, {beyond} of them off the axis"
    return [Text(x, y + 16, percentiles, _SIZE, FAINT), Text(x, y + 31, rest, _SIZE, FAINT)]
