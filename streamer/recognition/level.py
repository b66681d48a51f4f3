"""How loud a voice is at every timestep: the level of its latest speech.

The features hold no levels: the normaliser divides by a running reference. But whoever knows how
loud a person usually speaks hears more in how loud they speak now, see ``model/voice.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from streamer.recognition.spectra import Spectra
from streamer.signal import FRAME_SAMPLES, FRAMES_PER_TIMESTEP, SPEECH_THRESHOLD

#: Time constant of the mean square, in timesteps: half a second. The level follows a rise within
#: a second, but a fall of 20 dB, like any mean of powers, within two.
LEVEL_TIMESTEPS = 12.5
#: Level of a stream before its first speech, in dB. No verdict counts these timesteps.
UNKNOWN_DB = -40.0

#: Power of a timestep's bins at a mean square of 1: Parseval for half a spectrum under the Hann
#: window, whose mean square is 3/8.
_FULL_SCALE = FRAMES_PER_TIMESTEP * FRAME_SAMPLES**2 * 3 / 8 / 2
#: Least mean square, -100 dB, for digital silence.
_LEAST = 1e-10
_KEEP = math.exp(-1.0 / LEVEL_TIMESTEPS)


@dataclass(frozen=True, slots=True)
class LevelState:
    """The level of a stream's latest speech.

    Attributes:
        power: decaying sum of the mean squares of timesteps of speech.
        weight: the sum of their weights.
        since: timesteps since the last speech.
        total_db: sum of the levels at all timesteps of speech.
        timesteps: their number.
    """

    power: float = 0.0
    weight: float = 0.0
    since: int = 0
    total_db: float = 0.0
    timesteps: int = 0

    @property
    def mean_db(self) -> float:
        """Mean level of all speech so far, :data:`UNKNOWN_DB` before any."""
        return self.total_db / self.timesteps if self.timesteps else UNKNOWN_DB


def levels_of(spectra: Spectra, state: LevelState) -> tuple[list[float], LevelState]:
    """Return the level at each timestep, in dB relative to full scale, and the state after them.

    Between two sentences the level stays that of the last one, but weighs less and less.
    """
    total, weight, since = state.power, state.weight, state.since
    total_db, timesteps = state.total_db, state.timesteps
    levels = []
    level = _in_db(total / weight) if weight else UNKNOWN_DB
    for power, speech in zip(spectra.power, spectra.speech.tolist(), strict=True):
        since += 1
        if speech >= SPEECH_THRESHOLD:
            # Row by row: a sum over all rows may round differently.
            square = float(power.sum(dtype=np.float64)) / _FULL_SCALE
            keep = _KEEP**since
            total, weight, since = keep * total + square, keep * weight + 1.0, 0
            level = _in_db(total / weight)
            total_db, timesteps = total_db + level, timesteps + 1
        levels.append(level)
    return levels, LevelState(total, weight, since, total_db, timesteps)


def _in_db(mean_square: float) -> float:
    return 10.0 * math.log10(max(mean_square, _LEAST))
