"""Delay lines: the newest rows of a signal, to which a step adds without copying the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]


@dataclass(slots=True)
class _Tape:
    """Rows one after another; lines are stretches of it, and share what they have in common."""

    rows: Rows
    written: int


class DelayLine:
    """The newest rows of one state tensor; a value: adding rows makes another line.

    Its rows lie on a tape with room for as many again, so mostly a row is written behind them and
    the window moves on. Where there is no room, or another line went on from the same place, the
    rows are copied to a tape of their own.

    Attributes:
        window: ``(length, ...)`` the rows, oldest first. Not to be written to.
    """

    __slots__ = ("_end", "_tape", "window")

    def __init__(self, tape: _Tape, end: int, length: int) -> None:
        self._tape = tape
        self._end = end
        self.window = tape.rows[end - length : end]

    @classmethod
    def zeros(cls, shape: tuple[int, ...], dtype: str) -> Self:
        """A line on which nothing has come in, of ``shape`` = ``(length, ...)``."""
        return cls(_Tape(np.zeros(shape, dtype), shape[0]), shape[0], shape[0])

    def pushed(self, rows: Rows) -> DelayLine:
        """The line after ``rows`` ``(n, ...)`` came in, n of its length at most, and n dropped out.

        A line of no rows stays as it is.
        """
        length, count = len(self.window), len(rows)
        if length == 0:
            return self
        tape, end = self._tape, self._end
        if tape.written != end or end + count > len(tape.rows):
            tape = _Tape(np.empty((2 * length, *rows.shape[1:]), rows.dtype), length)
            tape.rows[: length - count] = self.window[count:]
            tape.rows[length - count : length] = rows
            return DelayLine(tape, length, length)
        tape.rows[end : end + count] = rows
        tape.written = end + count
        return DelayLine(tape, end + count, length)
