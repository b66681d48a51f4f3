"""The screen as a picture in a file: SVG that stands still, or moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from streamer.screen.drawing.palette import BACKGROUND, FAINT, TEXT
from streamer.screen.drawing.segments import Line
from streamer.screen.drawing.vector import (
    CELL_HEIGHT,
    CELL_WIDTH,
    FONT_PIXELS,
    GROUND,
    LETTER,
    SHAPE,
    Element,
    elements,
)
from streamer.screen.drawing.view import draw
from streamer.screen.keys import View
from streamer.screen.monitor import Snapshot

_FONTS = "Fira Code, ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"
#: Space around the cells, in pixels; the window's title is above them.
_EDGE, _TITLE = 9, 36
_BUTTONS = ("#ff5f57", "#febc2e", "#28c840")

#: When an element is seen: the first frame, and the first in which it is not.
_Span = tuple[int, int]


def still_svg(snapshot: Snapshot, view: View, width: int, height: int) -> str:
    """Return the screen as SVG, ``width`` by ``height`` cells."""
    shown = _elements(draw(snapshot, view, width, height))
    layers = [
        _layer(layer, [one.markup for one in shown if one.layer == layer])
        for layer in (GROUND, SHAPE, LETTER)
    ]
    return _document(layers, width, height)


def moving_svg(
    snapshots: Sequence[Snapshot], width: int, height: int, *, frame_s: float, hold_s: float
) -> str:
    """Return the screen as SVG that moves by itself, again and again, without a script.

    What two frames share is in the file once. Where nothing moves (somebody asked the system for
    less motion, or the viewer knows no animation), the last frame is shown.

    Args:
        snapshots: a frame each, one or more.
        width: columns.
        height: rows.
        frame_s: time of a frame, seconds.
        hold_s: time for which the last frame stays on, seconds.
    """
    last = len(snapshots) - 1
    frames = len(snapshots) + round(hold_s / frame_s)
    seen: dict[Element, list[_Span]] = defaultdict(list)
    for frame, snapshot in enumerate(snapshots):
        for element in _elements(draw(snapshot, View(), width, height)):
            spans = seen[element]
            end = frame + 1 if frame < last else frames
            if spans and spans[-1][1] == frame:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((frame, end))
    parts: dict[tuple[int, _Span], list[str]] = defaultdict(list)
    for element, spans in seen.items():
        for span in spans:
            parts[element.layer, span].append(element.markup)
    groups: dict[int, list[str]] = defaultdict(list)
    for (layer, span), markup in sorted(parts.items()):
        groups[layer].append(_timed(span, frames, frame_s, "".join(markup)))
    style = _animation({end - first for _, (first, end) in parts}, frames, frame_s)
    layers = [_layer(layer, groups[layer]) for layer in (GROUND, SHAPE, LETTER)]
    return _document([style, *layers], width, height)


def _elements(lines: Iterable[Line]) -> list[Element]:
    return [element for row, line in enumerate(lines) for element in elements(line, row)]


def _timed(span: _Span, frames: int, frame_s: float, markup: str) -> str:
    """Return markup that is seen during a span of the frames."""
    first, end = span
    if end - first == frames:
        return f"<g>{markup}</g>"
    # Each animation begins in the past, at the point from which it comes to its span in time.
    delay = f' style="animation-delay:{(first - frames) * frame_s:.2f}s"' if first else ""
    name = f"m{end - first}" + (" last" if end == frames else "")
    return f'<g class="m {name}"{delay}>{markup}</g>'


def _animation(lengths: set[int], frames: int, frame_s: float) -> str:
    """Return the style of spans of these lengths, in frames."""
    rules = [
        f".m{{visibility:hidden;animation:{frames * frame_s:.2f}s step-end infinite}}",
        ".last{visibility:visible}",
    ]
    for length in sorted(lengths - {frames}):
        end = 100 * length / frames
        rules.append(
            f"@keyframes m{length}{{0%{{visibility:visible}}{end:.4f}%{{visibility:hidden}}}}"
            f".m{length}{{animation-name:m{length}}}"
        )
    rules.append("@media(prefers-reduced-motion:reduce){.m{animation:none}}")
    return f"<style>{''.join(rules)}</style>"


def _layer(layer: int, markup: Iterable[str]) -> str:
    hint = ' shape-rendering="crispEdges"' if layer != LETTER else ""
    return f"<g{hint}>{''.join(markup)}</g>"


def _document(content: Iterable[str], columns: int, rows: int) -> str:
    """Return a window with a title, and the content in it."""
    width, height = columns * CELL_WIDTH + 2 * _EDGE, rows * CELL_HEIGHT + _TITLE + _EDGE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="{_FONTS}" font-size="{FONT_PIXELS}">',
        "<title>ser-live</title>",
        f'<rect x="1" y="1" width="{width - 2}" height="{height - 2}" rx="8" '
        f'fill="{BACKGROUND}" stroke="{FAINT}"/>',
        *(
            f'<circle cx="{26 + 22 * number}" cy="20" r="7" fill="{colour}"/>'
            for number, colour in enumerate(_BUTTONS)
        ),
        f'<text x="{width // 2}" y="26" text-anchor="middle" font-family="Arial, sans-serif" '
        f'font-size="18" font-weight="bold" fill="{TEXT}">ser-live</text>',
        f'<g transform="translate({_EDGE},{_TITLE})">',
        *content,
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines)
