"""Draws tracks along time: lanes, ribbon, axes, attention; pure functions that return lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment

from streamer.appearance import GAP_CODE, Look
from streamer.screen.drawing.palette import BACKGROUND, FAINT, TEXT, TRACK
from streamer.screen.drawing.segments import Line, text
from streamer.screen.drawing.timeline import Timeline

_EIGHTHS_UP = np.array(list(" ▁▂▃▄▅▆▇█"))
_FULL_OR_NOT = re.compile("█+|[^█]+")
#: Steps between the moments named on an axis, in seconds, and the least cells between two.
_TICKS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300)
_TICK_CELLS = 10
_NOW = "now"


def _rises(shares: NDArray[np.floating], rows: int) -> list[str]:
    """Return ``(columns,)`` in [0, 1] as columns of eighths, ``rows`` cells high, top row first.

    An eighth at the top stays free, to separate the columns from the content above.
    """
    eighths = np.ceil(np.nan_to_num(shares) * (rows * 8 - 1)).astype(np.intp)
    levels = eighths - 8 * np.arange(rows - 1, -1, -1)[:, None]
    signs = _EIGHTHS_UP[np.clip(levels, 0, 8)]
    return [str(row.view(f"U{len(row)}").item()) for row in signs]


def _columns(row: str, colour: str, ground: str) -> Line:
    """Return eighths in a colour; full ones as coloured background, which leaves no seams."""
    return [
        text(" " * len(cells), ground=colour) if cells[0] == "█" else text(cells, colour, ground)
        for cells in _FULL_OR_NOT.findall(row)
    ]


def lane_lines(past: Timeline, shown: Sequence[Look], rows: int) -> list[Line]:
    """Return each emotion's probability over time, ``rows`` cells high."""
    lines: list[Line] = []
    for index, look in enumerate(shown):
        for row, columns in enumerate(_rises(past.lanes[:, index], rows)):
            gutter = f"{look.letter} " if row == rows - 1 else "  "
            letter = text(gutter, look.colour, bold=True)
            lines.append([letter, *_columns(columns, look.colour, BACKGROUND)])
    return lines


def ribbon_lines(past: Timeline, appearance: dict[int, Look], rows: int) -> list[Line]:
    """Return the labels over time, two per cell; the last row has a letter where each begins."""
    plain, lettered = [text("  ")], [text("  ")]
    pairs = zip(past.halves[::2].tolist(), past.halves[1::2].tolist(), strict=True)
    for (left, right), run in groupby(pairs):
        cells = len(list(run))
        before, after = appearance[left], appearance[right]
        if GAP_CODE in (left, right):  # a gap takes at least a whole cell
            before = after = appearance[GAP_CODE]
        if before is not after:
            piece = text("▌" * cells, _solid(before), _solid(after))
        elif before.texture != " ":
            piece = text(before.texture * cells, before.colour)
        else:
            piece = text(" " * cells, ground=before.colour)
        plain.append(piece)
        if before is after and left >= 0:
            piece = text(before.letter.ljust(cells), BACKGROUND, before.colour, bold=True)
        lettered.append(piece)
    return [*[plain] * (rows - 1), lettered][: max(rows, 0)]


def _solid(look: Look) -> str:
    """Return the colour of half a cell, which has no room for a texture."""
    return look.colour if look.texture == " " else BACKGROUND


def past_axis(past: Timeline, marks: Sequence[float], is_live: bool) -> Line:
    """Return a timeline's axis: time before now while it follows, otherwise session time."""
    if not is_live:
        return _axis(past, _clock_ticks(past), marks, None)
    step_s = _step_s(past)
    names = {
        past.end_s - seconds: f"-{seconds} s"
        if seconds < 120 or seconds % 60
        else f"-{seconds // 60} min"
        for seconds in range(step_s, int(past.span_s) + 1, step_s)
    }
    return _axis(past, names, marks, _NOW)


def session_axis(past: Timeline, marks: Sequence[float], seen: tuple[float, float]) -> Line:
    """Return the axis of the session's strip, with the timeline's part underlined.

    Args:
        past: the strip.
        marks: marked moments in stream time, seconds.
        seen: edges of the timeline in stream time.
    """
    return _axis(past, _clock_ticks(past), marks, None, seen)


def _step_s(past: Timeline) -> int:
    far_enough = (step for step in _TICKS_S if step >= _TICK_CELLS * past.cell_s)
    return next(far_enough, _TICKS_S[-1])


def _clock_ticks(past: Timeline) -> dict[float, str]:
    """Return moments in session time with their names."""
    step_s = _step_s(past)
    first = max(0, -int(-(past.end_s - past.span_s) // step_s)) * step_s
    moments = range(first, int(past.end_s) + 1, step_s)
    return {float(at): f"{at // 60}:{at % 60:02}" for at in moments}


def _axis(
    past: Timeline,
    names: dict[float, str],
    marks: Sequence[float],
    end: str | None,
    seen: tuple[float, float] | None = None,
) -> Line:
    """Return named moments where the whole name fits, the part seen, and marks on top."""
    cells = len(past.cells)
    row = [" "] * cells
    if seen is not None:
        first, last = (min(max(past.cell_at(moment), 0), cells - 1) for moment in seen)
        row[first : last + 1] = "━" * (last + 1 - first)
    room = cells
    if end is not None and cells >= 2 * len(end):
        room = cells - len(end)
        row[room:] = end
    marked = {past.cell_at(mark) for mark in marks}
    for moment, name in names.items():
        # The edge between two cells belongs to the right one.
        at = past.cell_at(moment + 0.5 * past.cell_s)
        taken = range(at, at + len(name) + 1)
        if at >= 0 and taken.stop < room and marked.isdisjoint(taken):
            row[at : taken.stop] = f"╵{name}"
    line = [text("  ")]
    for is_mark, run in groupby(range(cells), key=marked.__contains__):
        letters = "".join("▲" if is_mark else row[cell] for cell in run)
        line.append(text(letters, TEXT if is_mark else FAINT, bold=is_mark))
    return line


def attention_lines(
    attention: NDArray[np.float32],
    codes: NDArray[np.int8],
    appearance: dict[int, Look],
    rows: int,
    width: int,
) -> list[Line]:
    """Return weights over the rolling window, stretched to the width, in its labels' colours."""
    moments = np.arange(width) * len(attention) // width
    weights = attention[moments]
    if width < len(attention):  # the largest weight of the moments in a cell
        weights = np.maximum.reduceat(attention, moments)
    heights = _rises(weights / max(float(weights.max()), 1e-9), rows)
    colours = [appearance[code].colour for code in codes[moments].tolist()]
    lines: list[Line] = []
    for row in heights:
        line: list[Segment] = []
        for colour, run in groupby(zip(row, colours, strict=True), key=lambda item: item[1]):
            line += _columns("".join(letter for letter, _ in run), colour, TRACK)
        lines.append(line)
    return lines


def attention_axis(window_s: float, width: int) -> Line:
    """Return an explanation of the attention strip, as far as it fits."""
    ends = f"-{window_s:.1f} s", _NOW
    says = "taller: counted more"
    if len(says) + sum(map(len, ends)) + 4 > width:
        says = "taller: more"
    middle = says.center(width - sum(map(len, ends)))
    return [text(f"{ends[0]}{middle}{ends[1]}", FAINT)]
