"""Colours of a page and the sign of a label: its letter on its colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamer.looks import (
    GAP_CODE,
    NOTHING_CODE,
    SILENCE_CODE,
    UNCERTAIN_CODE,
    WARMING_UP_CODE,
    Look,
    looks,
)
from streamer.report.shapes import Box, Shape, Text

PAPER = "#ffffff"
INK = "#1b2127"
FAINT = "#59636d"
RULE = "#c3cad1"
TRACK = "#f1f3f5"

#: States on white paper, where the screen's greys would outshout the emotions.
_PAPER_COLOURS = {
    SILENCE_CODE: "#d3dae1",
    UNCERTAIN_CODE: "#848f9b",
    WARMING_UP_CODE: "#b3bdc7",
    GAP_CODE: "#000000",
    NOTHING_CODE: PAPER,
}

CHIP = 14.0


def paper_looks(labels: Sequence[str]) -> dict[int, Look]:
    """How labels look on white paper; emotions have the colours of the screen."""
    return {
        code: replace(look, colour=_PAPER_COLOURS.get(code, look.colour))
        for code, look in looks(labels).items()
    }


def chip(look: Look, x: float, y: float) -> list[Shape]:
    """The sign of a label, its upper left corner at the point."""
    middle = x + CHIP / 2
    return [
        Box(x, y, CHIP, CHIP, look.colour),
        Text(middle, y + 11, look.letter, 11.0, on(look.colour), "middle", is_bold=True),
    ]


def on(colour: str) -> str:
    """Black or white, whichever is read better on a colour."""
    red, green, blue = _channels(colour)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 115 else PAPER


def darker(colour: str) -> str:
    """The same hue for an outline: a light area is seen on white by it."""
    return "#" + "".join(f"{round(0.7 * channel):02x}" for channel in _channels(colour))


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
