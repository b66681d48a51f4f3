"""The outline of a sound: the lowest and highest sample of each short stretch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.signal import SAMPLE_RATE

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: Samples of the finest stretch, 2 ms.
_FINEST_SAMPLES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """An outline.

    Attributes:
        step_s: length of a stretch.
        low: ``(stretches,)`` lowest sample.
        high: ``(stretches,)`` highest sample.
    """

    step_s: float
    low: Float32
    high: Float32

    @property
    def peak(self) -> float:
        """The sample farthest from zero."""
        return float(np.maximum(-self.low, self.high).max(initial=0.0))

    def coarser(self, most_stretches: int) -> Waveform:
        """Return the same outline in so many stretches or fewer."""
        times = max(1, -(-len(self.low) // max(1, most_stretches)))
        if times == 1:
            return self
        firsts = np.arange(0, len(self.low), times)
        return Waveform(
            self.step_s * times,
            np.minimum.reduceat(self.low, firsts),
            np.maximum.reduceat(self.high, firsts),
        )

    def between(self, edges_s: Float64) -> tuple[Float64, Float64]:
        """Return each column's lowest and highest sample ``(columns,)``, NaN after the sound's end.

        Args:
            edges_s: ``(columns + 1,)``, ascending, from 0 on.
        """
        firsts = np.rint(edges_s[:-1] / self.step_s).astype(np.int64)
        is_there = firsts < len(self.low)
        low, high = (np.full(len(firsts), np.nan) for _ in range(2))
        if is_there.any():
            after = max(int(np.rint(edges_s[-1] / self.step_s)), int(firsts[is_there][-1]) + 1)
            low[is_there] = np.minimum.reduceat(self.low[:after], firsts[is_there])
            high[is_there] = np.maximum.reduceat(self.high[:after], firsts[is_there])
        return low, high


class Outliner:
    """Takes the samples of a sound in blocks, and returns its outline."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._lows: list[Float32] = []
        self._highs: list[Float32] = []
        self._samples = 0

    @property
    def duration_s(self) -> float:
        """Length of the sound so far."""
        return self._samples / SAMPLE_RATE

    def accept(self, samples: Float32) -> None:
        """Add ``(n,)`` samples at 16 kHz."""
        self._samples += len(samples)
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) - len(samples) % _FINEST_SAMPLES
        self._add(samples[:whole].reshape(-1, _FINEST_SAMPLES))
        self._rest = samples[whole:]

    def finish(self) -> Waveform:
        """Return the outline of all samples; the last stretch may be shorter."""
        if len(self._rest):
            self._add(self._rest[None])
        return Waveform(
            _FINEST_SAMPLES / SAMPLE_RATE,
            np.concatenate([np.zeros(0, np.float32), *self._lows]),
            np.concatenate([np.zeros(0, np.float32), *self._highs]),
        )

    def _add(self, stretches: Float32) -> None:
        self._lows.append(stretches.min(axis=1, initial=np.inf))
        self._highs.append(stretches.max(axis=1, initial=-np.inf))
