"""Colours of a page and the sign of a label: its letter on its colour."""

from __future__ import annotations

from collections.abc import Sequence

from streamer.appearance import PAPER, PAPER_GAP, Look, paper_looks
from streamer.commands.report.drawing.shapes import Box, Shape, Text

INK = "#1b2127"
FAINT = "#59636d"
RULE = "#c3cad1"
TRACK = "#f1f3f5"

#: Letters on a light colour, on dark paper too: a dark page does not change this colour.
_ON_LIGHT = "#14181d"
_ON_DARK = "#fefefe"
#: Letters on greys that are light on paper and dark on a dark page, which changes this one too.
_ON_GREY = "#14181e"
_CHANGING_GREYS = ("#d3dae1", "#b3bdc7")

CHIP = 14.0


def shared_looks(sessions: Sequence[Sequence[str]]) -> list[dict[int, Look]]:
    """Return the looks of each session's labels: a label looks the same in all of them."""
    every = list(dict.fromkeys(label for labels in sessions for label in labels))
    of_all = paper_looks(every)
    index = {label: number for number, label in enumerate(every)}
    states = {code: look for code, look in of_all.items() if code < 0}
    return [
        {code: of_all[index[label]] for code, label in enumerate(labels)} | states
        for labels in sessions
    ]


def chip(look: Look, x: float, y: float) -> list[Shape]:
    """Return the sign of a label, with its upper left corner at the point."""
    middle = x + CHIP / 2
    return [
        Box(x, y, CHIP, CHIP, look.colour),
        Text(middle, y + 11, look.letter, 11.0, on(look.colour), "middle", is_bold=True),
    ]


def on(colour: str) -> str:
    """Return black or white, whichever is more readable on a colour."""
    if colour in _CHANGING_GREYS:
        return _ON_GREY
    if colour == PAPER_GAP:  # a dark page inverts it, like paper
        return PAPER
    red, green, blue = _channels(colour)
    return _ON_LIGHT if 0.299 * red + 0.587 * green + 0.114 * blue > 115 else _ON_DARK


def darker(colour: str) -> str:
    """Return the same hue for an outline, which shows a light area on white."""
    return "#" + "".join(f"{round(0.7 * channel):02x}" for channel in _channels(colour))


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
