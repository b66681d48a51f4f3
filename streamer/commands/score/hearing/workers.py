"""Worker processes, any of which may die or hang at the cost of only its current recording."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from streamer.commands.score.finding.patience import Say
from streamer.commands.score.hearing.signs import SILENT_S, Clock, told
from streamer.commands.score.hearing.work import Answer, Sign, Task, empty_row, work
from streamer.commands.score.results.rows import Row
from streamer.errors import RunFailure
from streamer.recognition.prior import Prior
from streamer.recognition.profile import UNKNOWN_VOICE, Adaptation
from streamer.session.interrupts import Interrupts

#: Tasks that a worker holds: while it reports one, it has the next at hand.
_TASKS_AT_HAND = 2
#: A killed process ends at once, unless it waits for a dead disk.
_PATIENCE_S = 5.0
#: How often to look for processes that hang.
_LOOK_EVERY_S = 1.0


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(slots=True)
class _Worker:
    """A process, its connection, and the indices of its tasks, oldest first.

    ``since`` is when it last gave a sign of life, or was given something to do.
    """

    process: SpawnProcess
    connection: Connection
    since: float
    tasks: deque[int] = field(default_factory=deque)
    is_ready: bool = False


class Workers:
    """Worker processes with the model loaded, for the length of the context."""

    def __init__(
        self,
        count: int,
        model: Path,
        prior: Prior,
        labels: tuple[str, ...],
        interrupts: Interrupts,
        adaptation: Adaptation = UNKNOWN_VOICE,
        folder: Path | None = None,
        say: Say | None = None,
        silent_s: float = SILENT_S,
    ) -> None:
        """Set them up; they start with the context.

        Args:
            count: number of processes, each on one thread.
            model: model file that each process loads.
            prior: the assumed frequency of each label.
            labels: the model's labels.
            interrupts: signals, which end the wait for an answer.
            adaptation: how each stream adapts to its voice.
            folder: for what they fetch; None for the system's.
            say: prints a line for the user.
            silent_s: silence of a process that hangs.
        """
        self._count = count
        self._model = model
        self._prior = prior
        self._labels = labels
        self._interrupts = interrupts
        self._adaptation = adaptation
        self._folder = folder
        self._say = say
        self._silent_s = silent_s
        self._clock = Clock()
        # A forked process would inherit threads' locks, and Windows has no fork.
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        try:
            for _ in range(self._count):
                self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._end()

    def answers(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Answer]]:
        """Yield each task's index and answer as they come: nothing waits for a long recording.

        A task is taken when a worker needs one, so that there may be a million.

        Raises:
            RunFailure: a worker cannot start, or cannot write a timeline.
        """
        coming = enumerate(tasks)
        held: dict[int, Task] = {}
        waiting: deque[int] = deque()
        done: dict[int, Answer] = {}
        while True:
            for index, task in islice(coming, max(0, self._free - len(waiting))):
                held[index] = task
                waiting.append(index)
                self._hand_out(held, waiting)  # the next may take a while to be listed
            if not held:
                return
            self._hand_out(held, waiting)
            self._collect(held, waiting, done)
            yield from sorted(done.items())
            for index in done:
                del held[index]
            done.clear()

    @property
    def core_s(self) -> float:
        """Time on cores so far, in seconds: that of all processes, at work or not."""
        return self._count * (time.monotonic() - self._began)

    @property
    def _free(self) -> int:
        """The number of tasks that the workers would take."""
        return sum(_TASKS_AT_HAND - len(worker.tasks) for worker in self._workers)

    def _hand_out(self, tasks: Mapping[int, Task], waiting: deque[int]) -> None:
        """Give every worker enough tasks, evenly, so that none waits while another has two."""
        for held in range(_TASKS_AT_HAND):
            for worker in self._workers:
                if waiting and len(worker.tasks) == held:
                    try:
                        worker.connection.send(tasks[waiting[0]])
                    except OSError:  # it died: detected when its answer is read
                        continue
                    if not worker.tasks:
                        worker.since = self._clock.now
                    worker.tasks.append(waiting.popleft())

    def _collect(
        self, tasks: Mapping[int, Task], waiting: deque[int], done: dict[int, Answer]
    ) -> None:
        """Wait until a worker answers, dies or hangs, or for a moment."""
        with self._interrupts.waiting():
            ready = wait([worker.connection for worker in self._workers], _LOOK_EVERY_S)
        now = self._clock.look()
        for worker in list(self._workers):
            if worker.connection not in ready:
                silent_s = self._silent_s if worker.is_ready else SILENT_S
                if now - worker.since > silent_s and (worker.tasks or not worker.is_ready):
                    worker.process.kill()
                    worker.process.join(_PATIENCE_S)
                    how = f"gave no sign of life for {told(silent_s)}"
                    self._replace(worker, tasks, waiting, done, how)
                continue
            worker.since = now
            try:
                said: Answer | Sign | str = worker.connection.recv()
            except (EOFError, OSError):
                worker.process.join()
                how = f"died ({_how_ended(worker.process.exitcode)})"
                self._replace(worker, tasks, waiting, done, how)
                continue
            if isinstance(said, str):
                if self._say is not None:
                    self._say(said)
            elif isinstance(said, Sign):
                worker.is_ready = True
            elif said.failure is not None:
                raise RunFailure(said.failure)
            else:
                done[worker.tasks.popleft()] = said

    def _replace(
        self,
        worker: _Worker,
        tasks: Mapping[int, Task],
        waiting: deque[int],
        done: dict[int, Answer],
        how: str,
    ) -> None:
        """Fail the recording that a lost worker was processing, and requeue its other tasks."""
        if not worker.is_ready:
            raise RunFailure(f"a worker process cannot start: it {how}; try fewer --workers")
        if worker.tasks:
            index = worker.tasks.popleft()
            done[index] = Answer(self._blame(tasks[index], how))
        waiting.extendleft(reversed(worker.tasks))
        self._forget(worker)
        self._start()

    def _blame(self, task: Task, how: str) -> Row:
        if task.timeline is not None:
            task.timeline.unlink(missing_ok=True)  # it ends in the middle of a line
        return empty_row(self._labels, task, f"the process that heard it {how}")

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        own = (self._model, self._prior, self._adaptation, self._folder, self._silent_s)
        process = self._context.Process(target=work, args=(theirs, *own), daemon=True)
        process.start()
        theirs.close()  # otherwise its death would go unnoticed
        self._workers.append(_Worker(process, ours, self._clock.now))

    def _end(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.process.kill()
        for worker in list(self._workers):
            worker.process.join(_PATIENCE_S)
            self._forget(worker)

    def _forget(self, worker: _Worker) -> None:
        worker.connection.close()
        self._workers.remove(worker)


def _how_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"signal {-exit_code}"
    return f"exit code {exit_code}"
