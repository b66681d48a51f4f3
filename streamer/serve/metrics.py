"""Metrics of a running server, in Prometheus's text format 0.0.4."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

#: Upper bounds of step times in seconds; a timestep is 0.04.
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.25, 1.0)


class Metrics:
    """Counts events; only one thread changes each number.

    Attributes:
        streams: streams open now; each channel of a split client is one.
        started: streams begun.
        ended: streams closed, by code; a connection that was refused counts as one.
        refused: connections refused, by reason.
        bytes_in: audio received.
        messages_out: lines sent.
        estimates: timesteps stepped for all streams; the last of a stream, at its end, are not.
        seconds_heard: audio of ended streams.
        backlog_s: waiting audio of all streams.
    """

    def __init__(self) -> None:
        self.streams = self.started = self.bytes_in = self.messages_out = self.estimates = 0
        self.ended: Counter[int] = Counter()
        self.refused: Counter[str] = Counter()
        self.seconds_heard = self.backlog_s = 0.0
        self._steps = 0
        self._step_s = 0.0
        self._step_cpu_s = 0.0
        self._buckets = [0] * len(_BOUNDS)

    def stepped(self, seconds: float, cpu_s: float) -> None:
        """Count a joint step, of a timestep or two, of all streams with audio."""
        self._steps += 1
        self._step_s += seconds
        self._step_cpu_s += cpu_s
        for index, bound in enumerate(_BOUNDS):
            if seconds <= bound:
                self._buckets[index] += 1

    def text(self) -> str:
        """Return all metrics; call it in the event loop."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _one("streams", "gauge", "Streams open now.", self.streams)
        yield from _one("streams_started_total", "counter", "Streams begun.", self.started)
        yield from _labelled(
            "streams_ended_total", "Streams closed or refused, by code.", "code", self.ended
        )
        yield from _labelled(
            "refused_total", "Connections not let in, by reason.", "reason", self.refused
        )
        yield from _one("estimates_total", "counter", "Timesteps of 40 ms.", self.estimates)
        yield from _one("audio_bytes_total", "counter", "Bytes of audio received.", self.bytes_in)
        yield from _one(
            "audio_seconds_total", "counter", "Audio of ended streams.", self.seconds_heard
        )
        yield from _one("messages_sent_total", "counter", "JSON messages sent.", self.messages_out)
        yield from _one(
            "backlog_seconds", "gauge", "Audio that waits, of all streams.", self.backlog_s
        )
        yield from _head("step_seconds", "histogram", "Wall time of a step of all streams.")
        for bound, count in zip(_BOUNDS, self._buckets, strict=True):
            yield f'ser_live_step_seconds_bucket{{le="{bound:g}"}} {count}'
        yield f'ser_live_step_seconds_bucket{{le="+Inf"}} {self._steps}'
        yield f"ser_live_step_seconds_sum {self._step_s:.6f}"
        yield f"ser_live_step_seconds_count {self._steps}"
        yield from _one(
            "step_cpu_seconds_total", "counter", "Processor time of steps.", self._step_cpu_s
        )
        used = os.times()
        yield from _one(
            "process_cpu_seconds_total", "counter", "Processor time.", used.user + used.system
        )
        if resident := _resident_bytes():
            yield from _one("process_resident_bytes", "gauge", "Memory in use.", resident)
        for name, folder, what in (
            ("open_files", "fd", "Open files, connections among them."),
            ("threads", "task", "Threads."),
        ):
            if found := _entries(folder):
                yield from _one(f"process_{name}", "gauge", what, found)
        yield from _one("tasks", "gauge", "Tasks of the event loop.", len(asyncio.all_tasks()))


def _head(name: str, kind: str, what: str) -> Iterator[str]:
    yield f"# HELP ser_live_{name} {what}"
    yield f"# TYPE ser_live_{name} {kind}"


def _one(name: str, kind: str, what: str, value: float) -> Iterator[str]:
    yield from _head(name, kind, what)
    yield f"ser_live_{name} {value if isinstance(value, int) else round(value, 6)}"


def _labelled(
    name: str, what: str, label: str, counts: Counter[int] | Counter[str]
) -> Iterator[str]:
    yield from _head(name, "counter", what)
    for value, count in sorted(counts.items()):
        shown = int(value) if isinstance(value, int) else value  # an enumeration's code
        yield f'ser_live_{name}{{{label}="{shown}"}} {count}'


def _entries(folder: str) -> int:
    """Return how many entries this process has in a folder of /proc; 0 if there is none."""
    try:
        return len(os.listdir(f"/proc/self/{folder}"))  # noqa: PTH208 (pathlib is slower)
    except OSError:
        return 0


def _resident_bytes() -> int:
    """Return the memory of this process; 0 if the system has no file for it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
