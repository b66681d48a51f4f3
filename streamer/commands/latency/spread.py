"""Summarises a duration that varies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spread:
    """Distribution of a duration, in ms."""

    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, durations_ms: NDArray[np.float64]) -> Spread:
        """Summarise at least one duration, ``(n,)`` in ms."""
        return cls(*map(float, np.percentile(durations_ms, [50, 95, 99, 100])))
