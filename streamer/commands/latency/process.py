"""Facts about this process and machine: memory, processor, versions, time to start."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer.bundled import bundled
from streamer.errors import RunFailure

_STARTS = 3


@dataclass(frozen=True)
class Process:
    """Facts that hold for all measurements.

    Attributes:
        start_up_ms: time from process start to the first estimate of the demo.
        busy_share: processes that wanted a core, over the number of cores, in the last minute;
            above 1 the machine was busy with other work. None if unknown.
        machine: processor and versions.
    """

    start_up_ms: float
    busy_share: float | None
    machine: dict[str, str]

    @classmethod
    def measure(cls, model: Path | None) -> Process:
        """Start the program a few times.

        Raises:
            RunFailure: it did not start.
        """
        busy_share = _busy_share()
        starts_s = sorted(_start_s(model) for _ in range(_STARTS))
        return cls(1000.0 * starts_s[_STARTS // 2], busy_share, machine())


def resident_mib() -> float | None:
    """Return the memory of this process, None if the system does not tell."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return None
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _busy_share() -> float | None:
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (AttributeError, OSError):  # Windows has none
        return None


def machine() -> dict[str, str]:
    """Return processor and versions."""
    import onnxruntime

    processor = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        lines = cpu_info.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _start_s(model: Path | None) -> float:
    """Return the time from process start to the demo's first estimate, in a fresh process.

    Raises:
        RunFailure: it gave none.
    """
    command = [sys.executable, "-c", "from streamer.commands.program import run; run()"]
    command += ["replay", str(bundled("demo.flac")), "--speed", "max", "--format", "jsonl"]
    command.append("--no-config")  # the user's file may be wrong, and this run may do without it
    command += [] if model is None else ["--model", str(model)]
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # So that it finds the same packages as this process.
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if b'"estimate"' in line:
                    return time.perf_counter() - began
        finally:
            process.kill()
    raise RunFailure("a fresh process of this program gave no estimate")
