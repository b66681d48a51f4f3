"""The past as columns of a picture: what each stretch of time was, at any width and zoom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.appearance import GAP_CODE, NOTHING_CODE, UNCERTAIN_CODE
from streamer.screen.history import FIRST_COLUMN, KEPT_TIMESTEPS, History
from streamer.screen.monitor import Snapshot
from streamer.signal import TIMESTEP_S

#: The strip of the session has the first of these lengths that holds it, else the last.
_STRIP_SPANS_S = (30.0, 60.0, 120.0, 300.0, KEPT_TIMESTEPS * TIMESTEP_S)
#: Against the rounding of a moment that falls on a timestep.
_TINY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """A stretch of the past, cut into halves of cells.

    Columns lie at fixed moments of the stream, so that a picture moves but does not flicker.

    Attributes:
        halves: ``(2 cells,)`` codes, oldest first.
        cells: ``(cells,)`` codes.
        lanes: ``(cells, labels)`` mean probabilities, NaN where no emotion was heard.
        cell_s: time that a cell covers.
        end_s: stream time at the right edge.
    """

    halves: NDArray[np.int8]
    cells: NDArray[np.int8]
    lanes: NDArray[np.float64]
    cell_s: float
    end_s: float

    @property
    def span_s(self) -> float:
        """Time from edge to edge."""
        return len(self.cells) * self.cell_s

    def cell_at(self, time_s: float) -> int:
        """Index of the cell of a moment; negative once it has left on the left."""
        return len(self.cells) - 1 - int((self.end_s - time_s) // self.cell_s)


def timeline(
    snapshot: Snapshot, cells: int, span_s: float, until_s: float | None = None
) -> Timeline:
    """Cut so many seconds of a snapshot's history into ``cells`` cells.

    Args:
        snapshot: whose history it is.
        cells: as many, or fewer where a half of one would be shorter than a timestep.
        span_s: from edge to edge.
        until_s: stream time at the right edge; None is now.
    """
    cells = max(1, min(cells, round(span_s / TIMESTEP_S) // 2))
    cell_s = span_s / cells
    end_s = snapshot.time if until_s is None else until_s
    last = int(np.ceil(end_s / cell_s - _TINY))
    counts, sums = _totals(snapshot, 0.5 * cell_s / TIMESTEP_S, 2 * (last - cells), 2 * last)
    halves = counts[1::2] - counts[::2]
    whole = counts[3::4] - counts[::4]
    voiced = whole[:, FIRST_COLUMN:].sum(1) + whole[:, UNCERTAIN_CODE + FIRST_COLUMN]
    spoken = (sums[3::4] - sums[::4]) / np.maximum(voiced, 1)[:, None]
    lanes: NDArray[np.float64] = np.where(voiced[:, None] > 0, spoken, np.nan)
    return Timeline(_dominant(halves), _dominant(whole), lanes, cell_s, last * cell_s)


def session_strip(snapshot: Snapshot, cells: int) -> Timeline:
    """The whole session so far, up to the last ten minutes.

    It fills from the left, so that a short session does not move all the time.
    """
    for span_s in _STRIP_SPANS_S:
        if snapshot.time <= span_s:
            return timeline(snapshot, cells, span_s, span_s)
    return timeline(snapshot, cells, _STRIP_SPANS_S[-1])


def _totals(
    snapshot: Snapshot, half: float, first: int, end: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Running totals at the start and the end of each column, in turn.

    Args:
        snapshot: whose history it is.
        half: timesteps that a column covers; a timestep of which it covers a part counts whole.
        first: number of the first column since the start of the stream.
        end: number after that of the last column.
    """
    history: History = snapshot.history
    columns = np.arange(first, end)
    edges = np.empty(2 * len(columns))
    edges[::2] = np.floor(columns * half + _TINY)
    edges[1::2] = np.ceil((columns + 1) * half - _TINY)
    oldest = snapshot.timesteps - len(history)
    rows = np.clip(edges - oldest, 0, len(history)).astype(np.intp)
    return history.counts[rows], history.sums[rows]


def _dominant(counts: NDArray[np.int32]) -> NDArray[np.int8]:
    """``(columns, codes)`` -> the code each column is shown as."""
    # No timestep counts as nothing: where there was none, the first of equals is the answer.
    shown: NDArray[np.int8] = (counts.argmax(1) + NOTHING_CODE).astype(np.int8)
    shown[counts[:, GAP_CODE + FIRST_COLUMN] > 0] = GAP_CODE  # a loss is never hidden
    return shown
