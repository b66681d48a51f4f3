"""Pieces of lines: text with a colour and a background."""

from __future__ import annotations

from functools import cache

from rich.segment import Segment
from rich.style import Style

from streamer.screen.drawing.palette import BACKGROUND, TEXT

Line = list[Segment]


@cache
def style(colour: str = TEXT, ground: str = BACKGROUND, bold: bool = False) -> Style:
    """Return a cached style: making one costs more than drawing with it."""
    return Style(color=colour, bgcolor=ground, bold=bold)


def text(content: str, colour: str = TEXT, ground: str = BACKGROUND, bold: bool = False) -> Segment:
    """Return a piece of a line."""
    return Segment(content, style(colour, ground, bold))


def width_of(line: Line) -> int:
    """Return the number of cells in a line."""
    # Nearly all pieces are ASCII, whose characters need no lookup.
    return sum(len(piece.text) if piece.text.isascii() else piece.cell_length for piece in line)


def spread(left: Line, right: Line, width: int) -> Line:
    """Return a line with two pieces at its ends; without the right one if both do not fit."""
    space = width - width_of(left) - width_of(right)
    return [*left, text(" " * space), *right] if space >= 1 else left


def fitted(line: Line, width: int) -> Line:
    """Return the line cut or padded to exactly this many cells."""
    if (missing := width - width_of(line)) >= 0:
        return [*line, text(" " * missing)] if missing else line
    return Segment.adjust_line_length(line, width, style=style())
