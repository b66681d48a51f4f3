"""The parts of the screen: each a pure function that gives lines of segments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from streamer.frontend import TIMESTEP_S
from streamer.looks import NOTHING_CODE, Look
from streamer.screen import lettering
from streamer.screen.monitor import Meter
from streamer.screen.palette import ALERT, BACKGROUND, FADED, FAINT, METER, TEXT, TRACK
from streamer.screen.timeline import Timeline

Line = list[Segment]

_EIGHTHS_RIGHT = " ▏▎▍▌▋▊▉"
_EIGHTHS_UP = " ▁▂▃▄▅▆▇█"
QUIETEST_SHOWN_DBFS = -60.0
#: How long the word CLIP stays, so that it is seen.
CLIP_HOLD_S = 2.0


@cache
def style(colour: str = TEXT, ground: str = BACKGROUND, bold: bool = False) -> Style:
    """A style, made once: making one costs more than drawing with it."""
    return Style(color=colour, bgcolor=ground, bold=bold)


def text(content: str, colour: str = TEXT, ground: str = BACKGROUND, bold: bool = False) -> Segment:
    """A piece of a line."""
    return Segment(content, style(colour, ground, bold))


def width_of(line: Line) -> int:
    """Cells of a line."""
    return sum(segment.cell_length for segment in line)


def spread(left: Line, right: Line, width: int) -> Line:
    """Two pieces at either end; the right one goes where they do not fit."""
    space = width - width_of(left) - width_of(right)
    return [*left, text(" " * space), *right] if space >= 1 else left


def label_lines(look: Look, rows: int, width: int) -> list[Line]:
    """The current label in letters as large as ``rows`` and ``width`` allow."""
    if rows >= 5 and (pixels := lettering.wide(look.name)) and len(pixels[0]) <= width:
        # Blank cells on a coloured ground: fonts leave seams between block characters.
        return [
            [
                text(" " * len(list(run)), ground=look.colour if pixel == "#" else BACKGROUND)
                for pixel, run in groupby(row)
            ]
            for row in pixels
        ]
    if rows >= 3 and (halves := lettering.narrow(look.name)) and len(halves[0]) <= width:
        spare: list[Line] = [[] for _ in range(rows - 3)]
        return [*([text(row, look.colour)] for row in halves), *spare]
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
    """A bar for each emotion and its probability; ``gap`` blank lines between them.

    Where none is named, in silence or doubt, the bars are faint.
    """
    longest = max((cell_len(look.name) for look, _ in shown), default=0)
    names = min(longest, max(4, width // 4))
    track = max(0, width - names - 9)
    lines: list[Line] = []
    for (look, probability), current in zip(shown, is_current, strict=True):
        if lines:
            lines += [[] for _ in range(gap)]
        name = look.name[:names].ljust(names)
        lines.append(
            [
                text(look.letter, look.colour if is_named else FAINT, bold=True),
                text(f" {name} ", TEXT if current else FAINT, bold=current),
                *_bar(probability, track, look.colour if is_named else FADED),
                text(f" {probability:4.0%}", TEXT if current else FAINT, bold=current),
            ]
        )
    return lines


def _bar(share: float, width: int, colour: str) -> Line:
    """A bar to the eighth of a cell, on a track of ``width`` cells."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    bar = [text(" " * full, ground=colour)]
    if part:
        bar.append(text(_EIGHTHS_RIGHT[part], colour, TRACK))
    return [*bar, text(" " * (width - full - bool(part)), ground=TRACK)]


def _rises(shares: NDArray[np.float32], rows: int) -> list[str]:
    """``(columns,)`` in [0, 1] as columns of eighths, ``rows`` cells high, top row first."""
    eighths = np.ceil(np.nan_to_num(shares) * rows * 8).astype(int)
    return [
        "".join(_EIGHTHS_UP[level] for level in np.clip(eighths - 8 * below, 0, 8))
        for below in range(rows - 1, -1, -1)
    ]


def _columns(row: str, colour: str, ground: str) -> Line:
    """Eighths in a colour; full ones as coloured ground, which leaves no seam above or below."""
    return [
        text(" " * len(cells), ground=colour) if is_full else text(cells, colour, ground)
        for is_full, run in groupby(row, key="█".__eq__)
        for cells in ["".join(run)]
    ]


def lane_lines(past: Timeline, shown: Sequence[Look], rows: int) -> list[Line]:
    """Each emotion's probability over time, ``rows`` cells high."""
    lines: list[Line] = []
    for index, look in enumerate(shown):
        for row, columns in enumerate(_rises(past.lanes[:, index], rows)):
            gutter = f"{look.letter} " if row == rows - 1 else "  "
            letter = text(gutter, look.colour, bold=True)
            lines.append([letter, *_columns(columns, look.colour, BACKGROUND)])
    return lines


def ribbon_line(past: Timeline, appearance: dict[int, Look]) -> Line:
    """The labels over time, two to a cell."""
    line = [text("  ")]
    for (left, right), run in groupby(past.halves.reshape(-1, 2).tolist()):
        cells = len(list(run))
        before, after = appearance[left], appearance[right]
        if left != right:
            line.append(text("▌" * cells, before.colour, after.colour))
        elif before.texture == " ":
            line.append(text(" " * cells, ground=before.colour))
        else:
            line.append(text(before.texture * cells, before.colour))
    return line


def letter_line(past: Timeline, appearance: dict[int, Look]) -> Line:
    """The letter of each stretch of two cells or more, under its beginning."""
    line = [text("  ")]
    for code, run in groupby(past.cells.tolist()):
        cells = len(list(run))
        look = appearance[code]
        letter = look.letter if cells > 1 or code < 0 else " "
        line.append(text(letter.ljust(cells), look.colour, bold=True))
    return line


def axis_line(past: Timeline, marks: Sequence[float], window_s: float) -> Line:
    """Seconds before now, the person's marks, and the rolling window at the right."""
    cells = len(past.cells)
    row = [" "] * cells
    for seconds in range(10, 61, 10):
        at = past.cell_at(past.end_s - seconds)
        for offset, letter in enumerate(f"╵-{seconds} s"):
            if at >= 0 and at + offset < cells:
                row[at + offset] = letter
    window = min(max(2, round(window_s / past.cell_s)), cells)
    row[-window:] = list("└" + f"{window_s:g} s".center(window - 2, "─")[: window - 2] + "┘")
    line = [text("  ")]
    marked = {past.cell_at(mark) for mark in marks}
    for is_mark, run in groupby(range(cells), key=marked.__contains__):
        letters = "".join("▲" if is_mark else row[cell] for cell in run)
        line.append(text(letters, TEXT if is_mark else FAINT, bold=is_mark))
    return line


def attention_lines(
    attention: NDArray[np.float32],
    codes: NDArray[np.int8],
    appearance: dict[int, Look],
    rows: int,
    width: int,
) -> list[Line]:
    """Weights over the rolling window, stretched to the width, in the colours of its labels."""
    cells = max(1, width - 2)
    moments = np.arange(cells) * len(attention) // cells
    weights = attention[moments]
    if cells < len(attention):  # the heaviest of the moments that share a cell
        weights = np.maximum.reduceat(attention, moments)
    heights = _rises(weights / max(float(weights.max()), 1e-9), rows)
    colours = [appearance[code].colour for code in codes[-len(attention) :][moments].tolist()]
    lines: list[Line] = []
    for row in heights:
        line = [text("  ")]
        for colour, run in groupby(zip(row, colours, strict=True), key=lambda item: item[1]):
            line += _columns("".join(letter for letter, _ in run), colour, TRACK)
        lines.append(line)
    return lines


def level_line(meter: Meter, speech: float, is_speaking: bool | None, width: int) -> Line:
    """Meter with clipping, and whether it is speech; None where there is no audio."""
    is_wide = width >= 70
    clipped = meter.since_clipping_s < CLIP_HOLD_S
    warning = text(" CLIP ", "#ffffff", ALERT, bold=True) if clipped else text("      ")
    word = {True: "speech", False: "silence", None: "nothing"}[is_speaking]
    right = [warning, text(" ●" if is_speaking else " ○", TEXT if is_speaking else FAINT)]
    right.append(text(f" {word:<7}", TEXT if is_speaking else FAINT))
    if is_wide:
        right.insert(0, text(f" {meter.rms_dbfs:4.0f} dBFS, peak {meter.peak_dbfs:4.0f} ", FAINT))
        right.append(text(f" {speech:4.0%}", FAINT))
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
    """Facts as name and value in at most ``rows`` lines, the first ones first."""
    lines: list[Line] = [[]]
    for name, value in facts:
        piece = [text(f"{name} ", FAINT), text(value)]
        gap = [text("   ")] if lines[-1] else []
        if width_of(lines[-1]) + width_of(gap) + width_of(piece) > width:
            if len(lines) == rows:
                break
            lines.append([])
            gap = []
        lines[-1] += [*gap, *piece]
    return lines


def window_codes(codes: NDArray[np.int8], timesteps: int) -> NDArray[np.int8]:
    """Codes of the rolling window, however long it is."""
    short = max(0, timesteps - len(codes))
    earlier: NDArray[np.int8] = np.full(short, NOTHING_CODE, np.int8)
    return np.concatenate([earlier, codes[-timesteps:]])


def seconds(timesteps: int) -> float:
    """Length of a number of timesteps."""
    return round(timesteps * TIMESTEP_S, 2)
