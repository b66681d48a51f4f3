"""Colours of a page and the sign of a label: its letter on its colour."""

from __future__ import annotations

from streamer.report.shapes import Box, Shape, Text
from streamer.screen.palette import Look

PAPER = "#ffffff"
INK = "#1b2127"
FAINT = "#59636d"
RULE = "#c3cad1"
TRACK = "#f1f3f5"

CHIP = 14.0


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
