"""Draws the rows of one session over the time axis."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from streamer.appearance import Look
from streamer.commands.report.drawing.ink import FAINT, INK, TRACK, chip, darker, on
from streamer.commands.report.drawing.overview import Float64, Overview
from streamer.commands.report.drawing.shapes import (
    Area,
    Box,
    Line,
    Shape,
    Text,
    fitted,
    runs,
    steps,
    triangle,
)
from streamer.commands.report.drawing.waveform import Waveform
from streamer.formats.reader import RecordedSession

_SIZE, _SMALL = 11.0, 9.5
#: Room for the names of the rows on the left, and for the scale on the right.
GUTTER, SCALE = 112.0, 16.0
_STRIP = 14.0
#: Lanes of at least this height show where 0 and 1 are.
_LEAST_SCALED = 20.0
#: The ribbon has a letter where a label has at least this share of at least this width.
_CLEAR_SHARE, _LETTER_WIDTH = 0.8, 14.0
_WAVE = "#5b7083"


@dataclass(frozen=True, slots=True)
class Rows:
    """Heights of rows."""

    wave: float
    ribbon: float
    lane: float
    between: float


ALONE = Rows(wave=48.0, ribbon=40.0, lane=26.0, between=7.0)
AMONG_OTHERS = Rows(wave=30.0, ribbon=26.0, lane=16.0, between=4.0)


@dataclass(frozen=True, slots=True)
class Frame:
    """The position of timelines, and the conversion of time to x."""

    left: float
    width: float
    span_s: float

    def x(self, times_s: Float64) -> Float64:
        """Convert moments in seconds to x."""
        return self.left + self.width * times_s / self.span_s


@dataclass(frozen=True, slots=True, eq=False)
class Strand:
    """The drawn data of one session."""

    session: RecordedSession
    seen: Overview
    looks: dict[int, Look]
    waveform: Waveform | None

    @property
    def is_heard(self) -> bool:
        """Whether there are emotions to draw; silence has none."""
        return not bool(np.isnan(self.seen.probabilities).all())

    @property
    def has_strip(self) -> bool:
        """Whether there are gaps or marks to draw."""
        return bool(self.session.gaps) or len(self.session.marks) > 0


def timelines(strand: Strand, frame: Frame, top: float, rows: Rows) -> tuple[float, list[Shape]]:
    """Draw sound, labels, emotion lanes, speech, gaps and marks; return where they end, too."""
    seen, looks = strand.seen, strand.looks
    left = frame.left - GUTTER
    shapes: list[Shape] = []
    y = top
    if strand.waveform is not None:
        shapes += _wave(strand.waveform, seen, frame, left, y, rows.wave)
        y += rows.wave + rows.between
    ribbon_bottom = y + rows.ribbon
    shapes += _ribbon(seen, looks, frame, y, rows.ribbon)
    shapes.append(Text(left, y + rows.ribbon / 2 + 4, "label", _SIZE, INK))
    y = ribbon_bottom + rows.between
    emotions = list(enumerate(seen.probabilities.T)) if strand.is_heard else []
    for index, values in [*emotions, (None, seen.speech)]:
        look = None if index is None else looks[index]
        shapes += _lane(values, look, seen, frame, left, y, rows.lane)
        y += rows.lane + rows.between
    if strand.has_strip:
        shapes += _strip(strand, frame, left, ribbon_bottom, y)
        y += _STRIP + rows.between
    return y - rows.between, shapes


def _wave(
    waveform: Waveform, seen: Overview, frame: Frame, left: float, top: float, height: float
) -> list[Shape]:
    """Draw the outline of the sound, with its peak as high as the row."""
    middle, scale = top + height / 2, 0.5 * height / max(waveform.peak, 1e-9)
    pixels = max(1, int(float(frame.width) * seen.edges_s[-1] / frame.span_s))
    edges_s = np.linspace(0.0, seen.edges_s[-1], pixels + 1)
    low, high = waveform.between(edges_s)
    # Silence is drawn as a line.
    upper, lower = middle - np.maximum(scale * high, 0.4), middle - np.minimum(scale * low, -0.4)
    x = frame.x(edges_s)
    polygons = tuple(
        np.concatenate(
            [
                np.stack([np.repeat(x[start : end + 1], 2)[1:-1], np.repeat(edge, 2)], axis=1)[
                    ::direction
                ]
                for edge, direction in ((upper[start:end], 1), (lower[start:end], -1))
            ]
        )
        for start, end in runs(~np.isnan(high)).tolist()
    )
    shapes: list[Shape] = [Text(left, middle + 4, "sound", _SIZE, INK)]
    return [*shapes, Area(polygons, _WAVE)] if polygons else shapes


def _ribbon(
    seen: Overview, looks: dict[int, Look], frame: Frame, top: float, height: float
) -> list[Shape]:
    """Draw every label's share of each column, with the emotions at the bottom."""
    edges = frame.x(seen.edges_s)
    tops = height * np.cumsum(seen.shares, axis=1)
    shapes: list[Shape] = []
    for index in reversed(range(len(seen.codes))):  # each hides the lower part of the one before
        own = np.where(seen.shares[:, index] > 0, tops[:, index], np.nan)
        if polygons := steps(edges, own, top + height):
            shapes.append(Area(polygons, looks[seen.codes[index]].colour))
    return [*shapes, *_letters(seen, looks, edges, top + height / 2 + 4)]


def _letters(seen: Overview, looks: dict[int, Look], edges: Float64, y: float) -> list[Shape]:
    """Draw the letter of each stretch that is one label and wide enough."""
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


def _lane(
    values: Float64,
    look: Look | None,
    seen: Overview,
    frame: Frame,
    left: float,
    top: float,
    height: float,
) -> list[Shape]:
    """Draw means over columns from 0 to 1: an emotion's where one was heard, or of speech."""
    edges = frame.x(seen.edges_s)
    baseline = top + height / 2 + 4
    shapes: list[Shape] = [
        Box(frame.left, top, float(edges[-1]) - frame.left, height, TRACK),
    ]
    if height >= _LEAST_SCALED:
        shapes += [
            Text(frame.left + frame.width + 4, top + 8, "1", _SMALL, FAINT),
            Text(frame.left + frame.width + 4, top + height, "0", _SMALL, FAINT),
        ]
    if look is None:
        shapes.append(Text(left, baseline, "speech", _SIZE, INK))
    else:
        name = fitted(look.name, _SIZE, GUTTER - 24)
        shapes += [
            *chip(look, left, top + height / 2 - 7),
            Text(left + 20, baseline, name, _SIZE, INK),
        ]
    colour = FAINT if look is None else look.colour
    if polygons := steps(edges, height * values, top + height):
        shapes.append(Area(polygons, colour, darker(colour)))
    return shapes


def _strip(
    strand: Strand, frame: Frame, left: float, marked_from: float, top: float
) -> list[Shape]:
    """Draw gaps, visible however short, and the user's marks."""
    seen, session = strand.seen, strand.session
    edges = frame.x(seen.edges_s)
    kinds = [
        name for name, there in (("gaps", session.gaps), ("marks", session.marks.size)) if there
    ]
    shapes: list[Shape] = [Text(left, top + 11, ", ".join(kinds), _SIZE, INK)]
    colour = strand.looks[seen.codes[-1]].colour
    for start, end in runs(seen.shares[:, -1] > 0).tolist():
        width = max(2.0, float(edges[end] - edges[start]))
        shapes.append(Box(float(edges[start]), top + 2, width, _STRIP - 4, colour))
    marks_s = session.marks[session.marks <= seen.edges_s[-1]]
    for x in np.unique(frame.x(marks_s).round()).tolist():
        shapes += [
            Line(x, marked_from, x, top + 2, INK, 0.8, is_dashed=True),
            Area((triangle(x, top + 2, 10.0),), INK),
        ]
    return shapes
