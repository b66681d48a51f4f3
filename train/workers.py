"""Worker processes for work that takes too long on one core."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from threading import Thread, current_thread, main_thread
from types import FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar

from train.ending import STOPS

P = ParamSpec("P")
T = TypeVar("T")

#: How often a worker looks whether its parent is alive, in seconds.
CHECK_S = 1.0


class WorkerPool(ProcessPoolExecutor):
    """Worker processes that leave the signals to the command that started them.

    A worker that a signal ends in the middle of a result leaves half of it in the pipe, and the
    pool waits for the rest for ever. So workers ignore signals, finish the job under way and end
    with the pool; they end at once if the parent process is gone.

    After an error in a ``with`` block, or ``shutdown(cancel_futures=True)``, jobs that have not
    begun are left out.

    Args:
        workers: number of processes; None starts one per core.
        context: how processes are started; None uses the platform's default.
        initializer: called in each worker before its first job.
        initargs: its arguments.
    """

    def __init__(
        self,
        workers: int | None = None,
        context: BaseContext | None = None,
        initializer: Callable[..., None] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        context = context or multiprocessing.get_context()
        self._is_stopped = context.RawValue(ctypes.c_bool, False)
        given = (self._is_stopped, initializer, initargs)
        super().__init__(workers, context, initializer=_begin, initargs=given)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a worker call ``fn``; the first calls also start the workers.

        Raises:
            KeyboardInterrupt: a signal came meanwhile; it is raised once the worker has started.
        """
        with signals_held():
            return super().submit(_unless_stopped, fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, as :meth:`concurrent.futures.Executor.shutdown` does."""
        if cancel_futures:  # the pool itself cancels no job that is in the pipe to the workers
            self._is_stopped.value = True
        super().shutdown(wait, cancel_futures=cancel_futures)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self.shutdown(cancel_futures=kind is not None)
        return None


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back during the block, and handle them after it.

    A process that is started in the block begins with them held. Without this, it would report a
    Ctrl-C before it ignores signals, or start arguments that the parent did not write to the end.
    Outside the main thread, which alone handles signals, this does nothing.
    """
    if current_thread() is not main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    # None: the handler of a library, which Python cannot restore.
    handlers = {one: found for one in STOPS if (found := signal.getsignal(one)) is not None}
    for stop in handlers:
        signal.signal(stop, note)
    # The new process inherits the mask. Other threads of this one still get the signals.
    has_mask = sys.platform != "win32"
    if has_mask:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    try:
        yield
    finally:
        if has_mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for stop, handler in handlers.items():
            signal.signal(stop, handler)
        for number in came:
            signal.raise_signal(number)


_is_stopped: ctypes.c_bool | None = None


def _begin(
    is_stopped: ctypes.c_bool, initializer: Callable[..., None] | None, initargs: tuple[Any, ...]
) -> None:
    """Set up a worker."""
    global _is_stopped
    for stop in STOPS:
        signal.signal(stop, signal.SIG_IGN)
    Thread(target=_follow_parent, daemon=True).start()
    _is_stopped = is_stopped
    if initializer is not None:
        initializer(*initargs)


def _follow_parent() -> None:
    """Exit when the process that started this one ends, however it ends.

    A forked worker inherits the other end of the pipe that tells of it, and so looks for itself.
    """
    parent, parent_id = multiprocessing.parent_process(), os.getppid()
    while parent is not None and parent.is_alive() and os.getppid() == parent_id:
        parent.join(CHECK_S)
    os._exit(1)


def _unless_stopped(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a worker, unless the pool has been stopped."""
    if _is_stopped is not None and _is_stopped.value:
        raise CancelledError
    return fn(*args, **kwargs)
