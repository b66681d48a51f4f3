"""A ring buffer between one audio callback and one consumer; neither waits for the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


class Reading(NamedTuple):
    """Result of a read.

    Attributes:
        position: position of the first frame of ``frames``, counted from the first ever written.
        frames: ``(n, channels)``, a copy.
        lost: number of frames dropped immediately before ``position``.
    """

    position: int
    frames: Float32
    lost: int


class Ring:
    """A preallocated buffer; a slow consumer loses the oldest frames and learns how many.

    Exactly one thread may write and exactly one may read. There is no lock: the producer announces
    the frames it will overwrite before it copies, and the consumer checks after its own copy which
    of its frames were announced meanwhile, and counts those as lost. Positions only ever grow.
    """

    def __init__(self, capacity: int, channels: int = 1) -> None:
        """Allocate ``capacity`` frames.

        Raises:
            ValueError: a size is below 1.
        """
        if capacity < 1 or channels < 1:
            raise ValueError(f"capacity and channels must be >= 1, are {capacity} and {channels}")
        self._buffer = np.zeros((capacity, channels), np.float32)
        self._capacity = capacity
        self._claimed = 0
        self._written = 0
        self._consumed = 0

    @property
    def written(self) -> int:
        """Number of frames written so far."""
        return self._written

    @property
    def waiting(self) -> int:
        """Number of frames written and not yet read, including those overwritten since."""
        return self._written - self._consumed

    def write(self, frames: Float32) -> None:
        """Copy in ``(n, channels)``; of more than the capacity only the newest remain."""
        end = self._written + len(frames)
        self._claimed = end
        kept = frames[-self._capacity :]
        first = (end - len(kept)) % self._capacity
        head = min(len(kept), self._capacity - first)
        self._buffer[first : first + head] = kept[:head]
        self._buffer[: len(kept) - head] = kept[head:]
        self._written = end

    def read(self, most: int) -> Reading:
        """Return the oldest frames still there, at most ``most`` of them."""
        written = self._written
        position = max(self._consumed, written - self._capacity)
        count = min(most, written - position)
        first = position % self._capacity
        head = min(count, self._capacity - first)
        frames = np.concatenate([self._buffer[first : first + head], self._buffer[: count - head]])
        overwritten = min(count, max(0, self._claimed - self._capacity - position))
        position += overwritten
        lost = position - self._consumed
        self._consumed = position + count - overwritten
        return Reading(position, frames[overwritten:], lost)
