"""Draws the present and totals: label, bars, meter, facts; pure functions that return lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.cells import cell_len, set_cell_size

from streamer.appearance import Look
from streamer.screen.drawing import lettering
from streamer.screen.drawing.meter import Meter
from streamer.screen.drawing.palette import ALERT, BACKGROUND, FADED, FAINT, METER, TEXT, TRACK
from streamer.screen.drawing.segments import Line, text, width_of

_EIGHTHS_RIGHT = " ▏▎▍▌▋▊▉"
QUIETEST_SHOWN_DBFS = -60.0
#: How long the word CLIP stays visible.
CLIP_HOLD_S = 2.0
#: Names that would be cut shorter than this are omitted.
_SHORTEST_NAME = 8
#: From this width on the meter has numbers.
_NUMBERS_FROM = 70


def label_lines(look: Look, rows: int, width: int) -> list[Line]:
    """Return the current label in letters as large as ``rows`` and ``width`` allow."""
    if rows >= 5 and (pixels := lettering.wide(look.name)) and len(pixels[0]) <= width:
        # Blank cells on a coloured background: fonts leave seams between block characters.
        return [
            [
                text(" " * len(list(run)), ground=look.colour if pixel == "#" else BACKGROUND)
                for pixel, run in groupby(row)
            ]
            for row in pixels
        ]
    if rows >= 3 and (halves := lettering.narrow(look.name)) and len(halves[0]) <= width:
        above = (rows - 3) // 2
        blank: list[Line] = [[] for _ in range(rows - 3)]
        return [*blank[:above], *([text(row, look.colour)] for row in halves), *blank[above:]]
    plate = f" {look.letter}  {look.name.upper()} "
    lines: list[Line] = [[] for _ in range(rows)]
    lines[rows // 2] = [text(plate, BACKGROUND, look.colour, bold=True)]
    return lines


def bar_lines(
    shown: Sequence[tuple[Look, float]],
    gap: int,
    width: int,
    is_current: Sequence[bool],
    is_named: bool = True,
) -> list[Line]:
    """Return a bar per emotion with its probability, and ``gap`` blank lines between them.

    The bars are faint if no emotion is named, in silence or doubt.
    """
    longest = max((cell_len(look.name) for look, _ in shown), default=0)
    names = min(longest, width // 4)
    if names < min(longest, _SHORTEST_NAME):  # then show the letter, not half a word
        names = 0
    track = max(0, width - names - 7 - bool(names))
    lines: list[Line] = []
    for (look, probability), current in zip(shown, is_current, strict=True):
        if lines:
            lines += [[] for _ in range(gap)]
        name = look.name if cell_len(look.name) <= names else _cut(look.name, names)
        said = TEXT if current else FAINT
        lines.append(
            [
                text(look.letter, look.colour if is_named else FAINT, bold=True),
                text(f" {set_cell_size(name, names)} " if names else " ", said, bold=current),
                *_bar(probability, track, look.colour if is_named else FADED),
                text(f" {probability:4.0%}", said, bold=current),
            ]
        )
    return lines


def _cut(name: str, width: int) -> str:
    return set_cell_size(name, width - 1) + "…" if width else ""


def share_lines(shown: Sequence[tuple[Look, float, int]], gap: int, width: int) -> list[Line]:
    """Return a bar per emotion's share of the labels so far, aligned with :func:`bar_lines`.

    Args:
        shown: look, share, and the share as a whole percentage.
        gap: empty lines between bars.
        width: cells.
    """
    lines: list[Line] = []
    for look, share, whole in shown:
        if lines:
            lines += [[] for _ in range(gap)]
        bar = _bar(share, max(0, width - 7), look.colour)
        lines.append([text(f"{look.letter} ", look.colour, bold=True), *bar])
        lines[-1].append(text(f" {whole:3d}%", FAINT))
    return lines


def _bar(share: float, width: int, colour: str) -> Line:
    """Return a bar, exact to an eighth of a cell, on a track of ``width`` cells."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    bar = [text(" " * full, ground=colour)]
    if part:
        bar.append(text(_EIGHTHS_RIGHT[part], colour, TRACK))
    return [*bar, text(" " * (width - full - bool(part)), ground=TRACK)]


def level_line(meter: Meter, speech: float, is_speaking: bool | None, width: int) -> Line:
    """Return the meter with clipping, and whether there is speech (None without audio).

    Speech lasts over pauses of a moment; beside it stands the voice gate's probability of now.
    """
    is_wide = width >= _NUMBERS_FROM
    clipped = meter.since_clipping_s < CLIP_HOLD_S
    warning = text(" CLIP ", "#ffffff", ALERT, bold=True) if clipped else text("      ")
    word = {True: "speech", False: "silence", None: "nothing"}[is_speaking]
    right = [warning, text(" ●" if is_speaking else " ○", TEXT if is_speaking else FAINT)]
    right.append(text(f" {word:<7}", TEXT if is_speaking else FAINT))
    if is_wide:
        right.insert(0, text(f" {meter.rms_dbfs:4.0f} dBFS, peak {meter.peak_dbfs:4.0f} ", FAINT))
        right.append(text(f" voice {speech:4.0%}", FAINT))
    left = [text("level ", FAINT)]
    track = max(1, width - width_of(left) - width_of(right))
    full = round(_on_meter(meter.rms_dbfs) * track)
    peak = min(track - 1, round(_on_meter(meter.peak_dbfs) * track))
    colour = ALERT if clipped else METER
    cells = [" "] * track
    if meter.peak_dbfs > QUIETEST_SHOWN_DBFS:
        cells[peak] = "┃"
    shown = "".join(cells)
    peak_colour = TEXT if peak >= full else BACKGROUND
    filled = [text(shown[:full], peak_colour, colour), text(shown[full:], peak_colour, TRACK)]
    return [*left, *filled, *right]


def _on_meter(dbfs: float) -> float:
    return min(max(1.0 - dbfs / QUIETEST_SHOWN_DBFS, 0.0), 1.0)


def fact_lines(facts: Sequence[tuple[str, str]], rows: int, width: int) -> list[Line]:
    """Return facts as name and value in at most ``rows`` lines, the first ones first."""
    lines: list[Line] = [[]]
    for name, value in facts:
        piece = [text(f"{name} ", FAINT)] if name else []
        piece.append(text(value))
        gap = [text("   ")] if lines[-1] else []
        if width_of(lines[-1]) + width_of(gap) + width_of(piece) > width:
            if len(lines) >= rows:
                break
            lines.append([])
            gap = []
        lines[-1] += [*gap, *piece]
    return lines[:rows]
