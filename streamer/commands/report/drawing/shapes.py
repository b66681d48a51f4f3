"""The shapes of a page. Lengths are CSS pixels, 96 to the inch; y grows downwards."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

from streamer.errors import printable

Points = NDArray[np.float64]

#: Widths of characters relative to their size, in the widest of the requested fonts.
_COMMON, _WIDE = 0.68, 1.15
#: Line breaks: not between a number and its unit, nor before the last number in brackets.
_BREAKS = re.compile(r" (?!(?:s|ms|min|h)\b|\d+\))")
_WIDE_LETTERS = frozenset("MWmw@%…")


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str
    thickness: float = 1.0
    is_dashed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """Filled polygons of one colour, each ``(points, 2)``."""

    polygons: tuple[Points, ...]
    colour: str
    outline: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; ``y`` is its baseline, ``anchor`` the part of it that is at ``x``."""

    x: float
    y: float
    content: str
    size: float
    colour: str
    anchor: str = "start"
    is_bold: bool = False


Shape = Box | Line | Area | Text


def fitted(content: str, size: float, width: float, *, keeps_end: bool = False) -> str:
    """Return the text on one line, with its end or beginning cut off beyond ``width``."""
    content = printable(content)
    order = -1 if keeps_end else 1
    widths = size * np.cumsum([_width(letter) for letter in content[::order]])
    if not len(widths) or widths[-1] <= width:
        return content
    kept = content[::order][: int((widths <= width - size * _WIDE).sum())][::order]
    return f"…{kept}" if keeps_end else f"{kept}…"


def wrapped(content: str, size: float, width: float, most_lines: int) -> list[str]:
    """Return the text on as many lines as needed, cut off after ``most_lines``."""
    lines: list[str] = []
    words = _BREAKS.split(printable(content))
    while words and len(lines) < most_lines - 1:
        taken = 1
        while taken < len(words) and text_width(" ".join(words[: taken + 1]), size) <= width:
            taken += 1
        lines.append(fitted(" ".join(words[:taken]), size, width))
        words = words[taken:]
    return [*lines, fitted(" ".join(words), size, width)] if words else lines


def text_width(content: str, size: float) -> float:
    """Return the maximum width of a text."""
    return size * sum(map(_width, printable(content)))


def _width(letter: str) -> float:
    is_wide = letter in _WIDE_LETTERS or cell_len(letter) > 1
    return _WIDE if is_wide else _COMMON


def steps(edges: Points, heights: Points, base: float) -> tuple[Points, ...]:
    """Return columns on a baseline as polygons: one per run of known heights.

    Args:
        edges: ``(columns + 1,)`` x.
        heights: ``(columns,)``, NaN for nothing to draw.
        base: y of the baseline.
    """
    bounds = runs(~np.isnan(heights))
    return tuple(_stairs(edges[start : end + 1], heights[start:end], base) for start, end in bounds)


def runs(holds: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the first index and the index after the last, ``(runs, 2)``, of each true run."""
    padded = np.r_[False, holds, False]
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)


def _stairs(edges: Points, heights: Points, base: float) -> Points:
    """Return the outline of the columns, with equal neighbours merged."""
    is_new = np.r_[True, np.diff(heights) != 0]
    heights = heights[is_new]
    edges = np.r_[edges[:-1][is_new], edges[-1]]
    x = np.repeat(edges, 2)
    y = np.r_[base, np.repeat(base - heights, 2), base]
    return np.stack([x, y], axis=1)


def triangle(x: float, y: float, size: float) -> Points:
    """Return the sign of a mark, with its tip at the point."""
    return np.array([(x, y), (x + size / 2, y + size), (x - size / 2, y + size)])
