"""Delay lines: the newest rows of a signal, to which a step adds without copying the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]


@dataclass(slots=True)
class _Tape:
    """Rows one after another; lines are stretches of it, and share what they have in common."""

    rows: Rows
    written: int


class DelayLine:
    """The newest rows of one state tensor of a batch; a value: adding rows makes another line.

    Its rows lie on a tape with room for as many again, so mostly a row is written behind them and
    the window moves on. Where there is no room, or another line went on from the same place, the
    rows are copied to a tape of their own.

    Attributes:
        window: ``(batch, length, ...)`` the rows, oldest first. Not to be written to.
    """

    __slots__ = ("_end", "_tape", "window")

    def __init__(self, window: Rows, tape: _Tape | None = None, end: int = 0) -> None:
        """Rows of the caller's, or those of the tape that end there."""
        self.window = window
        self._tape = tape
        self._end = end

    def pushed(self, rows: Rows) -> DelayLine:
        """The line after ``rows`` ``(batch, n, ...)`` came in and as many dropped out.

        A line of no more than n rows keeps the newest of them.
        """
        length, count = self.window.shape[1], rows.shape[1]
        if count >= length:
            return DelayLine(rows[:, count - length :])
        tape, end = self._tape, self._end
        if tape is None or tape.written != end or end + count > tape.rows.shape[1]:
            tape, end = self._copied(), length
        last = end + count
        tape.rows[:, end:last] = rows
        tape.written = last
        return DelayLine(tape.rows[:, last - length : last], tape, last)

    def _copied(self) -> _Tape:
        batch, length, *row = self.window.shape
        tape = _Tape(np.empty((batch, 2 * length, *row), self.window.dtype), length)
        tape.rows[:, :length] = self.window
        return tape
