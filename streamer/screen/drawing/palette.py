"""Colours of the screen besides those of the labels."""

from __future__ import annotations

from functools import cache

from rich.color import Color
from rich.style import Style

from streamer.appearance import NOTHING_CODE, STATE_LOOKS

BACKGROUND = STATE_LOOKS[NOTHING_CODE].colour
TEXT = "#d8dee4"
FAINT = "#7d8894"
TRACK = "#262d34"
#: Lines around panels.
BORDER = "#3a444e"
#: Bars while no emotion is named.
FADED = "#46505a"
ALERT = "#d55e00"
#: The level meter.
METER = "#9fb4c4"

#: For terminals with 256 or 16 colours: chosen by hand, as the nearest colours are not the most
#: similar. Dark greys become navy, and two emotions the same colour.
_BY_HAND: dict[str, dict[str, str]] = {
    "256": {
        BACKGROUND: "color(233)",
        TEXT: "color(253)",
        FAINT: "color(245)",
        TRACK: "color(236)",
        BORDER: "color(239)",
        FADED: "color(240)",
        METER: "color(250)",
        "#d55e00": "color(166)",
        "#f0e442": "color(227)",
        "#009e73": "color(36)",
        "#56b4e9": "color(75)",
        "#cc79a7": "color(175)",
        "#e69f00": "color(214)",
        "#0072b2": "color(25)",
        "#4a545e": "color(239)",
        "#a3adb8": "color(248)",
        "#6b7784": "color(243)",
    },
    "standard": {
        BACKGROUND: "black",
        TEXT: "bright_white",
        FAINT: "white",
        TRACK: "bright_black",
        BORDER: "bright_black",
        FADED: "white",
        METER: "white",
        # Avoid the bright ones if possible: many themes have greys in their place.
        "#d55e00": "red",
        "#f0e442": "yellow",
        "#009e73": "green",
        "#56b4e9": "cyan",
        "#cc79a7": "magenta",
        "#e69f00": "bright_yellow",
        "#0072b2": "blue",
        "#4a545e": "bright_black",
        "#a3adb8": "white",
        "#6b7784": "bright_black",
    },
}


@cache
def adapted(style: Style, system: str | None) -> Style:
    """Return the style in a terminal's colours; ``system`` is rich's ``color_system``."""
    table = _BY_HAND.get(system or "", {})
    found = [_named(colour, table) for colour in (style.color, style.bgcolor)]
    return Style(color=found[0], bgcolor=found[1], bold=style.bold, dim=style.dim)


def _named(colour: Color | None, table: dict[str, str]) -> Color | str | None:
    return colour if colour is None else table.get(colour.name, colour)
