"""Draws the legend of a page's colours and letters."""

from __future__ import annotations

from collections.abc import Sequence

from streamer.appearance import Look
from streamer.commands.report.drawing.ink import CHIP, INK, chip
from streamer.commands.report.drawing.picture import Drawing
from streamer.commands.report.drawing.shapes import Shape, Text, fitted, text_width
from streamer.commands.report.drawing.timelines import Strand

_SIZE, _ROW, _BETWEEN = 11.0, 20.0, 18.0


def shown_looks(strands: Sequence[Strand]) -> list[Look]:
    """Return the emotions of all sessions, and the states and gaps that occur in them."""
    emotions: dict[str, Look] = {}
    states: dict[str, Look] = {}
    for strand in strands:
        seen = zip(strand.seen.codes, strand.seen.shares.max(axis=0).tolist(), strict=True)
        for code, share in seen:
            look = strand.looks[code]
            if code >= 0:
                emotions[look.name] = look
            elif share:
                states[look.name] = look
    return [*emotions.values(), *states.values()]


def draw_legend(looks: Sequence[Look], at: tuple[float, float], width: float) -> Drawing:
    """Draw signs with their names in lines."""
    left, y = at
    x = left
    shapes: list[Shape] = []
    for look in looks:
        name = fitted(look.name, _SIZE, width - CHIP - 6)
        needed = CHIP + 6 + text_width(name, _SIZE)
        if x > left and x + needed > left + width:
            x, y = left, y + _ROW
        shapes += [*chip(look, x, y), Text(x + CHIP + 6, y + 11, name, _SIZE, INK)]
        x += needed + _BETWEEN
    return Drawing(width, y + _ROW - at[1], tuple(shapes))
