"""Whether a stream comes over a telephone line: nothing beyond its band, and the low band missing.

Every timestep is judged by itself, and the judgements are averaged over five seconds of their kind.
So a click or a ring tone passes, and a change of the line is followed within some twelve seconds.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

#: Bins of the low band, below 180 Hz, and the first bin beyond a telephone's band, 4.1 kHz.
LOW_BAND_BINS = 5
FIRST_BIN_BEYOND = 103
#: A timestep is narrowband if at most this share of its power lies beyond, and what rounding to 16
#: bits leaves there. In a recording at 8 kHz 98 % of the timesteps and more are; in others under
#: 5 %, but for speech 55 dB and more under full scale.
NARROWBAND_SHARE = 1e-6
ROUNDING_POWER = 2e-6
#: Timesteps with less power inside the band, near that rounding, tell nothing.
LEAST_POWER = 20 * ROUNDING_POWER
#: Share of narrowband timesteps from which, and up to which, a stream becomes narrowband.
NARROWBAND = (0.8, 0.95)
#: Share of the low band in the power, in dB, averaged over timesteps: at the first it is missing,
#: at the second it is not. Without speech the voice has no part in it; white noise, which tells
#: nothing, has -15.6 dB. In speech, high voices have as little without any telephone.
QUIET_LOWS_DB = (-17.0, -16.0)
SPEECH_LOWS_DB = (-24.0, -18.0)
LEAST_DB = -60.0
#: Time constant of the averages, in timesteps of their kind.
LINE_TIMESTEPS = 125.0
LINE_KEEP = math.exp(-1.0 / LINE_TIMESTEPS)
#: Shape of a line's state: the forgetting count and the sum of what is averaged, for all timesteps
#: that are not silent, and for the narrowband ones without and with speech.
LINE_SHAPE = (3, 2)
#: What a timestep that is not narrowband adds to the first of them.
_WIDE = np.array([1.0, 0.0])


def after_one(line: Float64, power: Float64, is_speech: NDArray[np.bool_]) -> Float64:
    """Return the state after a timestep.

    Args:
        line: state before it, ``(..., 3, 2)``.
        power: ``(..., 201)``, mean over the timestep's frames.
        is_speech: ``(...)``.
    """
    lows, inside, is_heard, is_narrow = _judged(power)
    if not is_narrow.any():  # nearly always; the others need not pay
        after, whole = line.copy(), line[..., 0, :]
        after[..., 0, :] = np.where(is_heard[..., None], LINE_KEEP * whole + _WIDE, whole)
        return after
    counts, added = _counted(lows, inside, is_heard, is_narrow, is_speech)
    return np.where(counts[..., None], LINE_KEEP * line + added, line)


def after_each(line: Float64, power: Float64, is_speech: NDArray[np.bool_]) -> Float64:
    """Return the state after each of many timesteps, ``(..., timesteps, 3, 2)``.

    Args:
        line: state before them, ``(..., 3, 2)``.
        power: ``(..., timesteps, 201)``.
        is_speech: ``(..., timesteps)``.
    """
    lows, inside, is_heard, is_narrow = _judged(power)
    if not is_narrow.any():
        kept, weights = forgetting(is_heard, LINE_KEEP)
        after = np.repeat(line[..., None, :, :], power.shape[-2], axis=-3)
        after[..., 0, :] = kept[..., None] * line[..., None, 0, :]
        after[..., 0, 0] += np.add.reduce(weights, axis=-1)
        return after
    counts, added = _counted(lows, inside, is_heard, is_narrow, is_speech)
    kept, weights = forgetting(np.moveaxis(counts, -1, -2), LINE_KEEP)
    sums = kept[..., None] * line[..., None, :] + weights @ np.moveaxis(added, -3, -2)
    return np.moveaxis(sums, -2, -3)


def _judged(power: Float64) -> tuple[Float64, Float64, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return each timestep's power in the low band and inside a telephone's band.

    And whether it is heard at all, and whether it is narrowband.
    """
    bands = np.add.reduceat(power, (0, LOW_BAND_BINS, FIRST_BIN_BEYOND), axis=-1)
    lows = bands[..., 0]
    inside = lows + bands[..., 1]
    is_heard = inside > LEAST_POWER
    is_narrow = is_heard & (bands[..., 2] <= NARROWBAND_SHARE * inside + ROUNDING_POWER)
    return lows, inside, is_heard, is_narrow


def _counted(
    lows: Float64,
    inside: Float64,
    is_heard: NDArray[np.bool_],
    is_narrow: NDArray[np.bool_],
    is_speech: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], Float64]:
    """Return which averages count a timestep, ``(..., 3)``, and what it adds, ``(..., 3, 2)``."""
    counts = np.stack([is_heard, is_narrow & ~is_speech, is_narrow & is_speech], axis=-1)
    share = np.maximum(lows, 1e-30) / np.maximum(inside, LEAST_POWER)
    added = np.ones((*counts.shape, 2))
    added[..., 0, 1] = is_narrow
    added[..., 1:, 1] = np.maximum(10.0 * np.log10(share), LEAST_DB)[..., None]
    return counts, added


def telephone_share(line: Float64) -> Float64:
    """Return how much of a telephone a line is, ``(...)`` from 0 to 1; 0 if nothing is known."""
    count, total = line[..., 0], line[..., 1]
    if not (total[..., 0] > NARROWBAND[0] * count[..., 0]).any():
        return np.zeros(line.shape[:-2])
    mean = total / np.maximum(count, 1e-9)
    share = _ramp(mean[..., 0], *NARROWBAND) * (count[..., 0] > 0)
    for kind, (missing, there) in enumerate((QUIET_LOWS_DB, SPEECH_LOWS_DB), 1):
        share = share * np.where(count[..., kind] > 0, _ramp(mean[..., kind], there, missing), 1.0)
    return np.asarray(share)


def _ramp(values: Float64, zero: float, one: float) -> Float64:
    return np.asarray(np.clip((values - zero) / (one - zero), 0.0, 1.0))


def forgetting(counts: NDArray[np.bool_], keep: float) -> tuple[Float64, Float64]:
    """Return forgetting sums in closed form: each timestep decays by those that count after it.

    Args:
        counts: ``(..., timesteps)`` whether a timestep counts.
        keep: what a timestep that counts leaves of the sum before it.

    Returns:
        what is left of the sum from before, ``(..., timesteps)``, and the weight of each timestep
        at each, ``(..., timesteps, timesteps)``.
    """
    counted = np.add.accumulate(counts, axis=-1, dtype=np.float64)
    weights = np.tril(keep ** np.abs(counted[..., :, None] - counted[..., None, :]))
    weights *= counts[..., None, :]
    return keep**counted, weights
