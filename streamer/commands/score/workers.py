"""Worker processes of which any may die: it costs the recording that it was hearing, no more."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from streamer.commands.score.rows import Row
from streamer.commands.score.work import Answer, Task, empty_row, work
from streamer.errors import RunFailure
from streamer.recognition.prior import Prior
from streamer.recognition.profile import UNKNOWN_VOICE, Adaptation
from streamer.session.interrupts import Interrupts

WORKERS = range(1, 257)
#: Tasks that a worker holds: while it tells of one it has the next at hand.
_TASKS_AT_HAND = 2
#: A killed process goes at once, unless it waits for a dead disk.
_PATIENCE_S = 5.0


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(slots=True)
class _Worker:
    """A process, the way to it, and the indices of the tasks that it holds, oldest first."""

    process: SpawnProcess
    connection: Connection
    tasks: deque[int] = field(default_factory=deque)
    is_ready: bool = False


class Workers:
    """Worker processes with the model loaded, as long as the context lasts."""

    def __init__(
        self,
        count: int,
        model: Path,
        prior: Prior,
        labels: tuple[str, ...],
        interrupts: Interrupts,
        adaptation: Adaptation = UNKNOWN_VOICE,
    ) -> None:
        """Describe them; they start with the context.

        Args:
            count: of processes, each on one thread.
            model: file that each of them loads.
            prior: how often each label is taken to be met.
            labels: of the model.
            interrupts: signals, held back while a process starts or is ended.
            adaptation: how each stream goes about its voice.
        """
        self._count = count
        self._model = model
        self._prior = prior
        self._labels = labels
        self._interrupts = interrupts
        self._adaptation = adaptation
        # A forked process would inherit threads' locks; and there is no fork on Windows.
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
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

    def answers(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        """Index of a task and its answer, as they come: nothing waits behind a long recording.

        Raises:
            RunFailure: a worker cannot start, or cannot write a timeline.
        """
        waiting = deque(range(len(tasks)))
        done: dict[int, Answer] = {}
        left = len(tasks)
        while left:
            self._hand_out(tasks, waiting)
            self._collect(tasks, waiting, done)
            left -= len(done)
            yield from sorted(done.items())
            done.clear()

    def _hand_out(self, tasks: Sequence[Task], waiting: deque[int]) -> None:
        """Give every worker enough to do, evenly, so that none waits while another has two."""
        for held in range(_TASKS_AT_HAND):
            for worker in self._workers:
                if waiting and len(worker.tasks) == held:
                    try:
                        worker.connection.send(tasks[waiting[0]])
                    except OSError:  # it died: found when its answer is asked for
                        continue
                    worker.tasks.append(waiting.popleft())

    def _collect(self, tasks: Sequence[Task], waiting: deque[int], done: dict[int, Answer]) -> None:
        """Wait until some worker says something, or dies."""
        ready = wait([worker.connection for worker in self._workers])
        for worker in [one for one in self._workers if one.connection in ready]:
            try:
                answer: Answer | None = worker.connection.recv()
            except (EOFError, OSError):
                self._replace(worker, tasks, waiting, done)
                continue
            if answer is None:
                worker.is_ready = True
            elif answer.failure is not None:
                raise RunFailure(answer.failure)
            else:
                done[worker.tasks.popleft()] = answer

    def _replace(
        self, worker: _Worker, tasks: Sequence[Task], waiting: deque[int], done: dict[int, Answer]
    ) -> None:
        """Blame the recording that a dead worker was hearing; the rest of its tasks goes back."""
        worker.process.join()
        how = _how_ended(worker.process.exitcode)
        if not worker.is_ready:
            raise RunFailure(f"a worker process cannot start ({how}); try fewer --workers")
        if worker.tasks:
            index = worker.tasks.popleft()
            done[index] = Answer(self._blame(tasks[index], how))
        waiting.extendleft(reversed(worker.tasks))
        with self._interrupts.shielded():
            self._forget(worker)
            self._start()

    def _blame(self, task: Task, how: str) -> Row:
        if task.timeline is not None:
            task.timeline.unlink(missing_ok=True)  # it breaks off in the middle of a line
        return empty_row(self._labels, task, f"the process that heard it died ({how})")

    def _start(self) -> None:
        with self._interrupts.shielded():
            ours, theirs = self._context.Pipe()
            arguments = (theirs, self._model, self._prior, self._adaptation)
            process = self._context.Process(target=work, args=arguments, daemon=True)
            process.start()
            theirs.close()  # or its death would go unnoticed
            self._workers.append(_Worker(process, ours))

    def _end(self) -> None:
        """Leave no process behind."""
        with self._interrupts.shielded(is_firm=True):
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
