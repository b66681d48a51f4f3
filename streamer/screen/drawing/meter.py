"""The level of the audio, for a meter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamer.session.events import AudioBlock

QUIETEST_DBFS = -90.0
#: A peak falls slowly enough to be read, as on a mixing desk.
PEAK_FALL_DB_PER_S = 20.0
RMS_TIME_CONSTANT_S = 0.3


def _dbfs(amplitude: float) -> float:
    return max(QUIETEST_DBFS, 20.0 * float(np.log10(max(amplitude, 1e-9))))


@dataclass(frozen=True, slots=True)
class Meter:
    """The level of the audio, with the ballistics of a meter.

    Attributes:
        peak_dbfs: falling peak.
        power: mean square over the last 0.3 s.
        since_clipping_s: length of the audio since the last clipping.
    """

    peak_dbfs: float = QUIETEST_DBFS
    power: float = 0.0
    since_clipping_s: float = float("inf")

    @property
    def rms_dbfs(self) -> float:
        return _dbfs(float(np.sqrt(self.power)))

    def after(self, heard: AudioBlock) -> Meter:
        """Return the level after one more block."""
        samples = heard.samples
        if not len(samples):
            return self
        duration_s = len(samples) / heard.sample_rate
        memory = float(np.exp(-duration_s / RMS_TIME_CONSTANT_S))
        newest = float(np.mean(samples * samples, dtype=np.float64))
        fallen = self.peak_dbfs - PEAK_FALL_DB_PER_S * duration_s
        return Meter(
            peak_dbfs=max(_dbfs(float(np.abs(samples).max())), fallen),
            power=newest + memory * (self.power - newest),
            since_clipping_s=0.0 if heard.clipped else self.since_clipping_s + duration_s,
        )


#: Level without audio.
NO_LEVEL = Meter()
