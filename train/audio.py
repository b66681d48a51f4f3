"""Whole recordings as 16 kHz mono arrays, for training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from streamer.frontend import SAMPLE_RATE


def read_audio(path: Path) -> NDArray[np.float32]:
    """Samples ``(samples,)`` float32 at 16 kHz, channels averaged."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    return np.asarray(mono, np.float32)
