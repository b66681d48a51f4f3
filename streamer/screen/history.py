"""A session's recent labels as running totals: any stretch is a difference of two totals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.appearance import GAP_CODE, NOTHING_CODE, UNCERTAIN_CODE, WARMING_UP_CODE
from streamer.signal import TIMESTEP_S

#: Ten minutes are kept, however long the session runs.
KEPT_TIMESTEPS = round(600.0 / TIMESTEP_S)
#: States have negative codes; the column of a code is this far to its right.
FIRST_COLUMN = -NOTHING_CODE


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The last timesteps of a session; immutable.

    The totals are views into arrays to which only later rows are added, so a timestep costs the
    same however many are kept. They count from the start of the session.

    Attributes:
        counts: ``(n + 1, FIRST_COLUMN + labels)`` int32, timesteps with each code; row 0 is the
            total before the oldest timestep kept, the last row the newest total.
        sums: ``(n + 1, labels)`` float64, totals of the probabilities over timesteps with speech:
            those with an emotion or ``uncertain``.
    """

    counts: NDArray[np.int32]
    sums: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of timesteps kept."""
        return len(self.counts) - 1

    def codes(self, timesteps: int) -> NDArray[np.int8]:
        """Return the last codes ``(timesteps,)``, nothing before the oldest kept."""
        result = np.full(timesteps, NOTHING_CODE, np.int8)
        if known := min(timesteps, len(self)):
            changes = np.diff(self.counts[-known - 1 :], axis=0)
            result[-known:] = changes.argmax(1) + NOTHING_CODE
        return result

    @property
    def shown(self) -> NDArray[np.int64]:
        """Timesteps ``(labels + 1,)`` of each emotion, and of none, in the whole session.

        The last counts speech that was ``uncertain`` or ``warming up``.
        """
        totals = self.counts[-1].astype(np.int64)
        doubt = totals[[UNCERTAIN_CODE + FIRST_COLUMN, WARMING_UP_CODE + FIRST_COLUMN]].sum()
        return np.append(totals[FIRST_COLUMN:], doubt)


#: History without a session.
NO_HISTORY = History(np.zeros((1, FIRST_COLUMN), np.int32), np.zeros((1, 0)))


class Log:
    """Writes the history of a session; only its thread does."""

    def __init__(self, labels: int) -> None:
        # Twice the history, so that it is copied only once in ten minutes.
        rows = 2 * KEPT_TIMESTEPS + 1
        self._counts = np.zeros((rows, FIRST_COLUMN + labels), np.int32)
        self._sums = np.zeros((rows, labels), np.float64)
        self._newest = 0

    def history(self) -> History:
        """Return the history so far."""
        kept = slice(max(0, self._newest - KEPT_TIMESTEPS), self._newest + 1)
        return History(self._counts[kept], self._sums[kept])

    def add(self, code: int, probabilities: NDArray[np.float32], missing: int = 0) -> None:
        """Add a timestep, and before it the missing ones without an estimate: audio was lost there.

        Args:
            code: code of the label shown.
            probabilities: ``(labels,)``.
            missing: number of missing timesteps before it.
        """
        missing = min(missing, KEPT_TIMESTEPS)
        self._make_room(missing + 1)
        first, last = self._newest + 1, self._newest + 1 + missing
        self._counts[first : last + 1] = self._counts[self._newest]
        self._sums[first : last + 1] = self._sums[self._newest]
        self._counts[first:last, GAP_CODE + FIRST_COLUMN] += np.arange(
            1, missing + 1, dtype=np.int32
        )
        self._counts[last, GAP_CODE + FIRST_COLUMN] += missing
        self._counts[last, code + FIRST_COLUMN] += 1
        if code >= 0 or code == UNCERTAIN_CODE:
            self._sums[last] += probabilities
        self._newest = last

    def _make_room(self, rows: int) -> None:
        """Begin new arrays if the old ones are full; existing histories keep the old ones."""
        if self._newest + rows < len(self._counts):
            return
        before = self.history()
        self._counts = np.zeros_like(self._counts)
        self._sums = np.zeros_like(self._sums)
        self._counts[: len(before) + 1] = before.counts
        self._sums[: len(before) + 1] = before.sums
        self._newest = len(before)
