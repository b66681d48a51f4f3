"""The rows of a panel that share one axis of time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from streamer.looks import Look
from streamer.report.axis import clock, clock_unit, time_ticks
from streamer.report.ink import FAINT, INK, TRACK, chip, darker, on
from streamer.report.overview import Float64, Overview
from streamer.report.shapes import Area, Box, Line, Shape, Text, fitted, runs, steps, triangle
from streamer.session_file import RecordedSession

_SIZE, _SMALL = 11.0, 9.5
_GUTTER, _SCALE = 112.0, 16.0
_RIBBON, _LANE, _BETWEEN, _STRIP = 40.0, 26.0, 7.0, 14.0
_TICK_WIDTH = 80.0
#: Room that the axis takes under the rows.
AXIS_HEIGHT = 40.0
#: A letter stands in the ribbon where its label has at least this share of at least this width.
_CLEAR_SHARE, _LETTER_WIDTH = 0.8, 14.0


@dataclass(frozen=True, slots=True)
class Scales:
    """What the panels of a page have in common, so that they can be compared.

    Attributes:
        span_s: time that the timelines have room for; None where each has its own.
        latency_ms: range of the histograms; None where no session has latencies.
        has_strip: whether there is a row for gaps and marks.
    """

    span_s: float | None
    latency_ms: tuple[float, float] | None
    has_strip: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """Where timelines are, and how time becomes x."""

    left: float
    top: float
    width: float
    bottom: float
    span_s: float

    def x(self, times_s: Float64) -> Float64:
        """Moments in seconds -> x."""
        return self.left + self.width * times_s / self.span_s


def timelines(
    session: RecordedSession,
    seen: Overview,
    looks: dict[int, Look],
    at: tuple[float, float],
    width: float,
    scales: Scales,
) -> tuple[Frame, list[Shape]]:
    """Labels, a lane for each emotion, speech, gaps and marks over one axis."""
    left, y = at
    lanes = len(session.header.labels) + 1
    ribbon_bottom = y + _RIBBON
    lanes_bottom = ribbon_bottom + lanes * (_BETWEEN + _LANE)
    bottom = lanes_bottom + scales.has_strip * (_BETWEEN + _STRIP)
    frame = Frame(
        left + _GUTTER,
        y,
        width - _GUTTER - _SCALE,
        bottom,
        scales.span_s or float(seen.edges_s[-1]),
    )
    shapes = [
        *_ribbon(seen, looks, frame),
        *_lanes(seen, looks, frame, left, ribbon_bottom + _BETWEEN),
        Text(left, y + _RIBBON / 2 + 4, "label", _SIZE, INK),
    ]
    if scales.has_strip:
        shapes += _strip(session, seen, looks, frame, left)
    return frame, [*shapes, *_axis(seen, frame)]


def _ribbon(seen: Overview, looks: dict[int, Look], frame: Frame) -> list[Shape]:
    """In each column every label's share of it, the emotions below."""
    edges = frame.x(seen.edges_s)
    tops = _RIBBON * np.cumsum(seen.shares, axis=1)
    base = frame.top + _RIBBON
    shapes: list[Shape] = []
    for index in reversed(range(len(seen.codes))):  # each hides the lower part of the one before
        own = np.where(seen.shares[:, index] > 0, tops[:, index], np.nan)
        if polygons := steps(edges, own, base):
            shapes.append(Area(polygons, looks[seen.codes[index]].colour))
    if seen.is_coarse:
        shapes += _scale(frame, frame.top, _RIBBON)
    return [*shapes, *_letters(seen, looks, edges, frame.top + _RIBBON / 2 + 4)]


def _letters(seen: Overview, looks: dict[int, Look], edges: Float64, y: float) -> list[Shape]:
    """The letter of each stretch that is one label and wide enough."""
    clear = np.where(seen.shares.max(1) >= _CLEAR_SHARE, seen.shares.argmax(1), -1)
    shapes: list[Shape] = []
    for index, run in groupby(range(len(clear)), key=clear.__getitem__):
        columns = list(run)
        start, end = edges[columns[0]], edges[columns[-1] + 1]
        if index >= 0 and end - start >= _LETTER_WIDTH:
            look = looks[seen.codes[index]]
            middle = float(start + end) / 2
            shapes.append(Text(middle, y, look.letter, _SIZE, on(look.colour), "middle", True))
    return shapes


def _lanes(
    seen: Overview, looks: dict[int, Look], frame: Frame, left: float, y: float
) -> list[Shape]:
    """Each emotion's mean probability where one was heard, and that of speech."""
    shapes: list[Shape] = []
    rows = [*seen.probabilities.T, seen.speech]
    for index, values in enumerate(rows):
        top = y + index * (_LANE + _BETWEEN)
        is_speech = index == len(rows) - 1
        if is_speech:
            colour = FAINT
            shapes.append(Text(left, top + 17, "speech", _SIZE, INK))
        else:
            look = looks[index]
            colour = look.colour
            name = fitted(look.name, _SIZE, _GUTTER - 24)
            shapes += [
                *chip(look, left, top + 6),
                Text(left + 20, top + 17, name, _SIZE, INK),
            ]
        shapes += _lane(frame, seen.edges_s, values, top, colour)
    return shapes


def _lane(frame: Frame, edges_s: Float64, values: Float64, top: float, colour: str) -> list[Shape]:
    end = float(frame.x(edges_s[-1]))
    shapes: list[Shape] = [Box(frame.left, top, end - frame.left, _LANE, TRACK)]
    polygons = steps(frame.x(edges_s), _LANE * values, top + _LANE)
    if polygons:
        shapes.append(Area(polygons, colour, darker(colour)))
    return [*shapes, *_scale(frame, top, _LANE)]


def _scale(frame: Frame, top: float, height: float) -> list[Shape]:
    """From nothing to all, on the right of a row."""
    x = frame.left + frame.width + 4
    return [
        Text(x, top + 8, "1", _SMALL, FAINT),
        Text(x, top + height, "0", _SMALL, FAINT),
    ]


def _strip(
    session: RecordedSession, seen: Overview, looks: dict[int, Look], frame: Frame, left: float
) -> list[Shape]:
    """Gaps, to be seen however short, and the person's marks."""
    top = frame.bottom - _STRIP
    edges = frame.x(seen.edges_s)
    shapes: list[Shape] = [Text(left, top + 11, "gaps, marks", _SIZE, INK)]
    colour = looks[seen.codes[-1]].colour
    for start, end in runs(seen.shares[:, -1] > 0).tolist():
        width = max(2.0, float(edges[end] - edges[start]))
        shapes.append(Box(float(edges[start]), top + 2, width, _STRIP - 4, colour))
    marks_s = session.marks[session.marks <= seen.edges_s[-1]]
    for x in np.unique(frame.x(marks_s).round()).tolist():
        shapes += [
            Line(x, frame.top + _RIBBON, x, top + 2, INK, 0.8, is_dashed=True),
            Area((triangle(x, top + 2, 10.0),), INK),
        ]
    return shapes


def _axis(seen: Overview, frame: Frame) -> list[Shape]:
    span_s = frame.span_s
    y = frame.bottom + 4
    shapes: list[Shape] = [Line(frame.left, y, frame.left + frame.width, y, INK)]
    for tick_s in time_ticks(span_s, int(frame.width / _TICK_WIDTH)):
        x = float(frame.x(np.array(tick_s)))
        shapes += [
            Line(x, y, x, y + 4, INK),
            Text(x, y + 16, clock(tick_s, span_s), _SIZE, INK, "middle"),
        ]
    columns = f"columns of {seen.column_s:g} s: shares of labels, mean probabilities"
    note = (
        f"time ({clock_unit(span_s)}); {columns if seen.is_coarse else 'a column is an estimate'}"
    )
    return [*shapes, Text(frame.left, y + 32, fitted(note, _SMALL, frame.width), _SMALL, FAINT)]
