"""Draws the timelines of all sessions over one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamer.commands.report.drawing.axis import clock, clock_unit, time_ticks
from streamer.commands.report.drawing.ink import FAINT, INK, RULE
from streamer.commands.report.drawing.shapes import Line, Shape, Text, fitted, wrapped
from streamer.commands.report.drawing.timelines import (
    ALONE,
    AMONG_OTHERS,
    GUTTER,
    SCALE,
    Frame,
    Strand,
    timelines,
)
from streamer.signal import TIMESTEP_S

_SIZE, _SMALL, _NAME_SIZE = 11.0, 9.5, 12.0
_LINE = 15.0
_TICK_WIDTH = 80.0
_AXIS_HEIGHT, _BETWEEN = 40.0, 22.0
_MOST_LINES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """Shapes drawn downwards from a corner.

    Attributes:
        width: width of the area.
        height: height of the area.
        shapes: shapes, the later ones above the earlier ones.
    """

    width: float
    height: float
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The drawn timelines.

    Attributes:
        drawing: the whole drawing.
        frame: the time axis that the sessions share.
        tops: y of each session's timelines.
    """

    drawing: Drawing
    frame: Frame
    tops: tuple[float, ...]


def draw_picture(
    strands: Sequence[Strand],
    at: tuple[float, float],
    width: float,
    sentences: Sequence[str] | None = None,
) -> Picture:
    """Draw sessions one below the other; if there are several, each with its name above it.

    Args:
        strands: the sessions.
        at: upper left corner.
        width: width of the picture.
        sentences: the sessions' sentences, beside their names; None if they are elsewhere.
    """
    left, y = at
    span_s = max(float(strand.seen.edges_s[-1]) for strand in strands)
    frame = Frame(left + GUTTER, width - GUTTER - SCALE, span_s)
    is_alone = len(strands) == 1
    rows = ALONE if is_alone else AMONG_OTHERS
    shapes: list[Shape] = []
    tops: list[float] = []
    for index, strand in enumerate(strands):
        if index:
            y += _BETWEEN
        if not is_alone:
            name = fitted(strand.session.title, _NAME_SIZE, width, keeps_end=True)
            shapes.append(Text(left, y + 10, name, _NAME_SIZE, INK, is_bold=True))
            y += _LINE + 3
        if sentences is not None:
            lines = wrapped(sentences[index], _SIZE, width, _MOST_LINES)
            shapes += [
                Text(left, y + 10 + _LINE * row, line, _SIZE, INK) for row, line in enumerate(lines)
            ]
            y += _LINE * len(lines) + 6
        tops.append(y)
        bottom, drawn = timelines(strand, frame, y, rows)
        shapes += [*_grid(frame, y, bottom), *drawn]
        y = bottom
    shapes += _axis(frame, y + 4, float(max(strand.seen.column_s for strand in strands)))
    y += _AXIS_HEIGHT
    return Picture(Drawing(width, y - at[1], tuple(shapes)), frame, tuple(tops))


def _moments(frame: Frame) -> list[float]:
    return time_ticks(frame.span_s, int(frame.width / _TICK_WIDTH))


def _grid(frame: Frame, top: float, bottom: float) -> list[Shape]:
    """Return faint lines at the axis's moments, since the axis may be far below."""
    return [Line(x, top, x, bottom, RULE, 0.6) for x in frame.x(np.array(_moments(frame))).tolist()]


def _axis(frame: Frame, y: float, column_s: float) -> list[Shape]:
    span_s = frame.span_s
    shapes: list[Shape] = [Line(frame.left, y, frame.left + frame.width, y, INK)]
    for tick_s in _moments(frame):
        x = float(frame.x(np.array(tick_s)))
        shapes += [
            Line(x, y, x, y + 4, INK),
            Text(x, y + 16, clock(tick_s, span_s), _SIZE, INK, "middle"),
        ]
    is_coarse = column_s > 1.5 * TIMESTEP_S
    columns = f"columns of {column_s:g} s: shares of labels, mean probabilities"
    note = f"time ({clock_unit(span_s)}); {columns if is_coarse else 'a column is an estimate'}"
    return [*shapes, Text(frame.left, y + 32, fitted(note, _SMALL, frame.width), _SMALL, FAINT)]
