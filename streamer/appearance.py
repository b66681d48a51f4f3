"""The look of labels on a screen or a page: a colour, a letter and a code for each.

Colour-blind people can tell the colours apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streamer.recognition.decision import SILENCE, UNCERTAIN, WARMING_UP

#: Codes of timesteps without an emotion. Emotions count from 0.
SILENCE_CODE, UNCERTAIN_CODE, WARMING_UP_CODE, GAP_CODE, NOTHING_CODE = -1, -2, -3, -4, -5
STATE_CODES = {SILENCE: SILENCE_CODE, UNCERTAIN: UNCERTAIN_CODE, WARMING_UP: WARMING_UP_CODE}

#: Okabe and Ito's palette without black, the darkest on a dark background last.
EMOTION_COLOURS = ("#d55e00", "#f0e442", "#009e73", "#56b4e9", "#cc79a7", "#e69f00", "#0072b2")


@dataclass(frozen=True, slots=True)
class Look:
    """The look of a label.

    Attributes:
        name: the label in words.
        letter: one character that no other label has.
        colour: in the form ``#rrggbb``.
        texture: character that fills the timeline's cells; a blank is solid colour.
    """

    name: str
    letter: str
    colour: str
    texture: str = " "


STATE_LOOKS = {
    SILENCE_CODE: Look(SILENCE, "·", "#4a545e", "·"),
    UNCERTAIN_CODE: Look(UNCERTAIN, "?", "#a3adb8", "▒"),
    WARMING_UP_CODE: Look(WARMING_UP, "~", "#6b7784", "░"),
    GAP_CODE: Look("gap", "!", "#ffffff", "!"),
    NOTHING_CODE: Look("", " ", "#101418"),
}

#: Colours of white paper, and of a gap on it.
PAPER, PAPER_GAP = "#ffffff", "#000000"
#: States on white paper, where the screen's greys would stand out more than the emotions.
_PAPER_COLOURS = {
    SILENCE_CODE: "#d3dae1",
    UNCERTAIN_CODE: "#848f9b",
    WARMING_UP_CODE: "#b3bdc7",
    GAP_CODE: PAPER_GAP,
    NOTHING_CODE: PAPER,
}


def looks(labels: Sequence[str]) -> dict[int, Look]:
    """Return the look of every code: emotions by their index, states by their negative codes."""
    taken: set[str] = set()
    result = dict(STATE_LOOKS)
    for index, label in enumerate(labels):
        spare = (chr(number) for number in range(ord("A"), ord("Z") + 1))
        wanted = [*(letter for letter in label.upper() if letter.isalnum()), *spare]
        # More than 26 labels share letters rather than have none.
        letter = next((one for one in wanted if one not in taken), wanted[0])
        taken.add(letter)
        colour = EMOTION_COLOURS[index % len(EMOTION_COLOURS)]
        result[index] = Look(label, letter, colour)
    return result


def paper_looks(labels: Sequence[str]) -> dict[int, Look]:
    """Return the looks for white paper; emotions have the same colours as on the screen."""
    return {
        code: replace(look, colour=_PAPER_COLOURS.get(code, look.colour))
        for code, look in looks(labels).items()
    }


def code_of(label: str, labels: Sequence[str]) -> int:
    """Return the code of the label shown; before the first, that of nothing."""
    if label in labels:
        return list(labels).index(label)
    return STATE_CODES.get(label, NOTHING_CODE)
