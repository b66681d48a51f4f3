"""Large letters: a font with 5 rows of pixels, drawn with block characters."""

from __future__ import annotations

_ROWS = 5
_FONT = {
    "A": " ## /#  #/####/#  #/#  #",
    "B": "### /#  #/### /#  #/### ",
    "C": " ###/#   /#   /#   / ###",
    "D": "### /#  #/#  #/#  #/### ",
    "E": "####/#   /### /#   /####",
    "F": "####/#   /### /#   /#   ",
    "G": " ###/#   /# ##/#  #/ ###",
    "H": "#  #/#  #/####/#  #/#  #",
    "I": "###/ # / # / # /###",
    "J": "  ##/   #/   #/#  #/ ## ",
    "K": "#  #/# # /##  /# # /#  #",
    "L": "#   /#   /#   /#   /####",
    "M": "#   #/## ##/# # #/#   #/#   #",
    "N": "#   #/##  #/# # #/#  ##/#   #",
    "O": " ## /#  #/#  #/#  #/ ## ",
    "P": "### /#  #/### /#   /#   ",
    "Q": " ## /#  #/#  #/# # / # #",
    "R": "### /#  #/### /# # /#  #",
    "S": " ###/#   / ## /   #/### ",
    "T": "#####/  #  /  #  /  #  /  #  ",
    "U": "#  #/#  #/#  #/#  #/ ## ",
    "V": "#   #/#   #/ # # / # # /  #  ",
    "W": "#   #/#   #/# # #/## ##/#   #",
    "X": "#   #/ # # /  #  / # # /#   #",
    "Y": "#   #/ # # /  #  /  #  /  #  ",
    "Z": "####/  # / #  /#   /####",
    "-": "   /   /###/   /   ",
    " ": "  /  /  /  /  ",
}
_HALVES = {("#", "#"): "█", ("#", " "): "▀", (" ", "#"): "▄", (" ", " "): " "}


def _pixels(text: str) -> list[str] | None:
    """Return rows of ``#`` and blanks, None if the font lacks a letter."""
    glyphs = [_FONT.get(letter) for letter in text.upper().replace("_", " ")]
    rows = [glyph.split("/") for glyph in glyphs if glyph is not None]
    if not rows or len(rows) < len(glyphs):
        return None
    return [" ".join(glyph[row] for glyph in rows) for row in range(_ROWS)]


def wide(text: str) -> list[str] | None:
    """Return 5 rows with two cells per pixel, ``#`` if set; None if the font lacks a letter."""
    pixels = _pixels(text)
    return pixels and ["".join(pixel * 2 for pixel in row) for row in pixels]


def narrow(text: str) -> list[str] | None:
    """Return 3 rows of half blocks, one cell per pixel; None if the font lacks a letter."""
    pixels = _pixels(text)
    if pixels is None:
        return None
    pixels = [*pixels, " " * len(pixels[0])]
    return [
        "".join(_HALVES[pair] for pair in zip(pixels[row], pixels[row + 1], strict=True))
        for row in range(0, _ROWS, 2)
    ]
