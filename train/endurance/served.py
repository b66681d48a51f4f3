"""``ser-live serve`` as a process of its own, and what it holds."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from streamer.commands.latency.server import figures_of
from streamer.errors import RunFailure

#: Shown by all clients that mean to be let in.
TOKEN = "a-token-for-endurance-tests"
_START_S, _END_S, _REST_S = 60.0, 60.0, 120.0
_POLL_S = 0.1
_COMMAND = (sys.executable, "-c", "from streamer.commands.program import run; run()", "serve")


@dataclass(frozen=True)
class Footprint:
    """What the server's process holds at one moment.

    Attributes:
        resident_mb: memory.
        files: open files, connections among them.
        threads: threads.
        tasks: tasks of the event loop.
        streams: open streams.
    """

    resident_mb: float
    files: int
    threads: int
    tasks: int
    streams: int

    @property
    def rests(self) -> bool:
        """Whether nothing goes on but the server and the request for these figures."""
        return self.streams == 0


class Served:
    """A server on a free port of this machine; a context manager.

    Attributes:
        port: its port.
        url: its address for WebSockets.
    """

    def __init__(self, *arguments: str) -> None:
        """Start it with more arguments and wait until it answers.

        Raises:
            RunFailure: it did not start.
        """
        self._folder = TemporaryDirectory(prefix="served-")
        self._log = Path(self._folder.name) / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*_COMMAND, "--port", "0", *arguments],
                stderr=log,
                env=os.environ | {"SER_LIVE_TOKEN": TOKEN},
            )
        try:
            self.port = self._wait_for_port()
        except BaseException:  # Ctrl-C among them
            self.__exit__(None, None, None)
            raise
        self.url = f"ws://127.0.0.1:{self.port}"

    def __enter__(self) -> Served:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()
        self._folder.cleanup()

    def end(self) -> int:
        """End it as SIGTERM does, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def figures(self) -> dict[str, float]:
        """Return the values of /metrics.

        Raises:
            OSError: it does not answer.
        """
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/metrics")
        request.add_header("Authorization", f"Bearer {TOKEN}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return figures_of(answer.read().decode())

    def footprint(self) -> Footprint:
        """Return what it holds now; raises as :meth:`figures`."""
        found = self.figures()
        return Footprint(
            round(found.get("process_resident_bytes", 0.0) / 1e6, 1),
            int(found.get("process_open_files", 0)),
            int(found.get("process_threads", 0)),
            int(found["tasks"]),
            int(found["streams"]),
        )

    def at_rest(self) -> Footprint:
        """Wait until no stream is open, and then for a moment; return what it holds."""
        until_s = time.monotonic() + _REST_S
        while not (found := self.footprint()).rests and time.monotonic() < until_s:
            time.sleep(_POLL_S)
        time.sleep(1.0)
        return self.footprint() if found.rests else found

    def complaints(self) -> list[str]:
        """Return the lines of its log that tell of a failure, or are not of the log."""
        return [line for line in self._log.read_text().splitlines()[1:] if _is_complaint(line)]

    def _wait_for_port(self) -> int:
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s and self.is_alive:
            if found := re.match(r".*http://[^ ]*:(\d+)/", self._log.read_text()):
                return int(found[1])
            time.sleep(_POLL_S)
        self.end()
        raise RunFailure(f"the server did not start: {self._log.read_text().strip()}")


def _is_complaint(line: str) -> bool:
    try:
        return bool(json.loads(line)["event"] == "failure")
    except (ValueError, KeyError, TypeError):
        return True


def leftovers(before: Footprint, end: Footprint, complaints: list[str], code: int) -> list[str]:
    """Return what went wrong for certain; how much memory is too much, a person decides.

    Args:
        before: what the server held before it had work.
        end: what it held when the work was done.
        complaints: its complaints.
        code: its exit code.
    """
    found = {
        f"the server ended with {code}": code != 143,
        f"its log complains {len(complaints)} times: {complaints[:1]}": bool(complaints),
        f"{end.streams} streams stay open": end.streams > 0,
        f"{end.tasks - before.tasks} more tasks": end.tasks > before.tasks,
        f"{end.files - before.files} more files": end.files > before.files,
    }
    return [fault for fault, is_so in found.items() if is_so]


def table(rows: dict[str, Footprint]) -> str:
    """Return footprints as a table, a row for each moment."""
    heads = ("memory/MB", "files", "threads", "tasks", "streams")
    lines = [f"{'':<22}" + "".join(f"{head:>11}" for head in heads)]
    for name, one in rows.items():
        values = (f"{one.resident_mb:.1f}", one.files, one.threads, one.tasks, one.streams)
        lines.append(f"{name:<22}" + "".join(f"{value:>11}" for value in values))
    return "\n".join(lines)
