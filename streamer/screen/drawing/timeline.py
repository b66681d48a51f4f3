"""The past as columns of a picture, one per stretch of time, at any width and zoom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.appearance import GAP_CODE, NOTHING_CODE, UNCERTAIN_CODE
from streamer.screen.history import FIRST_COLUMN, KEPT_TIMESTEPS, History
from streamer.screen.monitor import Snapshot
from streamer.signal import TIMESTEP_S

#: The session's strip has the first of these lengths that holds it, or else the last.
_STRIP_SPANS_S = (30.0, 60.0, 120.0, 300.0, KEPT_TIMESTEPS * TIMESTEP_S)
#: Protects moments on a timestep from rounding.
_TINY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """A stretch of the past, divided into half cells.

    Columns are at fixed moments of the stream, so that the picture moves without flicker.

    Attributes:
        halves: ``(2 cells,)`` codes, oldest first.
        cells: ``(cells,)`` codes.
        lanes: ``(cells, labels)`` mean probabilities, NaN without an emotion.
        cell_s: time per cell.
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
        """Return the index of a moment's cell; negative if it is left of the first."""
        return len(self.cells) - 1 - int((self.end_s - time_s) // self.cell_s)


def timeline(
    snapshot: Snapshot, cells: int, span_s: float, until_s: float | None = None
) -> Timeline:
    """Divide a stretch of a snapshot's history into ``cells`` cells.

    Args:
        snapshot: the snapshot with the history.
        cells: number of cells; there are fewer if half a cell would be less than a timestep.
        span_s: time from edge to edge.
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
    """Return the whole session so far, up to the last ten minutes.

    It fills from the left, so that a short session does not move all the time.
    """
    for span_s in _STRIP_SPANS_S:
        if snapshot.time <= span_s:
            return timeline(snapshot, cells, span_s, span_s)
    return timeline(snapshot, cells, _STRIP_SPANS_S[-1])


def _totals(
    snapshot: Snapshot, half: float, first: int, end: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the running totals at the start and the end of each column, in turn.

    Args:
        snapshot: the snapshot with the history.
        half: timesteps per column; a timestep that is partly covered counts as a whole.
        first: number of the first column since the start of the stream.
        end: number after the last column's.
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
    """Return the code to show for each column of ``(columns, codes)``."""
    # No timestep has the code for nothing, so in an empty column argmax returns that, the first.
    shown: NDArray[np.int8] = (counts.argmax(1) + NOTHING_CODE).astype(np.int8)
    shown[counts[:, GAP_CODE + FIRST_COLUMN] > 0] = GAP_CODE  # a loss is never hidden
    return shown
