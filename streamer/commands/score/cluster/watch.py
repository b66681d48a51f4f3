"""Notices workers that hang: their connection stands, and they hear nothing.

A worker gives signs of life of its task through the scheduler. One that gives none for long is
avoided until the task ends after all, and so is one whose process stands still, which the scheduler
has not heard from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from distributed import get_worker

from streamer.commands.score.hearing.signs import Alive, Clock, no_sign, now_and_then


@dataclass(frozen=True, slots=True)
class Vigil:
    """What a worker must know to give signs of life.

    Attributes:
        topic: topic of Dask's events.
        silent_s: silence of a worker that hangs.
    """

    topic: str
    silent_s: float


@contextmanager
def signs(vigil: Vigil) -> Iterator[Alive]:
    """Give a function that says that this task goes on; say when it begins and ends, too."""
    try:
        worker = get_worker()
    except ValueError:  # no worker of Dask's calls this
        yield no_sign
        return
    key = worker.get_current_task()

    def tell(is_over: bool) -> None:
        message = {"key": key, "worker": worker.address, "is_over": is_over}
        worker.log_event(vigil.topic, message)

    alive = now_and_then(lambda: tell(False), vigil.silent_s)
    alive()
    try:
        yield alive
    finally:
        tell(True)


class Watch:
    """Which workers hang, as far as is known."""

    def __init__(self, silent_s: float) -> None:
        self._silent_s = silent_s
        self._clock = Clock()
        self._signs: dict[str, tuple[str, float]] = {}
        self._seen: dict[str, tuple[float, float]] = {}
        self._hanging: dict[str, str] = {}
        self._stopped: frozenset[str] = frozenset()

    def take(self, message: Mapping[str, Any]) -> None:
        """Take a sign of life."""
        key = str(message["key"])
        if message["is_over"]:
            self._signs.pop(key, None)
            self._hanging.pop(key, None)
        elif key not in self._hanging:
            self._signs[key] = (str(message["worker"]), self._clock.now)

    def look(self) -> None:
        """Look at the clock; to be called every few seconds at least."""
        self._clock.look()

    def see(self, last_seen: Mapping[str, float]) -> None:
        """Take when the scheduler last heard from each worker that it has."""
        now = self._clock.now
        before, self._seen = self._seen, {}
        for worker, time in last_seen.items():
            same, since = before.get(worker, (time, now))
            self._seen[worker] = (time, since if time == same else now)
        # A task whose worker is gone begins anew elsewhere.
        self._signs = {key: sign for key, sign in self._signs.items() if sign[0] in last_seen}
        self._hanging = {key: one for key, one in self._hanging.items() if one in last_seen}
        self._stopped = frozenset(
            worker for worker, (_, since) in self._seen.items() if now - since > self._silent_s
        )

    def has_begun(self, key: str) -> bool:
        """Return whether a task gave a sign of life."""
        return key in self._signs

    def silent(self) -> dict[str, str]:
        """Return the tasks that hang, with their workers, which are avoided from now on."""
        now = self._clock.now
        found = {
            key: worker
            for key, (worker, since) in self._signs.items()
            if now - since > self._silent_s
        }
        for key in found:
            del self._signs[key]
        self._hanging |= found
        return found

    @property
    def avoided(self) -> frozenset[str]:
        """The workers that get no more tasks."""
        return self._stopped | frozenset(self._hanging.values())
