"""The server's log: one JSON object per line, on stderr."""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from streamer.outputs import say_on_stderr

#: Lines that wait for the reader of stderr; when more come, the newest are lost and counted.
MOST_WAITING = 10_000
#: How long the end of the server waits for that reader. What it has not read by then is lost.
_END_S = 1.0


def log(event: str, **facts: object) -> None:
    """Write a line with the time, the event, and its facts; it never waits in a server."""
    line = _line(event, facts)
    if _Writer.running is None:
        say_on_stderr(line)
    else:
        _Writer.running.add(line)


@contextmanager
def written_apart() -> Iterator[None]:
    """Write the lines in a thread of their own for the length of a block.

    Whoever reads stderr may stop reading, and a pipe holds some hundred lines: a write would then
    wait without end, and every stream with it.
    """
    writer = _Writer()
    _Writer.running = writer
    try:
        yield
    finally:
        _Writer.running = None
        writer.end()


def _line(event: str, facts: dict[str, object]) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": now, "event": event, **facts}, separators=(",", ":"))


class _Writer:
    """Writes lines in a thread.

    Attributes:
        running: the one that takes the lines of :func:`log`; None outside of a server.
    """

    running: _Writer | None = None

    def __init__(self) -> None:
        self._descriptor = _descriptor()
        self._waiting: deque[str] = deque()
        self._lost = 0
        self._changed = threading.Condition()
        self._has_ended = False
        self._thread = threading.Thread(target=self._write_all, daemon=True)
        self._thread.start()

    def add(self, line: str) -> None:
        """Write a line soon, or count it as lost."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self._lost += 1
                return
            self._waiting.append(line)
            self._changed.notify()

    def end(self) -> None:
        """Write what waits, unless nobody reads it."""
        with self._changed:
            self._has_ended = True
            self._changed.notify()
        self._thread.join(_END_S)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._has_ended)
                if not self._waiting:
                    return
                lines, lost = [self._waiting.popleft()], self._lost
                self._lost = 0
            if lost:
                lines.append(_line("lost", {"lines": lost}))
            for line in lines:
                self._write(line)

    def _write(self, line: str) -> None:
        """Write to the descriptor: a thread left in ``sys.stderr`` would hold its lock at exit."""
        data = f"{line}\n".encode()
        while data and self._descriptor is not None:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # another program that shares it has made it so
                select.select([], [self._descriptor], [])
            except OSError:  # it was closed
                return


def _descriptor() -> int | None:
    """Return the descriptor of stderr; None if there is none."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return None
