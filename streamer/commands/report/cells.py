"""A session's numbers for the script of a page: small and limited in size.

A cell is a timestep or, if the page would grow too large, several. The script adds up cells when
a pixel covers more than one.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.appearance import GAP_CODE, Look
from streamer.commands.report.drawing.ink import darker
from streamer.commands.report.drawing.overview import (
    Float64,
    Overview,
    overview,
    timesteps_per_column,
)
from streamer.commands.report.drawing.waveform import Waveform
from streamer.errors import printable
from streamer.formats.reader import RecordedSession
from streamer.signal import TIMESTEP_S

#: Most bytes before compression, over all sessions of a page.
MOST_BYTES, MOST_WAVEFORM_BYTES = 1_300_000, 400_000
#: Bytes of a cell: two for its label, one for speech; each emotion adds one.
_BYTES_BESIDE = 3
#: Flag in the label of a cell that lost some audio.
_LOSS = 0x8000
#: An unknown number; shares are whole percent.
_UNKNOWN = 255
#: If there are more marks than this, their times are rounded to a share of the session.
_MOST_MARKS = 1_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """The resolution of a page's cells.

    Attributes:
        per_cell: timesteps per cell.
        waveform_stretches: most stretches in each session's waveform.
    """

    per_cell: int
    waveform_stretches: int


def bounds_of(sessions: Sequence[RecordedSession]) -> Bounds:
    """Return the finest resolution with which all sessions fit a page."""
    timesteps = sum(
        session.duration_s / TIMESTEP_S * (len(session.header.labels) + _BYTES_BESIDE)
        for session in sessions
    )
    return Bounds(
        timesteps_per_column(timesteps * TIMESTEP_S, MOST_BYTES),
        MOST_WAVEFORM_BYTES // (2 * len(sessions)),
    )


def cells_of(
    session: RecordedSession, looks: dict[int, Look], waveform: Waveform | None, bounds: Bounds
) -> dict[str, Any]:
    """Return a session for the page's script, as values for JSON."""
    seen = overview(session, bounds.per_cell)
    duration_s = float(seen.edges_s[-1])
    data = {
        "title": printable(session.title),
        "duration": round(duration_s, 6),
        "step": bounds.per_cell * TIMESTEP_S,
        "cells": len(seen.shares),
        "emotions": len(session.header.labels),
        "looks": [_look(looks[code]) for code in seen.codes],
        "data": _packed(_planes(seen)),
        "marks": _marks(session, duration_s),
        "lossy": bool(session.gaps),
    }
    if waveform is not None:
        outline = waveform.coarser(bounds.waveform_stretches)
        data["wave"] = {
            "step": outline.step_s,
            "cells": len(outline.low),
            "data": _packed(_outline(outline)),
        }
    return data


def _look(look: Look) -> list[str]:
    return [printable(look.name), look.letter, look.colour, darker(look.colour)]


def _planes(seen: Overview) -> bytes:
    """Pack labels ``(cells,)`` as uint16, then a byte per cell for each emotion and for speech.

    Bytes are differences from the previous cell, since slow changes compress well.
    """
    codes = np.asarray(seen.shares.argmax(axis=1), np.uint16)
    # Without an estimate: a number beyond the last label.
    codes[seen.shares.max(axis=1) < 1e-9] = len(seen.codes)
    codes[seen.shares[:, seen.codes.index(GAP_CODE)] > 1e-9] |= _LOSS
    planes = np.stack([_percent(values) for values in (*seen.probabilities.T, seen.speech)])
    changes = np.diff(planes, axis=1, prepend=np.zeros((len(planes), 1), np.uint8))
    return codes.astype("<u2").tobytes() + changes.astype(np.uint8).tobytes()


def _percent(shares: Float64) -> NDArray[np.uint8]:
    whole = np.full(shares.shape, _UNKNOWN, np.uint8)
    known = ~np.isnan(shares)
    whole[known] = np.rint(100.0 * np.clip(shares[known], 0.0, 1.0))
    return whole


def _outline(waveform: Waveform) -> bytes:
    """Pack the lowest, then the highest samples, a signed byte each; the overall peak is 127."""
    scale = 127.0 / max(waveform.peak, 1e-9)
    both = np.stack([waveform.low, waveform.high])
    packed: bytes = np.rint(scale * both).astype(np.int8).tobytes()
    return packed


def _packed(data: bytes) -> str:
    """Encode as text for the browser's ``DecompressionStream("deflate")``."""
    return b64encode(zlib.compress(data, 9)).decode()


def _marks(session: RecordedSession, duration_s: float) -> list[float]:
    marks_s = session.marks[session.marks <= duration_s]
    if len(marks_s) > _MOST_MARKS:
        step_s = duration_s / _MOST_MARKS
        marks_s = np.unique(np.round(marks_s / step_s)) * step_s
    moments: list[float] = np.round(marks_s, 3).tolist()
    return moments
