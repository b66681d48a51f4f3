"""What this process and this machine are: memory, processor, versions, time to start."""

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
    """What holds for all of the measurements.

    Attributes:
        start_up_ms: process start to the first estimate of the demo.
        busy_share: processes that wanted a core, over the cores there are, in the last minute;
            above 1 the machine was busy with something else too. None where it is unknown.
        machine: processor and versions.
    """

    start_up_ms: float
    busy_share: float | None
    machine: dict[str, str]

    @classmethod
    def measure(cls, model: Path | None) -> Process:
        """Start the program anew a few times.

        Raises:
            RunFailure: it did not start.
        """
        busy_share = _busy_share()
        starts_s = sorted(_start_s(model) for _ in range(_STARTS))
        return cls(1000.0 * starts_s[_STARTS // 2], busy_share, machine())


def resident_mib() -> float | None:
    """Memory of this process, None where the system does not tell."""
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
    """Processor and versions."""
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
    """Process start to the first estimate of the demo, in a fresh process.

    Raises:
        RunFailure: it gave none.
    """
    command = [sys.executable, "-c", "from streamer.commands.program import run; run()"]
    command += ["replay", str(bundled("demo.flac")), "--speed", "max", "--format", "jsonl"]
    command += [] if model is None else ["--model", str(model)]
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # It finds the packages that this process has found.
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
