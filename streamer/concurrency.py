"""How many streams one core serves: many that step together, timed."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.frontend import TIMESTEP_S, TIMESTEP_SAMPLES
from streamer.recognizer import Recognizer

Float32 = NDArray[np.float32]

#: Steps before the measurement: caches settle, delay lines fill.
WARM_UP_STEPS = 10
#: Streams with which the search for the most begins.
FIRST_TRIED = 32
#: Share of the steps that must be done before the next is due.
PUNCTUAL_PERCENTILE = 99


@dataclass(frozen=True, slots=True)
class ConcurrentSteps:
    """Steps of many streams together, each of 40 ms of every stream.

    Attributes:
        streams: how many.
        durations_s: ``(steps,)`` processor time of each.
    """

    streams: int
    durations_s: NDArray[np.float64]

    @property
    def late_s(self) -> float:
        """What all but the slowest hundredth of the steps take."""
        return float(np.percentile(self.durations_s, PUNCTUAL_PERCENTILE))

    @property
    def is_punctual(self) -> bool:
        """Whether the streams keep up: a step is done before the next is due."""
        return self.late_s < TIMESTEP_S


def measure_streams(
    recognizer: Recognizer, samples: Float32, streams: int, seconds: float
) -> ConcurrentSteps:
    """Step so many streams together, as fast as they go.

    Processor time is counted, not the wall's: what other programs take of the core is not ours.

    Args:
        recognizer: makes the streams.
        samples: ``(samples,)`` 16 kHz mono float32, a timestep or more; every stream hears them
            over and over from a place of its own.
        streams: how many.
        seconds: of audio that each hears, after the warm-up.

    Raises:
        ValueError: samples for less than a timestep, or no stream.
    """
    if len(samples) < TIMESTEP_SAMPLES or streams < 1:
        raise ValueError("needs a timestep of samples and a stream")
    blocks = samples[: len(samples) // TIMESTEP_SAMPLES * TIMESTEP_SAMPLES]
    blocks = blocks.reshape(-1, TIMESTEP_SAMPLES)
    starts = np.random.default_rng(0).integers(0, len(blocks), streams)
    members = [recognizer.stream() for _ in range(streams)]
    durations = []
    for step in range(WARM_UP_STEPS + max(1, round(seconds / TIMESTEP_S))):
        heard = [blocks[(start + step) % len(blocks)] for start in starts]
        began = time.thread_time()
        recognizer.accept_many(members, heard)
        durations.append(time.thread_time() - began)
    return ConcurrentSteps(streams, np.array(durations[WARM_UP_STEPS:]))


def most_streams(recognizer: Recognizer, samples: Float32, seconds: float) -> int:
    """How many streams keep up on one core, to a twentieth.

    Args:
        recognizer: makes the streams.
        samples: as :func:`measure_streams` takes them.
        seconds: of audio for each number of streams that is tried.
    """
    fit, too_many, tried = 0, math.inf, FIRST_TRIED
    while too_many > 1.05 * fit + 1:
        steps = measure_streams(recognizer, samples, tried, seconds)
        if steps.is_punctual:
            fit = tried
        else:
            too_many = tried
        expected = tried * TIMESTEP_S / steps.late_s
        tried = int(min(max(expected, 1.05 * fit + 1), too_many - 1))
    return fit
