"""Colours of the screen beside those of the labels."""

from __future__ import annotations

from streamer.looks import NOTHING_CODE, STATE_LOOKS

BACKGROUND = STATE_LOOKS[NOTHING_CODE].colour
TEXT = "#d8dee4"
FAINT = "#7d8894"
TRACK = "#262d34"
#: Of bars while no emotion is named.
FADED = "#46505a"
ALERT = "#d55e00"
