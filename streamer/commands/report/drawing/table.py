"""The table of all sessions, with a row for each recording or channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamer.appearance import Look
from streamer.commands.report.drawing.axis import clock
from streamer.commands.report.drawing.ink import FAINT, INK, RULE, chip
from streamer.commands.report.drawing.picture import Drawing
from streamer.commands.report.drawing.shapes import Line, Shape, Text, fitted, text_width, wrapped
from streamer.commands.report.facts import Facts
from streamer.commands.report.sentence import percents, seconds, times_of
from streamer.formats.reader import RecordedSession
from streamer.recognition.decision import STATES, UNCERTAIN, WARMING_UP

#: Most columns of emotions; beyond that, only the emotions shown most get one.
_MOST_EMOTIONS = 12
_SIZE, _ROW, _LINE = 11.0, 22.0, 15.0
_PADDING = 14.0
#: Least and greatest width of a column of words, and of one of numbers.
_TEXT_WIDTHS, _NUMBER_WIDTHS = (80.0, 240.0), (44.0, 110.0)
NOTE = (
    "Speech is a share of the time: all that is not labelled silence, short pauses included. An "
    "emotion is a share of the speech. The verdict weighs probabilities, so another emotion may "
    "have been shown longer."
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table.

    Attributes:
        name: in words.
        look: look of the emotion whose share it shows.
        is_text: whether its cells are words instead of numbers.
        cells: one cell per session.
    """

    name: str
    cells: tuple[str, ...]
    look: Look | None = None
    is_text: bool = False


def columns_of(
    sessions: Sequence[RecordedSession], facts: Sequence[Facts], looks: dict[str, Look]
) -> list[Column]:
    """Return the columns that are not empty.

    Args:
        sessions: the rows.
        facts: figures of each session.
        looks: looks of labels by name, in the order of columns.
    """
    shown = [percents(one.shares) for one in facts]
    longest_s = max(one.duration_s for one in facts)
    unit = " s" if longest_s < 60.0 else ""
    columns = [
        Column("recording", tuple(session.title for session in sessions), is_text=True),
        Column("duration", tuple(clock(_tenth(one), longest_s) + unit for one in facts)),
        Column("speech", tuple(times_of(one)["speech"] for one in facts)),
        Column("verdict", tuple(_verdict(one) for one in facts), is_text=True),
        *(
            Column(
                label,
                tuple(one.get(label, "") for one in shown),
                looks[label],
            )
            for label in _shown(facts, looks)
        ),
    ]
    if any(one.gaps for one in facts):
        columns.append(Column("lost in gaps", tuple(map(_lost, facts))))
    if any(one.marks for one in facts):
        columns.append(Column("marks", tuple(str(one.marks or "") for one in facts)))
    if any(one.latency for one in facts):
        columns.append(Column("late, p50/p95", tuple(map(_latency, facts))))
    return columns


def _latency(facts: Facts) -> str:
    late = facts.latency
    return "" if late is None else f"{late.p50:.0f}/{late.p95:.0f} ms"


def _lost(facts: Facts) -> str:
    return f"{seconds(facts.lost_s)} in {facts.gaps}" if facts.gaps else ""


def _tenth(facts: Facts) -> float:
    return round(facts.duration_s, 1)


def _verdict(facts: Facts) -> str:
    return "none, cut short" if facts.verdict is None else facts.verdict.replace(" overall", "", 1)


def _shown(facts: Sequence[Facts], looks: dict[str, Look]) -> list[str]:
    """Return the labels with columns: all emotions unless there are many, and states shown."""
    total = {label: sum(one.shares.get(label, 0.0) for one in facts) for label in looks}
    emotions = [label for label in looks if label not in STATES]
    if len(emotions) > _MOST_EMOTIONS:
        most = sorted(emotions, key=lambda label: -total[label])[:_MOST_EMOTIONS]
        emotions = [label for label in emotions if label in most]
    return [*emotions, *(label for label in (UNCERTAIN, WARMING_UP) if total[label])]


def draw_table(columns: Sequence[Column], at: tuple[float, float]) -> Drawing:
    """Draw the table, as wide as its columns need."""
    left, y = at
    widths = [_width(column) for column in columns]
    rights = left + np.cumsum(np.array(widths) + _PADDING) - _PADDING
    total = float(rights[-1]) - left
    rows = len(columns[0].cells)
    shapes: list[Shape] = [Line(left, y + _ROW, left + total, y + _ROW, INK)]
    for column, width, right in zip(columns, widths, rights.tolist(), strict=True):
        x, anchor = (right - width, "start") if column.is_text else (right, "end")
        if column.look is None:
            name = fitted(column.name, _SIZE, width)
            shapes.append(Text(x, y + 13, name, _SIZE, INK, anchor, is_bold=True))
        else:
            sign_x = right - width
            name = fitted(column.name, _SIZE, width - 18.0)
            shapes += chip(column.look, sign_x, y + 2)
            shapes.append(Text(sign_x + 18, y + 13, name, _SIZE, INK, is_bold=True))
        for row, cell in enumerate(column.cells):
            baseline = y + _ROW * (row + 1) + 15
            told = fitted(cell, _SIZE, width, keeps_end=column.name == "recording")
            shapes.append(Text(x, baseline, told, _SIZE, INK, anchor))
    for row in range(1, rows):
        below = y + _ROW * (row + 1)
        shapes.append(Line(left, below, left + total, below, RULE, 0.6))
    height = _ROW * (rows + 1) + 8
    for line in wrapped(NOTE, _SIZE, total, 4):
        height += _LINE
        shapes.append(Text(left, y + height, line, _SIZE, FAINT))
    return Drawing(total, height + 4, tuple(shapes))


def _width(column: Column) -> float:
    """Return the width of its cells, within bounds."""
    least, most = _TEXT_WIDTHS if column.is_text else _NUMBER_WIDTHS
    name = text_width(column.name, _SIZE) + (18.0 if column.look is not None else 0.0)
    widest = max(name, *(text_width(cell, _SIZE) for cell in column.cells))
    return min(max(widest + 1.0, least), most)  # so that rounding does not cut it
