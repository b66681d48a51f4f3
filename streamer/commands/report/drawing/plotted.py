"""Writes a drawing as PNG or PDF, with matplotlib."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streamer.appearance import PAPER
from streamer.commands.report.drawing.picture import Drawing
from streamer.commands.report.drawing.shapes import Area, Box, Line, Shape, Text
from streamer.plotting import save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PIXELS_PER_INCH = 96.0
_POINTS_PER_PIXEL = 72.0 / _PIXELS_PER_INCH
_PNG_DPI = 192


def write_plotted(drawing: Drawing, title: str, path: Path) -> None:
    """Write a drawing to a file that may be overwritten; the suffix determines the format.

    Raises:
        RunFailure: the file cannot be written.
    """
    from matplotlib.figure import Figure

    size = (drawing.width / _PIXELS_PER_INCH, drawing.height / _PIXELS_PER_INCH)
    figure = Figure(figsize=size, facecolor=PAPER)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0, drawing.width), ylim=(drawing.height, 0))
    axes.set_axis_off()
    for order, shape in enumerate(drawing.shapes):
        _add(axes, shape, order)
    is_pdf = path.suffix.lower() == ".pdf"
    # The same input gives the same bytes at any time.
    metadata = {"Title": title, **({"CreationDate": None} if is_pdf else {})}
    with warnings.catch_warnings():
        # A letter that the font lacks becomes a box; the terminal needs no warning about it.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        save(figure, path, format="pdf" if is_pdf else "png", dpi=_PNG_DPI, metadata=metadata)


def _add(axes: Axes, shape: Shape, order: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import PathPatch, Rectangle
    from matplotlib.path import Path as Outline

    match shape:
        case Box():
            corner = (shape.x, shape.y)
            axes.add_patch(
                Rectangle(corner, shape.width, shape.height, fc=shape.colour, lw=0, zorder=order)
            )
        case Line():
            axes.add_line(
                Line2D(
                    (shape.x1, shape.x2),
                    (shape.y1, shape.y2),
                    color=shape.colour,
                    lw=shape.thickness * _POINTS_PER_PIXEL,
                    ls=(0, (3, 2)) if shape.is_dashed else "-",
                    zorder=order,
                )
            )
        case Area():
            closed = [Outline(np.r_[one, one[:1]], closed=True) for one in shape.polygons]
            outline = {"ec": shape.outline} if shape.outline else {}
            thickness = 0.7 * _POINTS_PER_PIXEL if shape.outline else 0.0
            path = Outline.make_compound_path(*closed)
            axes.add_patch(PathPatch(path, fc=shape.colour, lw=thickness, zorder=order, **outline))
        case Text():
            axes.text(
                shape.x,
                shape.y,
                shape.content,
                color=shape.colour,
                fontsize=shape.size * _POINTS_PER_PIXEL,
                fontweight="bold" if shape.is_bold else "normal",
                ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor],
                va="baseline",
                parse_math=False,
                zorder=order,
            )
