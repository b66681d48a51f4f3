"""Writes drawings as SVG, without a library."""

from __future__ import annotations

from html import escape

import numpy as np

from streamer.appearance import PAPER
from streamer.commands.report.drawing.picture import Drawing
from streamer.commands.report.drawing.shapes import Area, Box, Line, Points, Shape, Text
from streamer.errors import printable

_FONTS = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"


def to_svg(drawing: Drawing, title: str) -> str:
    """Return a drawing as a self-contained SVG element."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width:g} '
        f'{drawing.height:g}" width="{drawing.width:g}" height="{drawing.height:g}" '
        f'font-family="{_FONTS}" role="img">',
        f"<title>{escape(printable(title))}</title>",
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        *(_element(shape) for shape in drawing.shapes),
        "</svg>",
    ]
    return "\n".join(lines)


def _element(shape: Shape) -> str:
    match shape:
        case Box():
            return (
                f'<rect x="{_number(shape.x)}" y="{_number(shape.y)}" '
                f'width="{_number(shape.width)}" height="{_number(shape.height)}" '
                f'fill="{shape.colour}"/>'
            )
        case Line():
            dashes = ' stroke-dasharray="3 2"' if shape.is_dashed else ""
            return (
                f'<path d="M{_number(shape.x1)} {_number(shape.y1)}'
                f'L{_number(shape.x2)} {_number(shape.y2)}" stroke="{shape.colour}" '
                f'stroke-width="{_number(shape.thickness)}"{dashes}/>'
            )
        case Area():
            outline = f' stroke="{shape.outline}" stroke-width="0.7"' if shape.outline else ""
            path = "".join(_path(polygon) for polygon in shape.polygons)
            return f'<path d="{path}" fill="{shape.colour}"{outline}/>'
        case Text():
            anchor = f' text-anchor="{shape.anchor}"' if shape.anchor != "start" else ""
            weight = ' font-weight="bold"' if shape.is_bold else ""
            return (
                f'<text x="{_number(shape.x)}" y="{_number(shape.y)}" '
                f'font-size="{_number(shape.size)}" fill="{shape.colour}"{anchor}{weight}>'
                f"{escape(shape.content)}</text>"
            )


def _path(polygon: Points) -> str:
    """Return a relative path in tenths of a pixel: short, and rounding errors do not add up."""
    tenths = np.rint(10 * polygon).astype(np.int64)
    words = [f"M{_tenth(tenths[0, 0])} {_tenth(tenths[0, 1])}"]
    for right, down in np.diff(tenths, axis=0).tolist():
        if right and down:
            words.append(f"l{_tenth(right)} {_tenth(down)}")
        elif right:
            words.append(f"h{_tenth(right)}")
        elif down:
            words.append(f"v{_tenth(down)}")
    return "".join(words) + "z"


def _tenth(tenths: int) -> str:
    return f"{tenths / 10:g}"


def _number(length: float) -> str:
    return f"{round(length, 1):g}"
