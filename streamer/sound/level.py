"""Detects problems with a microphone's level and describes them in words."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

DIGITAL_SILENCE_S = 1.5
#: Converters stop a little short of full scale.
FULL_SCALE = 0.999
#: A normalised recording touches full scale now and then; a clipped one stays there.
CLIPPED_RUN = 3
#: A click is inaudible; this share of a second is not.
CLIPPED_SHARE = 0.001
LOW_PEAK_DBFS = -55.0
LOW_FOR_S = 10.0
#: Share of full scale; a greater offset changes the labels of quiet speech.
OFFSET = 0.005
OFFSET_FOR_S = 5.0
CLIPPING_AGAIN_S = 10.0
LOW_AGAIN_S = 60.0
OFFSET_AGAIN_S = 60.0

_PERMISSION = {
    "darwin": "System Settings > Privacy & Security > Microphone must allow this terminal",
    "win32": "Settings > Privacy & security > Microphone must allow desktop apps",
}


def clipped_samples(frames: NDArray[np.float32]) -> int:
    """Return how many of ``(n, channels)`` are in a run at full scale on any channel."""
    at_limit = np.abs(frames) >= FULL_SCALE
    if not at_limit.any():
        return 0
    starts = max(0, len(frames) - CLIPPED_RUN + 1)
    runs = np.ones((starts, frames.shape[1]), np.bool_)
    for offset in range(CLIPPED_RUN):
        runs &= at_limit[offset : offset + starts]
    clipped = np.zeros(len(frames), np.bool_)
    for offset in range(CLIPPED_RUN):
        clipped[offset : offset + starts] |= runs.any(axis=1)
    return int(np.count_nonzero(clipped))


class LevelWatch:
    """Detects digital silence, clipping, an offset and a low level; seldom repeats a notice.

    Digital silence, which no microphone in a room gives, is reported once until sound returns.

    Attributes:
        clipped: frames so far that were clipped on any channel.
    """

    def __init__(self, sample_rate: int) -> None:
        """Watch frames that come at ``sample_rate`` Hz."""
        self.clipped = 0
        self._rate = sample_rate
        self._position = 0
        self._zeros = 0
        self._is_silence_said = False
        self._second_start = 0
        self._clipped_lately = 0
        self._low_start = 0
        self._low_peak = 0.0
        self._offset_start = 0
        self._sum: NDArray[np.float64] | float = 0.0
        self._not_before = {"clipping": 0, "low": 0, "offset": 0}

    def accept(self, frames: NDArray[np.float32]) -> list[str]:
        """Check ``(n, channels)`` as captured, before channels are mixed; return notices."""
        if not len(frames):
            return []
        clipped = clipped_samples(frames)
        self.clipped += clipped
        peaks = np.abs(frames).max(axis=1)
        self._position += len(frames)
        return [
            *self._digital_silence(peaks),
            *self._clipping(clipped),
            *self._offset(frames),
            *self._low(float(peaks.max())),
        ]

    def _digital_silence(self, peaks: NDArray[np.float32]) -> list[str]:
        sounding = np.flatnonzero(peaks)
        if len(sounding):
            self._zeros = len(peaks) - 1 - int(sounding[-1])
            self._is_silence_said = False
            return []
        self._zeros += len(peaks)
        if self._is_silence_said or self._zeros < DIGITAL_SILENCE_S * self._rate:
            return []
        self._is_silence_said = True
        hint = _PERMISSION.get(sys.platform, "its switch, its volume and the chosen --device")
        return [f"digital silence: every sample is zero; is the microphone muted? Check: {hint}"]

    def _clipping(self, clipped: int) -> list[str]:
        self._clipped_lately += clipped
        if self._position - self._second_start < self._rate:
            return []
        share = self._clipped_lately / (self._position - self._second_start)
        self._second_start, self._clipped_lately = self._position, 0
        if share < CLIPPED_SHARE or not self._may_say("clipping", CLIPPING_AGAIN_S):
            return []
        return [f"clipping: {share:.1%} of the last second; turn the input gain down"]

    def _offset(self, frames: NDArray[np.float32]) -> list[str]:
        self._sum = self._sum + frames.sum(axis=0, dtype=np.float64)
        heard = self._position - self._offset_start
        if heard < OFFSET_FOR_S * self._rate:
            return []
        offset = float(np.abs(self._sum).max()) / heard
        self._offset_start, self._sum = self._position, 0.0
        if offset < OFFSET or not self._may_say("offset", OFFSET_AGAIN_S):
            return []
        return [
            f"a constant offset of {offset:.1%} of full scale, which changes what is heard: "
            "another input, cable or sound card may have none"
        ]

    def _low(self, peak: float) -> list[str]:
        self._low_peak = max(self._low_peak, peak)
        if self._position - self._low_start < LOW_FOR_S * self._rate:
            return []
        peak, self._low_peak, self._low_start = self._low_peak, 0.0, self._position
        if peak == 0 or (dbfs := 20 * np.log10(peak)) >= LOW_PEAK_DBFS:
            return []
        if not self._may_say("low", LOW_AGAIN_S):
            return []
        return [
            f"the level is very low: at most {dbfs:.0f} dBFS in {LOW_FOR_S:g} s; turn the input "
            "gain up or come closer"
        ]

    def _may_say(self, notice: str, again_s: float) -> bool:
        if self._position < self._not_before[notice]:
            return False
        self._not_before[notice] = self._position + round(again_s * self._rate)
        return True
