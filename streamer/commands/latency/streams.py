"""Measures how many streams one core serves, stepping together in one process."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from streamer.commands.latency.spread import Spread
from streamer.commands.latency.stopped import Float32
from streamer.recognition.recognizer import Recognizer
from streamer.signal import TIMESTEP_S, TIMESTEP_SAMPLES

#: Steps before the measurement; by then every stream has filled its delay line.
WARM_UP_STEPS = 25
#: Number of streams at which the search for the maximum begins.
FIRST_TRIED = 32
#: Audio for each number of streams in the search: 200 steps, of which two may be late.
TRIED_S = 200 * TIMESTEP_S


@dataclass(frozen=True)
class StreamsCost:
    """Cost of joint steps of many streams, each step for 40 ms of every stream.

    Attributes:
        streams: number of streams.
        steps: number of steps measured.
        step: ms of processor time until all streams had taken their 40 ms.
        deadline_misses: steps of 40 ms or longer.
        real_time_factor: processor time over audio time of one stream; above 1 they do not fit.
    """

    streams: int
    steps: int
    step: Spread
    deadline_misses: int
    real_time_factor: float

    @property
    def is_punctual(self) -> bool:
        """Whether all but a hundredth of the steps end before the next is due."""
        return self.step.p99 < 1000.0 * TIMESTEP_S


def measure_streams(
    recognizer: Recognizer, samples: Float32, streams: int, seconds: float
) -> StreamsCost:
    """Step so many streams together, as fast as possible.

    The measure is processor time, not wall time, so other programs' use of the core does not count.

    Args:
        recognizer: makes the streams.
        samples: ``(samples,)`` at 16 kHz, a timestep or more; every stream repeats them from a
            start of its own.
        streams: number of streams.
        seconds: audio that each stream hears, after the warm-up.

    Raises:
        ValueError: there are samples for less than a timestep, or no stream.
    """
    if len(samples) < TIMESTEP_SAMPLES or streams < 1:
        raise ValueError("needs a timestep of samples and a stream")
    blocks = samples[: len(samples) // TIMESTEP_SAMPLES * TIMESTEP_SAMPLES]
    blocks = blocks.reshape(-1, TIMESTEP_SAMPLES)
    starts = np.random.default_rng(0).integers(0, len(blocks), streams)
    members = [recognizer.stream() for _ in range(streams)]
    spent_ms = np.full(max(1, round(seconds / TIMESTEP_S)), np.nan)
    for step in range(-WARM_UP_STEPS, len(spent_ms)):
        heard = [blocks[(start + step) % len(blocks)] for start in starts]
        began = time.thread_time()
        recognizer.accept_many(members, heard)
        if step >= 0:
            spent_ms[step] = 1000.0 * (time.thread_time() - began)
    return StreamsCost(
        streams,
        len(spent_ms),
        Spread.of(spent_ms),
        int(np.count_nonzero(spent_ms >= 1000.0 * TIMESTEP_S)),
        float(spent_ms.mean()) / (1000.0 * TIMESTEP_S),
    )


def most_streams(recognizer: Recognizer, samples: Float32) -> int:
    """Return how many streams keep up on one core, to a twentieth; 0 if not even one does.

    Args:
        recognizer: makes the streams.
        samples: as in :func:`measure_streams`.
    """
    fit, too_many, tried = 0, math.inf, FIRST_TRIED
    while too_many > 1.05 * fit + 1:
        cost = measure_streams(recognizer, samples, tried, TRIED_S)
        if cost.is_punctual:
            fit = tried
        else:
            too_many = tried
        # The cost grows with the streams; if that gives no new number, go on by a twentieth.
        expected = tried * 1000.0 * TIMESTEP_S / cost.step.p99
        tried = int(min(max(expected, 1.05 * fit + 1), too_many - 1))
    return fit
