"""Many streams in one process, stepping together: how many one core serves."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from streamer.commands.latency.spread import Spread
from streamer.commands.latency.stopped import Float32
from streamer.recognition.recognizer import Recognizer
from streamer.signal import TIMESTEP_S, TIMESTEP_SAMPLES

#: Steps before the measurement; every stream has filled its delay line by then.
WARM_UP_STEPS = 25
#: Streams with which the search for the most begins.
FIRST_TRIED = 32
#: Audio of each number of streams that the search tries: 200 steps, of which two may be late.
TRIED_S = 200 * TIMESTEP_S


@dataclass(frozen=True)
class StreamsCost:
    """Cost of the steps of many streams together, each of 40 ms of every stream.

    Attributes:
        streams: how many.
        steps: how many were measured.
        step: ms of processor time until all streams had taken their 40 ms.
        deadline_misses: steps that took 40 ms or longer.
        real_time_factor: processor time over audio time of one stream; above 1 they do not fit.
    """

    streams: int
    steps: int
    step: Spread
    deadline_misses: int
    real_time_factor: float

    @property
    def is_punctual(self) -> bool:
        """Whether all but a hundredth of the steps are done before the next is due."""
        return self.step.p99 < 1000.0 * TIMESTEP_S


def measure_streams(
    recognizer: Recognizer, samples: Float32, streams: int, seconds: float
) -> StreamsCost:
    """Step so many streams together, as fast as they go.

    Processor time is counted, not the wall's: what other programs take of the core is not ours.

    Args:
        recognizer: makes the streams.
        samples: ``(samples,)`` at 16 kHz, a timestep or more; every stream hears them over and
            over from a place of its own.
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
    """How many streams keep up on one core, to a twentieth; 0 if not even one does.

    Args:
        recognizer: makes the streams.
        samples: as :func:`measure_streams` takes them.
    """
    fit, too_many, tried = 0, math.inf, FIRST_TRIED
    while too_many > 1.05 * fit + 1:
        cost = measure_streams(recognizer, samples, tried, TRIED_S)
        if cost.is_punctual:
            fit = tried
        else:
            too_many = tried
        # The cost grows with the streams; where that does not tell more, a twentieth on.
        expected = tried * 1000.0 * TIMESTEP_S / cost.step.p99
        tried = int(min(max(expected, 1.05 * fit + 1), too_many - 1))
    return fit
