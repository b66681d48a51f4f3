"""The side of the user: hands out tasks to a Dask scheduler, and takes the answers."""

from __future__ import annotations

import logging
import os
import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from distributed import Client, KilledWorker

from streamer.commands.score.cluster.grouping import Grouping, Load
from streamer.commands.score.cluster.spec import Spec
from streamer.commands.score.cluster.task import Heard, given, hear_group
from streamer.commands.score.cluster.watch import Vigil, Watch
from streamer.commands.score.hearing.signs import SIGNS, SILENT_S, told
from streamer.commands.score.hearing.work import Answer, Task, empty_row
from streamer.errors import RunFailure, SerLiveError
from streamer.session.interrupts import Interrupts

#: Tasks under way for each thread of the workers: while it does one, it has the next at hand.
_TASKS_AT_HAND = 3
#: Tasks that the scheduler holds for this run at least, while workers come, and at most.
_FEWEST, _MOST = 4, 10_000
#: How often the workers are counted, and how often a line says that there are none.
_COUNT_EVERY_S, _REMIND_EVERY_S = 5.0, 60.0
#: How often the tasks under way are looked at.
_LOOK_EVERY_S = 1.0
#: How long the scheduler may take to answer, and waits before it is called again.
_ANSWER_S = 10.0
#: Time for a worker to give a finished task's answer, before others are asked for theirs.
_FETCH_S = 10.0
_WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
#: How often a task may fail for a reason that is not in its recordings.
_TRIES = 3


class _Client(Client):
    """A client that only :meth:`close` closes, once it is connected.

    One that cannot connect would wait for itself at its end, for 20 s, and print a traceback.
    """

    def __del__(self) -> None:
        pass


class Cluster:
    """The workers of a scheduler; authentication is left to Dask's own configuration."""

    def __init__(
        self,
        address: str,
        spec: Spec,
        interrupts: Interrupts,
        say: Callable[[str], None],
        silent_s: float = SILENT_S,
    ) -> None:
        """Set it up; it connects with the context.

        Args:
            address: of the scheduler.
            spec: what the workers must have.
            interrupts: signals, which end a wait for the scheduler.
            say: prints a line for the user.
            silent_s: silence of a worker that hangs.
        """
        self._address = address
        self._spec = spec
        self._interrupts = interrupts
        self._say = say
        self._run = uuid.uuid4().hex[:8]
        self._submitted = 0
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._under_way: dict[Any, Load] = {}
        self._again: list[Load] = []
        self._client: Any = None
        self._model: Any = None
        self._is_model_lost = False
        self._vigil = Vigil(f"ser-live-{self._run}", silent_s)
        self._watch = Watch(silent_s)
        self._signs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._present: frozenset[str] = frozenset()
        self._avoided: frozenset[str] = frozenset()
        self._seen = float("-inf")
        self._limit = _FEWEST
        self._counted = float("-inf")
        self._reminded = time.monotonic()
        self._grouping = Grouping()
        self.core_s = 0.0

    def __enter__(self) -> Self:
        _quieten()
        self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Leave the scheduler, which cancels what is under way for nobody."""
        with suppress(Exception):
            self._client.close(timeout=_ANSWER_S)

    def answers(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Answer]]:
        """Yield each task's index and answer as they come, each once.

        A lost worker or a lost connection costs the tasks under way there, as does a worker that
        hangs: they are done again.

        Raises:
            RunFailure: the scheduler is lost, or a worker has another version or model.
        """
        groups = self._grouping.groups(tasks)
        is_more = True
        looked_s = float("-inf")
        while True:
            self._interrupts.check()
            # Not with each answer: it takes a look at all tasks under way.
            if time.monotonic() - looked_s >= _LOOK_EVERY_S:
                self._take_signs()
                self._count_workers()
                yield from self._leave_silent()
                looked_s = time.monotonic()
            while is_more and len(self._under_way) + len(self._again) < self._limit:
                group = next(groups, None)
                is_more = group is not None
                if group is not None:
                    self._again.append(Load(group))
            while self._again and not self._all_hang:
                self._submit(self._again.pop())
            if not (self._under_way or self._again):
                return
            try:
                with self._interrupts.waiting():
                    future = self._done.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                continue
            yield from self._take(future)

    def _connect(self) -> None:
        try:
            with self._interrupts.waiting():
                self._client = _Client(  # type: ignore[no-untyped-call]
                    self._address, timeout=_ANSWER_S, set_as_default=False, name="ser-live"
                )
            self._client.subscribe_topic(self._vigil.topic, lambda event: self._signs.put(event[1]))
            self._send_model(None)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            reason = str(error).strip().splitlines()
            raise RunFailure(
                f"no Dask scheduler answers at {self._address}: "
                f"{reason[0] if reason else type(error).__name__}"
            ) from error

    def _send_model(self, workers: list[str] | None) -> None:
        """Send the user's model to some worker, which gives it to the others.

        Raises:
            OSError: it cannot be read.
        """
        if self._spec.file is not None:
            data = self._spec.file.read_bytes()
            key = f"ser-live-model-{self._run}-{self._submitted}"
            self._model = self._client.submit(given, data, key=key, workers=workers)
        self._is_model_lost = False

    def _submit(self, load: Load) -> None:
        tasks = [_elsewhere(task) for _, task in load.group]
        key = f"ser-live-{self._run}-{self._submitted}"
        self._submitted += 1
        given_to = self._present - self._avoided if self._avoided else None
        load = replace(load, allowed=given_to, done_s=None)
        workers = None if given_to is None else sorted(given_to)
        try:
            if self._is_model_lost:
                self._send_model(workers)
            work = (self._spec_sent, self._model, tasks, load.is_alone, self._vigil)
            future = self._client.submit(hear_group, *work, key=key, pure=False, workers=workers)
        except Exception as error:  # the connection was lost just now
            self._again.append(load)
            self._reconnect(error)
            return
        self._under_way[future] = load
        future.add_done_callback(self._done.put)

    @property
    def _spec_sent(self) -> Spec:
        return replace(self._spec, file=None)

    def _take(self, future: Any) -> Iterator[tuple[int, Answer]]:
        """Take a future that is done: yield its answers, or do its work again."""
        load = self._under_way.get(future)
        if load is None:  # of a connection that was lost
            return
        if future.cancelled() or future.status == "lost":
            self._reconnect(None)
            return
        try:
            with self._interrupts.waiting():
                heard: Heard = future.result(timeout=min(_FETCH_S, self._vigil.silent_s))
        except KilledWorker as error:
            del self._under_way[future]
            yield from self._suspect(load, str(error.last_worker))
        except SerLiveError as failure:
            raise RunFailure(str(failure)) from failure
        except ImportError as error:
            raise RunFailure(
                f"a worker cannot run ser-live ({error}): install 'ser-live[cluster]' "
                f"{self._spec.version} on all of them"
            ) from error
        except Exception as error:
            if future.cancelled() or self._client.status != "running":
                self._reconnect(error)
                return
            if isinstance(error, TimeoutError) and future.status == "finished":
                self._ask_again(future, load)
                return
            del self._under_way[future]
            if load.tries + 1 == _TRIES:
                raise RunFailure(
                    f"a task failed {_TRIES} times: {type(error).__name__}: {error}"
                ) from error
            self._again.append(replace(load, tries=load.tries + 1))
        else:
            del self._under_way[future]
            self.core_s += heard.core_s
            yield from self.rows(load, heard)

    def _ask_again(self, future: Any, load: Load) -> None:
        """Ask later for an answer that its worker does not give, or have the work done again."""
        now_s = time.monotonic()
        since_s = now_s if load.done_s is None else load.done_s
        if now_s - since_s < self._vigil.silent_s:
            self._under_way[future] = replace(load, done_s=since_s)
            self._done.put(future)
        else:
            self._drop(future)
            self._again.append(load)

    def rows(self, load: Load, heard: Heard) -> Iterator[tuple[int, Answer]]:
        """Yield the answers to a task; that for a path which only this machine sees says so.

        Raises:
            RunFailure: a worker could not go on.
        """
        for position, ((index, task), answer) in enumerate(
            zip(load.group, heard.answers, strict=True)
        ):
            if answer.failure is not None:
                raise RunFailure(f"on {heard.host}: {answer.failure}")
            self._grouping.learn(task, answer.row["duration_s"])
            if position in heard.missing and os.path.lexists(task.path):
                reason = (
                    f"only this machine sees it, not the worker on {heard.host}: keep it where all "
                    "see it under one path, or behind a URL"
                )
                answer = Answer(empty_row(self._spec.labels, task, reason))
            yield index, answer

    def _suspect(self, load: Load, last: str) -> Iterator[tuple[int, Answer]]:
        """Find out which recording of a task kills workers, if one does.

        Others on the same workers are suspects too. In a process of their own, all but the culprit
        are heard.
        """
        if not load.is_alone:
            self._again.append(replace(load, is_alone=True))
        elif len(load.group) > 1:
            self._again += [Load([one], is_alone=True) for one in load.group]
        else:
            ((index, task),) = load.group
            reason = f"the workers that heard it died, the last at {last}"
            yield index, Answer(empty_row(self._spec.labels, task, reason))

    @property
    def _all_hang(self) -> bool:
        return bool(self._avoided) and self._present <= self._avoided

    def _take_signs(self) -> None:
        """Take the signs of life that came."""
        with suppress(queue.Empty):
            while True:
                self._watch.take(self._signs.get_nowait())

    def _leave_silent(self) -> Iterator[tuple[int, Answer]]:
        """Take tasks from workers that hang, for others; yield errors for those that hung often.

        The answer of a worker that goes on after all is that of a task which nobody waits for.
        """
        self._watch.look()
        silent = self._watch.silent()
        avoided = self._watch.avoided
        for worker in sorted(avoided - self._avoided):
            self._say(
                f"the worker at {worker} gave no sign of life for {told(self._vigil.silent_s)}; "
                "others hear its recordings"
            )
            self._is_model_lost = True  # it may be on that worker alone
        self._avoided = avoided
        usable = self._present - avoided
        for future, load in list(self._under_way.items()):
            if future.key in silent:
                self._drop(future)
                yield from self._hung(load, silent[future.key])
            elif not self._watch.has_begun(future.key) and load.waits_in_vain(avoided, usable):
                self._drop(future)
                self._again.append(load)

    def _drop(self, future: Any) -> None:
        del self._under_way[future]
        with suppress(Exception):  # if the connection was lost just now, it is dropped too
            future.cancel()

    def _hung(self, load: Load, worker: str) -> Iterator[tuple[int, Answer]]:
        """Hear the recordings of a task in a process of its own, or give them up."""
        silent = load.silent + 1
        if silent < _TRIES:
            self._again.append(replace(load, is_alone=True, silent=silent))
            return
        reason = f"the workers that heard it gave no sign of life, the last at {worker}"
        for index, task in load.group:
            yield index, Answer(empty_row(self._spec.labels, task, reason))

    def _count_workers(self) -> None:
        """Fit the number of tasks under way to the workers; say it if there are none."""
        now = time.monotonic()
        if now - self._counted < _COUNT_EVERY_S:
            return
        try:
            with self._interrupts.waiting():
                threads_of = self._client.nthreads()
                if now - self._seen >= self._vigil.silent_s / SIGNS:
                    self._see()
                    self._seen = now
        except Exception as error:  # the connection was lost just now
            self._reconnect(error)
            return
        is_first = self._counted == float("-inf")
        self._counted = now
        self._present = frozenset(threads_of)
        threads = sum(threads_of[worker] for worker in self._present - self._avoided)
        self._limit = min(_MOST, max(_FEWEST, _TASKS_AT_HAND * threads))
        if not threads and (is_first or now - self._reminded >= _REMIND_EVERY_S):
            why = "all of them hang; restart them" if self._present else f"{self._address} has none"
            self._say(f"waiting for workers: {why}")
            self._reminded = now

    def _see(self) -> None:
        """Look when the scheduler last heard from the workers."""
        client = self._client
        workers = client.sync(client.scheduler.identity)["workers"]
        self._watch.see({address: float(one["last_seen"]) for address, one in workers.items()})

    def _reconnect(self, reason: Exception | None) -> None:
        """Connect anew, and do again all that was under way.

        Raises:
            RunFailure: the scheduler does not answer any more.
        """
        self._again += self._under_way.values()
        self._under_way.clear()
        self._done = queue.SimpleQueue()
        self._watch = Watch(self._vigil.silent_s)
        why = f" ({reason})" if reason and str(reason) else ""
        self._say(f"lost the connection to {self._address}{why}; trying again")
        with suppress(Exception):
            self._client.close(timeout=1)
        for wait_s in _WAITS_S:
            try:
                self._connect()
            except RunFailure:
                time.sleep(wait_s)
            else:
                self._counted = float("-inf")
                return
        raise RunFailure(f"the scheduler at {self._address} does not answer any more")


def _quieten() -> None:
    """Silence the logs of Dask in this process: their lines are for developers."""
    for name in logging.root.manager.loggerDict:
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _elsewhere(task: Task) -> Task:
    """Return the task for another machine, in another working folder."""
    if not isinstance(task.path, Path):
        return task
    return replace(task, path=Path(os.path.abspath(task.path)), called=str(task.path))  # noqa: PTH100
