"""Panels in frames with shared borders, each panel's title in the border above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streamer.screen.drawing.palette import BORDER
from streamer.screen.drawing.segments import Line, fitted, text, width_of

#: Columns between a border and the content.
PAD = 1


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the screen.

    Attributes:
        lines: at most ``width`` cells each.
        width: cells inside, without border and padding.
        title: text in the border above, or without a frame in a line above.
        status: text at the right end there, if both fit.
    """

    lines: list[Line]
    width: int
    title: Line = field(default_factory=list)
    status: Line = field(default_factory=list)


def framed(rows: Sequence[Sequence[Panel]], foot: Line) -> list[Line]:
    """Return rows of panels side by side in one frame, all rows of the same width.

    Args:
        rows: the panels of a row have the same number of lines.
        foot: text in the border below.
    """
    lines: list[Line] = []
    before: list[int] = []
    for panels in rows:
        joints = _joints(panels)
        lines.append(_border(panels, before, joints, is_first=not lines))
        lines += [_beside(panels, number) for number in range(len(panels[0].lines))]
        before = joints
    last = rows[-1]
    width = sum(panel.width + 2 * PAD + 1 for panel in last) - 1
    foot = [text(" "), *foot, text(" ")] if foot else []
    rule = _rule(width - width_of(foot) - 1, {at - width_of(foot) - 1: "┴" for at in before})
    lines.append([text("╰─", BORDER), *foot, text(f"{rule}╯", BORDER)])
    return lines


def _joints(panels: Sequence[Panel]) -> list[int]:
    """Return the columns of borders between panels; column 0 is the first inside the frame."""
    joints: list[int] = []
    for panel in panels[:-1]:
        joints.append((joints[-1] + 1 if joints else 0) + panel.width + 2 * PAD)
    return joints


def _border(panels: Sequence[Panel], above: list[int], below: list[int], is_first: bool) -> Line:
    """Return the border above a row of panels, with their titles."""
    corners = "╭╮" if is_first else "├┤"
    line = [text(corners[0], BORDER)]
    start = 0
    marks = dict.fromkeys(above, "┴") | dict.fromkeys(below, "┬")
    marks |= dict.fromkeys(set(above) & set(below), "┼")
    for panel in panels:
        width = panel.width + 2 * PAD
        title = [text(" "), *panel.title, text(" ")] if panel.title else []
        status = [text(" "), *panel.status, text(" ")] if panel.status else []
        if width_of(title) + width_of(status) + 3 > width:
            status = []
        if width_of(title) + 2 > width:
            title = []
        after = start + 1 + width_of(title)
        room = width - 2 - width_of(title) - width_of(status)
        rule = _rule(room, {at - after: mark for at, mark in marks.items()})
        first = _rule(1, {at - start: mark for at, mark in marks.items()})
        line += [text(first, BORDER), *title, text(rule, BORDER), *status, text("─", BORDER)]
        start += width + 1
        line.append(text(marks.get(start - 1, corners[1]), BORDER))
    return line


def _rule(width: int, marks: dict[int, str]) -> str:
    """Return a line of ``width`` cells, with other characters at some of them."""
    signs = ["─"] * width
    for at, sign in marks.items():
        if 0 <= at < width:
            signs[at] = sign
    return "".join(signs)


def _beside(panels: Sequence[Panel], number: int) -> Line:
    """Return line ``number`` of all panels of a row."""
    pad = text(" " * PAD)
    line = [text("│", BORDER)]
    for panel in panels:
        line += [pad, *fitted(panel.lines[number], panel.width), pad, text("│", BORDER)]
    return line


def unframed(panels: Sequence[Panel], has_titles: bool) -> list[Line]:
    """Return panels one below the other, with titles in separate lines or without."""
    lines: list[Line] = []
    for panel in panels:
        if has_titles and panel.title:
            space = panel.width - width_of(panel.title) - width_of(panel.status)
            status = [text(" " * space), *panel.status] if space >= 1 else []
            lines.append([*panel.title, *status])
        lines += panel.lines
    return lines
