"""Resamples the source's rate to 16 kHz, and measures the look-ahead of this."""

from __future__ import annotations

from functools import cache

import numpy as np
import soxr
from numpy.typing import NDArray

from streamer.samples import checked_samples
from streamer.signal import SAMPLE_RATE

Float32 = NDArray[np.float32]

#: Keeps frequencies below 7.5 kHz; training resamples with it too. "LQ" would hold back 17 ms less
#: at 48 kHz and lose those above 6 kHz.
RESAMPLER_QUALITY = "HQ"


class Resampler:
    """Resamples a stream to 16 kHz; the result does not depend on block size.

    >>> resampler = Resampler(48_000)
    >>> second = np.zeros(48_000, np.float32)
    >>> len(np.concatenate([resampler.accept(second), resampler.flush()]))
    16000

    Attributes:
        look_ahead_s: the most audio that it holds back.
    """

    def __init__(self, sample_rate: int) -> None:
        """Begin a stream at the source's rate, in Hz.

        Raises:
            ValueError: the rate is not a whole number, or less than 1.
        """
        is_whole = isinstance(sample_rate, int | np.integer) and not isinstance(sample_rate, bool)
        if not is_whole or sample_rate < 1:
            raise ValueError(
                f"sample_rate must be a whole number of Hz, 1 or more, is {sample_rate!r}"
            )
        self._is_flushed = False
        self._sample_rate = sample_rate
        self._soxr = None if sample_rate == SAMPLE_RATE else _soxr_stream(sample_rate)
        self._taken = 0
        self._given = 0
        self.look_ahead_s = resampler_look_ahead_s(sample_rate)

    def accept(self, samples: Float32) -> Float32:
        """Add samples ``(n,)`` at the source's rate; return those at 16 kHz that are ready.

        Raises:
            ValueError: they are not a float32 vector.
            RuntimeError: it was flushed.
        """
        if self._is_flushed:
            raise RuntimeError("the resampler was flushed: make another one")
        given = checked_samples(samples)
        if self._soxr is None:
            return given
        ready: Float32 = self._soxr.resample_chunk(given)
        self._taken += len(given)
        self._given += len(ready)
        return ready

    def flush(self) -> Float32:
        """Return the samples held back; the total is no longer than the audio."""
        nothing = np.zeros(0, np.float32)
        if self._is_flushed:
            return nothing
        self._is_flushed = True
        if self._soxr is None:
            return nothing
        owed = self._taken * SAMPLE_RATE // self._sample_rate - self._given
        rest: Float32 = self._soxr.resample_chunk(nothing, last=True)
        return rest[: max(0, owed)]


def _soxr_stream(sample_rate: int) -> soxr.ResampleStream:
    return soxr.ResampleStream(
        sample_rate, SAMPLE_RATE, 1, dtype="float32", quality=RESAMPLER_QUALITY
    )


@cache
def resampler_look_ahead_s(sample_rate: int) -> float:
    """Return the most audio that the resampler reads ahead of an output sample, in s.

    It works in blocks, so this varies over time; the function measures the maximum over four
    seconds of silence, to 1 ms.
    """
    if sample_rate == SAMPLE_RATE:
        return 0.0
    stream = _soxr_stream(sample_rate)
    step = max(1, sample_rate // 1000)
    silence = np.zeros(step, np.float32)
    worst, given = 0.0, 0
    for taken in range(step, 4 * sample_rate, step):
        if new := len(stream.resample_chunk(silence)):
            worst = max(worst, taken / sample_rate - (given + 1) / SAMPLE_RATE)
            given += new
    return worst
