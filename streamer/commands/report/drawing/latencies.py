"""Draws the latencies of a session's estimates as a histogram."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.commands.latency.spread import Spread
from streamer.commands.report.drawing.axis import ticks
from streamer.commands.report.drawing.ink import FAINT, INK, RULE
from streamer.commands.report.drawing.picture import Drawing
from streamer.commands.report.drawing.shapes import Area, Line, Shape, Text, steps
from streamer.counting import counted

Float64 = NDArray[np.float64]

_SIZE = 11.0
_NUMBERS_HEIGHT = 20.0
_HEIGHT = 190.0
_BINS = 40
_BAR = "#8ea3b5"
_GUTTER = 40.0
#: Half of the axis's last number may extend this far beyond it.
_LAST_HALF = 14.0
#: Values beyond are counted, not drawn: one late estimate would squeeze the others into one bin.
_PERCENTILES = (1.0, 99.0)


def draw_latencies(
    latency_ms: Float64, spread: Spread, at: tuple[float, float], width: float
) -> Drawing:
    """Draw a histogram.

    Args:
        latency_ms: ``(n,)`` in ms, NaN if no clock applied, at least one of them known.
        spread: spread of the known ones.
        at: upper left corner.
        width: width of the drawing.
    """
    x, y = at
    known = latency_ms[~np.isnan(latency_ms)]
    low, high = _range(known)
    counts, edges_ms = np.histogram(known, _BINS, (low, high))
    left, right = x + _GUTTER, x + width - _LAST_HALF
    base, top = y + _HEIGHT - _NUMBERS_HEIGHT, y + 56.0

    def x_of(value_ms: Float64 | float) -> Float64:
        return np.asarray(left + (right - left) * (value_ms - low) / (high - low))

    shares = counts / len(known)
    scale = (base - top) / shares.max()
    shapes: list[Shape] = [
        Text(x, y + 10, "Latency in ms, from sound to label", _SIZE, INK, is_bold=True),
        *_captions(spread, len(known) - int(counts.sum()), len(known), x, y + 10),
    ]
    for share in ticks(0.0, 100.0 * float(shares.max()), 3):
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
    return Drawing(width, _HEIGHT, (*shapes, Line(left, base, right, base, INK)))


def _range(known_ms: Float64) -> tuple[float, float]:
    """Return the range of the axis in ms, without the latest and the earliest."""
    low, high = np.percentile(known_ms, _PERCENTILES).tolist()
    margin = max(1.0, 0.05 * (high - low))
    return low - margin, high + margin


def _captions(spread: Spread, beyond: int, number: int, x: float, y: float) -> list[Shape]:
    percentiles = f"p50 {spread.p50:.0f} ms (line), p95 {spread.p95:.0f} ms (dashed)"
    rest = f"max {spread.max:.0f} ms; {counted(number, 'estimate')}, {beyond} of them off the axis"
    return [Text(x, y + 16, percentiles, _SIZE, FAINT), Text(x, y + 31, rest, _SIZE, FAINT)]
