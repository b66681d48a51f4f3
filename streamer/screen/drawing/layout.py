"""Which parts of the screen get how many rows: the less important go first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

#: In smaller terminals frames would take the place of what is in them.
_FRAMED_FROM_COLUMNS, _FRAMED_FROM_ROWS = 64, 20
#: From these widths inside the frame on there is room for the shares beside the bars, for the
#: attention beside both, and for the attention beside the longest label.
SHARES_FROM, ATTENTION_FROM, ATTENTION_ABOVE_FROM = 60, 106, 170
#: Rows of the tallest lane; that many fit where a screen has a hundred rows.
_TALLEST_LANE = 14


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows of each part, in the order from top to bottom; 0 leaves a part out.

    Attributes:
        is_framed: parts are panels with borders, which header, titles and keys stand in.
        header: source and time.
        pad: blank rows around the label, one above first.
        label: the current label, 5 or 3 rows in large letters, 1 in plain ones.
        bars: emotions that get a bar.
        bar_gap: blank rows between two bars.
        ribbon: the timeline of labels.
        lane: rows of each emotion's lane over time.
        axis: time under those.
        strip: the session so far.
        strip_axis: time under that.
        shares: of the speech so far, in a line; in a frame they stand beside the bars.
        level: meter, and speech or not.
        status: facts about the session.
        keys: what the keyboard does.
        title: of timeline and strip, where they are not framed.
        blank: rows between the parts, where they are not framed.
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
        """Rows of the bars and what is between them."""
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
        """Rows of the whole."""
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
#: A frame has these in its borders.
_REDUCTIONS_WITHOUT_FRAME: tuple[dict[str, Any], ...] = ({"keys": 0}, {"header": 0})


@lru_cache(maxsize=16)
def plan(width: int, height: int, emotions: int, facts: int = 2) -> Plan:
    """The most that fits.

    Args:
        width: columns of the screen.
        height: its rows.
        emotions: how many there are.
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
    # Nothing is left but the label and the bars, of which the first ones stay.
    return replace(bare, bars=max(0, min(emotions, height - bare.label)))


def _fitting(result: Plan, reductions: tuple[dict[str, Any], ...], height: int) -> Plan | None:
    """The plan with as few reductions as fit into a height, None if all of them are too few."""
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
    """What left rows over by going makes room for what went before it."""
    for name, rows in reversed(gone):
        more = replace(result, **{name: rows})
        if rows > getattr(result, name) and more.rows <= height:
            result = more
    return result
