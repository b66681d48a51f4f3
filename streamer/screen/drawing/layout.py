"""Assigns rows to the parts of the screen; the less important parts go first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

#: In smaller terminals frames would take the room of their content.
_FRAMED_FROM_COLUMNS, _FRAMED_FROM_ROWS = 64, 20
#: Widths inside the frame from which there is room for the shares beside the bars, the attention
#: beside both, and the attention beside the longest label.
SHARES_FROM, ATTENTION_FROM, ATTENTION_ABOVE_FROM = 60, 106, 170
#: Rows of the tallest lane, which fits on a screen of a hundred rows.
_TALLEST_LANE = 14


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows of each part, from top to bottom; 0 omits a part.

    Attributes:
        is_framed: whether parts are panels with borders, which contain header, titles and keys.
        header: source and time.
        pad: blank rows around the label, the first one above it.
        label: the current label, 5 or 3 rows in large letters, 1 in plain ones.
        bars: number of emotions with a bar.
        bar_gap: blank rows between two bars.
        ribbon: the timeline of labels.
        lane: rows of each emotion's lane over time.
        axis: time axis below them.
        strip: the session so far.
        strip_axis: time axis below the strip.
        shares: shares of the labels so far, in a line; in a frame they are beside the bars.
        level: meter, and whether there is speech.
        status: facts about the session.
        keys: explanation of the keys.
        title: titles of timeline and strip, without a frame.
        blank: blank rows between the parts, without a frame.
    """

    is_framed: bool
    header: int = 1
    pad: int = 2
    label: int = 5
    bars: int = 4
    bar_gap: int = 1
    ribbon: int = 3
    lane: int = _TALLEST_LANE
    axis: int = 1
    strip: int = 3
    strip_axis: int = 1
    shares: int = 1
    level: int = 1
    status: int = 2
    keys: int = 1
    title: int = 1
    blank: int = 1

    @property
    def bar_rows(self) -> int:
        """Rows of the bars and between them."""
        return self.bars + self.bar_gap * max(0, self.bars - 1)

    @property
    def timeline(self) -> int:
        """Rows of ribbon, lanes and axis."""
        return self.lane * self.bars + self.ribbon + self.axis

    @property
    def session(self) -> int:
        """Rows of the strip and its axis."""
        return self.strip + self.strip_axis

    @property
    def rows(self) -> int:
        """Rows in total."""
        parts = (self.bar_rows, self.timeline, self.session, self.level + self.status)
        content = self.header + self.pad + self.label + sum(parts) + self.keys
        if self.is_framed:
            return content + sum(map(bool, parts))
        titles = self.title * (bool(self.timeline) + bool(self.session))
        return content + self.shares + titles + 5 * self.blank


_REDUCTIONS: tuple[dict[str, Any], ...] = (
    *({"lane": rows} for rows in range(_TALLEST_LANE - 1, 5, -1)),
    {"strip": 2},
    {"lane": 5},
    {"lane": 4},
    {"ribbon": 2},
    {"lane": 3},
    {"pad": 1},
    {"lane": 2},
    {"bar_gap": 0},
    {"pad": 0},
    {"status": 1},
    {"strip": 1},
    {"lane": 1},
    {"label": 3},
    {"ribbon": 1},
    {"lane": 0},
    {"strip_axis": 0},
    {"blank": 0},
    {"shares": 0},
    {"strip": 0},
    {"title": 0},
    {"axis": 0},
    {"label": 1},
    {"level": 0},
    {"status": 0},
    {"ribbon": 0},
)
#: A frame has these parts in its borders.
_REDUCTIONS_WITHOUT_FRAME: tuple[dict[str, Any], ...] = ({"keys": 0}, {"header": 0})


@lru_cache(maxsize=16)
def plan(width: int, height: int, emotions: int, facts: int = 2) -> Plan:
    """Return the plan with the most that fits.

    Args:
        width: columns of the screen.
        height: rows of the screen.
        emotions: number of emotions.
        facts: rows that all facts take at this width.
    """
    if width >= _FRAMED_FROM_COLUMNS and height >= _FRAMED_FROM_ROWS:
        framed = Plan(True, bars=emotions, status=facts, shares=0)
        if found := _fitting(framed, _REDUCTIONS, height):
            return found
    bare = Plan(False, bars=emotions, status=facts)
    reductions = (*_REDUCTIONS, *_REDUCTIONS_WITHOUT_FRAME)
    if found := _fitting(bare, reductions, height):
        return found
    for reduction in reductions:
        bare = replace(bare, **reduction)
    # Only the label and the bars are left; the first bars stay.
    return replace(bare, bars=max(0, min(emotions, height - bare.label)))


def _fitting(result: Plan, reductions: tuple[dict[str, Any], ...], height: int) -> Plan | None:
    """Return the plan with the fewest reductions that fits a height, None if none fits."""
    gone: list[tuple[str, Any]] = []
    for reduction in ({}, *reductions):
        for name, rows in reduction.items():
            if rows < getattr(result, name):
                gone.append((name, getattr(result, name)))
                result = replace(result, **{name: rows})
        if result.rows <= height:
            return _with_more(result, gone, height)
    return None


def _with_more(result: Plan, gone: list[tuple[str, Any]], height: int) -> Plan:
    """Return the plan with spare rows used for parts that were removed before."""
    for name, rows in reversed(gone):
        more = replace(result, **{name: rows})
        if rows > getattr(result, name) and more.rows <= height:
            result = more
    return result
