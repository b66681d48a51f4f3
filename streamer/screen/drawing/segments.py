"""Pieces of lines: text in a colour on a ground."""

from __future__ import annotations

from functools import cache

from rich.segment import Segment
from rich.style import Style

from streamer.screen.drawing.palette import BACKGROUND, TEXT

Line = list[Segment]


@cache
def style(colour: str = TEXT, ground: str = BACKGROUND, bold: bool = False) -> Style:
    """A style, made once: making one costs more than drawing with it."""
    return Style(color=colour, bgcolor=ground, bold=bold)


def text(content: str, colour: str = TEXT, ground: str = BACKGROUND, bold: bool = False) -> Segment:
    """A piece of a line."""
    return Segment(content, style(colour, ground, bold))


def width_of(line: Line) -> int:
    """Cells of a line."""
    # Nearly all pieces are ASCII, whose characters need not be looked up.
    return sum(len(piece.text) if piece.text.isascii() else piece.cell_length for piece in line)


def spread(left: Line, right: Line, width: int) -> Line:
    """Two pieces at either end; the right one goes where they do not fit."""
    space = width - width_of(left) - width_of(right)
    return [*left, text(" " * space), *right] if space >= 1 else left


def fitted(line: Line, width: int) -> Line:
    """Exactly so many cells of a line."""
    if (missing := width - width_of(line)) >= 0:
        return [*line, text(" " * missing)] if missing else line
    return Segment.adjust_line_length(line, width, style=style())
