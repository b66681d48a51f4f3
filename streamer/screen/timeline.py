"""The past as columns of a picture: what each stretch of time was, at any width."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.frontend import TIMESTEP_S
from streamer.looks import GAP_CODE, NOTHING_CODE, UNCERTAIN_CODE
from streamer.screen.monitor import HISTORY_TIMESTEPS, Snapshot

#: The timeline shows at least this much; up to twice, where the width does not divide well.
SHORTEST_S = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The last half minute or more, cut into halves of cells.

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
    lanes: NDArray[np.float32]
    cell_s: float
    end_s: float

    def cell_at(self, time_s: float) -> int:
        """Index of the cell of a moment; negative once it has left on the left."""
        return len(self.cells) - 1 - int((self.end_s - time_s) / self.cell_s)


def _dominant(codes: NDArray[np.int8], emotions: int) -> NDArray[np.int8]:
    """``(columns, timesteps)`` -> the code each column is shown as."""
    counts = np.stack([(codes == code).sum(1) for code in range(NOTHING_CODE, emotions)], axis=1)
    counts[:, 0] = 0  # nothing is shown only where there is nothing else
    shown: NDArray[np.int8] = (counts.argmax(1) + NOTHING_CODE).astype(np.int8)
    shown[(codes == GAP_CODE).any(1)] = GAP_CODE  # a loss is never hidden
    return shown


def timeline(snapshot: Snapshot, cells: int) -> Timeline:
    """Cut the history of a snapshot into ``cells`` cells, the newest on the right."""
    cells = min(max(cells, 1), HISTORY_TIMESTEPS // 2)
    per_half = -(-round(SHORTEST_S / TIMESTEP_S) // (2 * cells))
    per_cell = 2 * per_half
    emotions = len(snapshot.labels)
    ahead = -snapshot.timesteps % per_cell
    used = cells * per_cell - ahead
    codes = np.full(cells * per_cell, NOTHING_CODE, np.int8)
    lanes = np.full((cells * per_cell, emotions), np.nan, np.float32)
    known = min(used, HISTORY_TIMESTEPS)
    codes[used - known : used] = snapshot.codes[-known:]
    spoken = (codes[used - known : used] >= 0) | (codes[used - known : used] == UNCERTAIN_CODE)
    lanes[used - known : used] = np.where(spoken[:, None], snapshot.lanes[-known:], np.nan)
    shown = _dominant(codes.reshape(cells, per_cell), emotions)
    return Timeline(
        halves=_dominant(codes.reshape(2 * cells, per_half), emotions),
        cells=shown,
        lanes=_means(lanes.reshape(cells, per_cell, emotions)),
        cell_s=per_cell * TIMESTEP_S,
        end_s=(snapshot.timesteps + ahead) * TIMESTEP_S,
    )


def _means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(cells, timesteps, labels)`` -> means of what is no NaN, NaN where all are."""
    known = ~np.isnan(values)
    sums = np.where(known, values, 0.0).sum(1)
    counts = known.sum(1)
    means: NDArray[np.float32] = np.where(counts, sums / np.maximum(counts, 1), np.nan)
    return means
