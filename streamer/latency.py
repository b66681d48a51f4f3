"""What each part of a 40 ms step costs, with the clock stopped while computing."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from io import StringIO
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamer.audio import read_recording
from streamer.errors import SerLiveError
from streamer.frontend import SAMPLE_RATE, TIMESTEP_S, TIMESTEP_SAMPLES
from streamer.recognizer import Recognizer, model_path, open_model
from streamer.speech import SpeechDetector, SpeechState

if TYPE_CHECKING:
    import onnxruntime

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: Steps before the measurement: caches and branch predictors settle, the delay line fills.
WARM_UP_STEPS = 100


@dataclass(frozen=True, slots=True)
class Spread:
    """Distribution of a duration over the steps, in ms."""

    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, durations_s: Float64) -> Spread:
        p50, p95, p99, most = np.percentile(durations_s, [50, 95, 99, 100]) * 1000.0
        return cls(float(p50), float(p95), float(p99), float(most))


@dataclass(frozen=True)
class StepCost:
    """Cost of the steps of one stream on one thread.

    Attributes:
        steps: how many were measured.
        look_ahead_ms: of the model, which no computing makes shorter.
        parts: by name; ``front end`` is STFT, normalisation and decision.
        real_time_factor: computing time over audio time.
        resident_mib: memory of the process before and after the measured steps; None where the
            system does not tell.
        machine: processor and versions.
    """

    steps: int
    look_ahead_ms: float
    parts: dict[str, Spread]
    real_time_factor: float
    resident_mib: tuple[float, float] | None
    machine: dict[str, str]


class _TimedDetector(SpeechDetector):
    """Adds up the time spent in the voice gate."""

    spent_s = 0.0

    def accept(self, samples: Float32, state: SpeechState) -> tuple[float, SpeechState]:
        began = time.perf_counter()
        result = super().accept(samples, state)
        self.spent_s += time.perf_counter() - began
        return result


class _TimedSession:
    """An inference session that adds up the time spent in the network."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.spent_s = 0.0

    def run_with_iobinding(self, binding: Any) -> None:
        began = time.perf_counter()
        self._session.run_with_iobinding(binding)
        self.spent_s += time.perf_counter() - began

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def measure(model: Path | None, recording: Path, seconds: float) -> StepCost:
    """Run a recording, over and over, through one stream.

    Args:
        model: file, None for the shipped one.
        recording: any sound file.
        seconds: audio to measure, after the warm-up.

    Raises:
        SerLiveError: a file cannot be read, or ``seconds`` is impossible.
    """
    if not 1 <= seconds <= 86_400:
        raise SerLiveError("--seconds must lie in 1..86400")
    session, metadata = open_model(model_path(model))
    timed_session, detector = _TimedSession(session), _TimedDetector()
    recognizer = Recognizer(timed_session, metadata, detector)
    samples = read_recording(recording, seconds)
    if len(samples) < TIMESTEP_SAMPLES:
        raise SerLiveError(f"{recording}: shorter than one step of 40 ms")
    timesteps = samples[: len(samples) // TIMESTEP_SAMPLES * TIMESTEP_SAMPLES]
    blocks = chain.from_iterable(repeat(timesteps.reshape(-1, TIMESTEP_SAMPLES)))
    stream = recognizer.stream()
    steps = round(seconds / TIMESTEP_S)
    spent = {name: np.full(steps, np.nan) for name in ("network", "VAD", "front end", "whole step")}
    resident_before: float | None = None
    for step in range(-WARM_UP_STEPS, steps):
        block = next(blocks)
        timed_session.spent_s = detector.spent_s = 0.0
        began = time.perf_counter()
        stream.accept(block)
        whole = time.perf_counter() - began
        if step == 0:
            resident_before = _resident_mib()
        if step >= 0:
            spent["network"][step] = timed_session.spent_s
            spent["VAD"][step] = detector.spent_s
            spent["front end"][step] = whole - timed_session.spent_s - detector.spent_s
            spent["whole step"][step] = whole
    resident_after = _resident_mib()
    return StepCost(
        steps,
        metadata.look_ahead_ms,
        {name: Spread.of(durations) for name, durations in spent.items()},
        float(spent["whole step"].sum()) / (steps * TIMESTEP_S),
        (resident_before, resident_after) if resident_before and resident_after else None,
        _machine(),
    )


def _resident_mib() -> float | None:
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return None
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _machine() -> dict[str, str]:
    import onnxruntime

    processor = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        names = [
            line for line in cpu_info.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0].partition(":")[2].strip() if names else processor
    return {
        "processor": processor,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def table_of(cost: StepCost) -> str:
    """A table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{cost.steps} steps of 40 ms, one stream, one thread (ms)")
    table.add_column("part")
    for column in ("p50", "p95", "p99", "max"):
        table.add_column(column, justify="right")
    for name, spread in cost.parts.items():
        table.add_row(name, *(f"{value:.3f}" for value in asdict(spread).values()))
    text = StringIO()
    Console(file=text, width=72).print(table)
    facts = [f"real-time factor {cost.real_time_factor:.4f}"]
    if cost.resident_mib is not None:
        before, after = cost.resident_mib
        facts.append(f"resident memory {before:.1f} MiB before, {after:.1f} MiB after")
    facts.append(f"look-ahead {cost.look_ahead_ms:g} ms at {SAMPLE_RATE} Hz")
    facts.append(", ".join(f"{name} {value}" for name, value in cost.machine.items()))
    return text.getvalue() + "\n".join(facts)


def json_of(cost: StepCost) -> str:
    """The same as one JSON object."""
    return json.dumps(asdict(cost), indent=2)
