"""Turns lines of cells into SVG elements.

Blocks and borders become shapes: a font would leave seams between them, and every viewer has
another font. Coordinates are whole numbers of pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby

from rich.cells import cell_len
from rich.style import Style

from streamer.screen.drawing.palette import BACKGROUND, TEXT
from streamer.screen.drawing.segments import Line

#: A cell in pixels: as wide as a character of most fonts that are 20 pixels high.
CELL_WIDTH, CELL_HEIGHT = 12, 24
FONT_PIXELS = 20
_BASELINE = 18
_MIDDLE_X, _MIDDLE_Y = CELL_WIDTH // 2, CELL_HEIGHT // 2

#: Layers, the lowest first. Within a layer nothing overlaps.
GROUND, SHAPE, LETTER = range(3)

_Box = tuple[int, int, int, int]

#: Lines of a border from the middle of the cell: up, right, down, left.
_ARMS = {
    "─": "right left",
    "━": "right left",
    "│": "up down",
    "┃": "up down",
    "├": "up right down",
    "┤": "up down left",
    "┬": "right down left",
    "┴": "up right left",
    "╭": "right down",
    "╮": "down left",
    "╯": "up left",
    "╰": "up right",
    "╵": "up",
}
_THICK = "━┃"
_SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75}


@dataclass(frozen=True, slots=True)
class Element:
    """A piece of a picture.

    Attributes:
        layer: which elements it lies above.
        markup: SVG, at its place in the picture.
    """

    layer: int
    markup: str


def elements(line: Line, row: int) -> Iterator[Element]:
    """Yield the elements of a line of cells, ``row`` lines below the top."""
    top, column = row * CELL_HEIGHT, 0
    shapes: dict[tuple[str, float], list[_Box]] = defaultdict(list)
    for style, run in groupby(
        ((letter, piece.style or Style()) for piece in line for letter in piece.text),
        key=lambda cell: cell[1],
    ):
        colour, ground = _colour(style.color, TEXT), _colour(style.bgcolor, BACKGROUND)
        letters = "".join(letter for letter, _ in run)
        width = cell_len(letters)
        if ground != BACKGROUND:
            box = (column * CELL_WIDTH, top, width * CELL_WIDTH, CELL_HEIGHT)
            yield Element(GROUND, f'<path fill="{ground}" d="{_path([box])}"/>')
        for content, at, is_shape in _pieces(letters, column):
            left = at * CELL_WIDTH
            if is_shape:
                shade = _SHADES.get(content[0], 1.0)
                shapes[colour, shade] += _boxes(content, left, top)
            else:
                yield Element(LETTER, _text(content, left, top, colour, bool(style.bold)))
        column += width
    for (colour, shade), boxes in shapes.items():
        opacity = f' fill-opacity="{shade:g}"' if shade < 1 else ""
        yield Element(SHAPE, f'<path fill="{colour}"{opacity} d="{_path(boxes)}"/>')


def _pieces(letters: str, column: int) -> Iterator[tuple[str, int, bool]]:
    """Yield runs of one shape, and words: content, column, whether it is a shape."""
    for key, run in groupby(letters, key=lambda letter: letter if _is_shape(letter) else ""):
        content = "".join(run)
        at = column
        column += cell_len(content)
        if key:
            yield content, at, True
            continue
        # Words that stand apart are placed apart: fonts differ in the width of a space.
        while content:
            blank = len(content) - len(content.lstrip(" "))
            at, content = at + blank, content[blank:]
            word = content.split("  ", 1)[0].rstrip(" ")
            if word:
                yield word, at, False
            at, content = at + cell_len(word), content[len(word) :]


def _is_shape(letter: str) -> bool:
    return "▀" <= letter <= "▓" or letter in _ARMS


def _boxes(run: str, left: int, top: int) -> Iterable[_Box]:
    """Return the rectangles of a run of one shape."""
    letter, width = run[0], len(run) * CELL_WIDTH
    if letter in _SHADES or letter == "█":
        return [(left, top, width, CELL_HEIGHT)]
    if letter == "▀":
        return [(left, top, width, _MIDDLE_Y)]
    if "▁" <= letter <= "▇":  # eighths from below
        height = CELL_HEIGHT * (ord(letter) - ord("▀")) // 8
        return [(left, top + CELL_HEIGHT - height, width, height)]
    thickness = 4 if letter in _THICK else 2
    if letter in "─━":
        return [(left, top + _MIDDLE_Y, width, thickness)]
    cells = [left + CELL_WIDTH * number for number in range(len(run))]
    if "▉" <= letter <= "▏":  # eighths from the left
        eighths = ord("▏") - ord(letter) + 1
        return [(x, top, round(CELL_WIDTH * eighths / 8), CELL_HEIGHT) for x in cells]
    if letter == "▐":
        return [(x + _MIDDLE_X, top, CELL_WIDTH - _MIDDLE_X, CELL_HEIGHT) for x in cells]
    arms = _ARMS[letter].split()
    return [box for x in cells for box in _arms(arms, x, top, thickness)]


def _arms(arms: list[str], left: int, top: int, thickness: int) -> Iterator[_Box]:
    """Yield the lines of a border in one cell; those of a straight line are one."""
    x, y = left + _MIDDLE_X, top + _MIDDLE_Y
    if "up" in arms or "down" in arms:
        first = top if "up" in arms else y
        last = top + CELL_HEIGHT if "down" in arms else y + thickness
        yield x, first, thickness, last - first
    if "left" in arms or "right" in arms:
        first = left if "left" in arms else x
        last = left + CELL_WIDTH if "right" in arms else x + thickness
        yield first, y, last - first, thickness


def _path(boxes: Iterable[_Box]) -> str:
    return "".join(
        f"M{left} {top}h{width}v{height}h{-width}z" for left, top, width, height in boxes
    )


def _text(content: str, left: int, top: int, colour: str, is_bold: bool) -> str:
    cells = cell_len(content)
    bold = ' font-weight="bold"' if is_bold else ""
    # Letters are spread over their cells whatever the font.
    length = f' textLength="{cells * CELL_WIDTH}"' if cells > 1 else ""
    words = escape(content, quote=False).replace(" ", "\u00a0")
    return f'<text x="{left}" y="{top + _BASELINE}"{length} fill="{colour}"{bold}>{words}</text>'


def _colour(colour: object, default: str) -> str:
    return default if colour is None else str(getattr(colour, "name", default))
