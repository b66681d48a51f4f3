"""Many streams in one process: whether each step of them all is done before the next is due."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from streamer.frontend import TIMESTEP_S, TIMESTEP_SAMPLES
from streamer.latency.spread import Spread
from streamer.latency.stopped import Float32
from streamer.recognizer import Recognizer

#: Steps before the measurement; every stream has filled its delay line by then.
WARM_UP_STEPS = 25


@dataclass(frozen=True)
class StreamsCost:
    """Cost of one step of several streams on one thread.

    Attributes:
        streams: how many ran at once.
        steps: how many were measured.
        step: time until all streams had taken their 40 ms.
        deadline_misses: steps that took longer than 40 ms.
        real_time_factor: computing time over audio time of one stream; above 1 they do not fit.
    """

    streams: int
    steps: int
    step: Spread
    deadline_misses: int
    real_time_factor: float


def measure_streams(
    recognizer: Recognizer, samples: Float32, streams: int, seconds: float
) -> StreamsCost:
    """Run streams side by side, the clock stopped, each elsewhere in the recording.

    Args:
        recognizer: makes the streams.
        samples: ``(samples,)`` at 16 kHz, heard over and over; at least one timestep.
        streams: how many.
        seconds: audio of each to measure, after the warm-up.
    """
    timesteps = samples[: len(samples) // TIMESTEP_SAMPLES * TIMESTEP_SAMPLES]
    timesteps = timesteps.reshape(-1, TIMESTEP_SAMPLES)
    opened = [recognizer.stream() for _ in range(streams)]
    spent_ms = np.full(round(seconds / TIMESTEP_S), np.nan)
    for step in range(-WARM_UP_STEPS, len(spent_ms)):
        began = time.perf_counter()
        for index, stream in enumerate(opened):
            stream.accept(timesteps[(step + index) % len(timesteps)])
        if step >= 0:
            spent_ms[step] = 1000.0 * (time.perf_counter() - began)
    return StreamsCost(
        streams,
        len(spent_ms),
        Spread.of(spent_ms),
        int(np.count_nonzero(spent_ms > 1000.0 * TIMESTEP_S)),
        float(spent_ms.mean()) / (1000.0 * TIMESTEP_S),
    )
