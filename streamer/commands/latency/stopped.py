"""Measures a 40 ms step with the clock stopped while computing: latency's lower bound."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.commands.latency.process import resident_mib
from streamer.commands.latency.spread import Spread
from streamer.commands.latency.stopwatch import PARTS, TimedRecognizer
from streamer.errors import SerLiveError
from streamer.signal import TIMESTEP_S, TIMESTEP_SAMPLES
from streamer.sound.files.recording import read_recording

Float32 = NDArray[np.float32]

#: Steps before the measurement, for caches and branch predictors to settle and the delay line to
#: fill.
WARM_UP_STEPS = 100


@dataclass(frozen=True)
class StepCost:
    """Cost of the steps of one stream on one thread.

    Attributes:
        steps: number of steps measured.
        parts: cost by name; ``whole step`` includes the calls between the others.
        real_time_factor: computing time over audio time.
        resident_mib: memory of the process before and after the measured steps; None if the system
            does not tell.
    """

    steps: int
    parts: dict[str, Spread]
    real_time_factor: float
    resident_mib: tuple[float, float] | None


def read_timesteps(recording: Path, seconds: float) -> Float32:
    """Read the first seconds of a recording, ``(timesteps, 640)`` at 16 kHz.

    Raises:
        SerLiveError: it cannot be read, or is shorter than one timestep.
    """
    samples = read_recording(recording, seconds)
    if len(samples) < TIMESTEP_SAMPLES:
        raise SerLiveError(f"{recording}: shorter than one step of 40 ms")
    whole = len(samples) // TIMESTEP_SAMPLES * TIMESTEP_SAMPLES
    return samples[:whole].reshape(-1, TIMESTEP_SAMPLES)


def measure_stopped(recognizer: TimedRecognizer, timesteps: Float32, seconds: float) -> StepCost:
    """Run timesteps repeatedly through one stream.

    Args:
        recognizer: makes the stream.
        timesteps: ``(n, 640)`` from :func:`read_timesteps`.
        seconds: audio to measure, after the warm-up.
    """
    blocks = chain.from_iterable(repeat(timesteps))
    stream = recognizer.stream()
    for _ in range(WARM_UP_STEPS):
        stream.accept(next(blocks))
    steps = round(seconds / TIMESTEP_S)
    # Filled now, so that they do not grow while memory is measured.
    spent_ms = {name: np.full(steps, np.nan) for name in (*PARTS, "whole step")}
    resident_before = resident_mib()
    for step in range(steps):
        block = next(blocks)
        recognizer.stopwatch.lap()
        began = time.perf_counter()
        stream.accept(block)
        spent_ms["whole step"][step] = 1000.0 * (time.perf_counter() - began)
        for name, duration_ms in recognizer.stopwatch.lap().items():
            spent_ms[name][step] = duration_ms
    resident_after = resident_mib()
    return StepCost(
        steps,
        {name: Spread.of(durations) for name, durations in spent_ms.items()},
        float(spent_ms["whole step"].sum()) / (1000.0 * steps * TIMESTEP_S),
        (resident_before, resident_after) if resident_before and resident_after else None,
    )
