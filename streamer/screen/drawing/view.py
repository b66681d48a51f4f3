"""Draws the terminal UI: a pure function of a snapshot, a view and a size."""

from __future__ import annotations

from rich.segment import Segment

from streamer.screen.drawing.frame import framed, unframed
from streamer.screen.drawing.layout import plan
from streamer.screen.drawing.panels import Parts, facts_of
from streamer.screen.drawing.segments import Line, fitted, spread, text, width_of
from streamer.screen.drawing.widgets import fact_lines
from streamer.screen.keys import View, back_plate, help_lines, key_line
from streamer.screen.monitor import Snapshot

#: Columns left free on each side without a frame, and those that a frame takes.
_MARGIN, _FRAME = 1, 2
_MOST_FACTS = 2
#: Columns beside the help that are worth seeing.
_LEAST_BESIDE_BOX = 12


def draw(snapshot: Snapshot, view: View, width: int, height: int) -> list[Line]:
    """Return all ``height`` lines of the picture, each exactly ``width`` cells."""
    inner = max(1, width - 2 * _FRAME)
    facts = len(fact_lines(facts_of(snapshot, inner), _MOST_FACTS, inner))
    rows = plan(width, height, len(snapshot.labels), facts)
    edge = _FRAME if rows.is_framed else _MARGIN
    parts = Parts(snapshot, view, rows, max(1, width - 2 * edge))
    if rows.is_framed:
        lines = _in_frames(parts, view, height - rows.rows)
    else:
        bare = _below_each_other(parts, view, height)
        lines = [fitted([text(" " * edge), *line], width) for line in bare[:height]]
    if view.is_help:
        _put_in_the_middle(lines, help_lines(view, width, height), width)
    return lines


def _in_frames(parts: Parts, view: View, spare: int) -> list[Line]:
    rows = parts.rows
    panels = [
        parts.top(spare),
        parts.emotions(),
        *([[parts.timeline()]] if rows.timeline else []),
        *([[parts.session()]] if rows.session else []),
        *([[parts.sound()]] if rows.level + rows.status else []),
    ]
    return framed([row for row in panels if row[0].lines], key_line(view, parts.width - 2))


def _below_each_other(parts: Parts, view: View, height: int) -> list[Line]:
    rows = parts.rows
    blank: list[Line] = [[]] * rows.blank
    label = parts.label(0, parts.width)
    top = [
        *[spread(label.title, label.status, parts.width)][: rows.header],
        *blank,
        *label.lines,
        *blank,
        *parts.emotions()[0].lines,
        *blank,
        *unframed([parts.timeline()], bool(rows.title)),
        *blank,
        *unframed([parts.session()] if rows.session else [], bool(rows.title)),
        *[parts.shares()][: rows.shares],
    ]
    keys = key_line(view, parts.width)
    if not rows.title and not view.message:  # nothing else shows that the timeline is not live
        keys = back_plate(view, parts.snapshot) or keys
    bottom = [*blank, *parts.sound().lines, *[keys][: rows.keys]]
    spare: list[Line] = [[]] * max(0, height - len(top) - len(bottom))
    return [*top, *spare, *bottom]


def _put_in_the_middle(lines: list[Line], box: list[Line], width: int) -> None:
    """Put a box over lines of ``width`` cells; if it does not fit, its end is cut off."""
    first = max(0, (len(lines) - len(box)) // 2)
    for row, line in enumerate(box[: len(lines) - first], first):
        line = fitted(line, min(width_of(line), width))
        left = (width - width_of(line)) // 2
        before, _, after = Segment.divide(lines[row], [left, left + width_of(line), width])
        if left < _LEAST_BESIDE_BOX:  # only scraps of words would show
            before, after = [text(" " * left)], []
        lines[row] = fitted([*before, *line, *after], width)
