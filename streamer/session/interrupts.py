"""Signals that ask the program to stop: noted when they come, raised where somebody looks."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType
from typing import TypeVar

#: Windows has no SIGHUP; there SIGBREAK comes with Ctrl-Break and with a closed window.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")

T = TypeVar("T")


def ending_signals() -> list[signal.Signals]:
    """Return the signals that ask the program to stop, those that this system has."""
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class Interrupted(BaseException):
    """A signal asked the program to stop; ``number`` is the signal's, or 0 if the user quit.

    ``is_impatient`` means it was not the first signal: do not wait for a write to finish.
    Like KeyboardInterrupt, this is not an Exception, so no handler takes it for an error.
    """

    def __init__(self, number: int, is_impatient: bool = False) -> None:
        super().__init__(number)
        self.number = number
        self.is_impatient = is_impatient

    @property
    def is_hangup(self) -> bool:
        """Whether the terminal was closed."""
        return self.number == getattr(signal, "SIGHUP", None)


class Interrupts:
    """Notes SIGINT, SIGTERM, SIGHUP and SIGBREAK, and raises :class:`Interrupted`.

    The first signal is raised by :meth:`check` and :meth:`each`, which loops use, and inside of
    :meth:`waiting`; nowhere else, so that what is between two looks is done as a whole. A second
    signal is raised wherever it comes, so that a write that its reader blocks can be abandoned;
    only :meth:`firm` blocks are done first.
    """

    def __init__(self) -> None:
        self._waiting = _Block(self.check, _nothing)
        self._firm = _Block(_nothing, self._check_second)
        self._has_quit = False
        self._main = threading.get_ident()
        self._pending: int | None = None
        self._signals_seen = 0

    def install(self) -> None:
        """Handle the signals from now on; any that the caller ignores (nohup) stay ignored."""
        for number in ending_signals():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def ignore(self) -> None:
        """Ignore the signals: the work is done, and nothing may disturb the exit."""
        for number in ending_signals():
            signal.signal(number, signal.SIG_IGN)

    def quit(self) -> None:
        """End the session as a signal would, but from another thread and with exit code 0."""
        if self._has_quit:
            return  # once is enough, however often the key is pressed
        self._has_quit = True
        if sys.platform == "win32":
            _thread.interrupt_main()
        else:  # a real signal, which ends a wait too
            signal.pthread_kill(self._main, signal.SIGINT)

    def check(self) -> None:
        """Look for a signal; each is raised once.

        Raises:
            Interrupted: one came.
        """
        if self._pending is not None:
            number, self._pending = self._pending, None
            raise Interrupted(number, self._signals_seen > 1)

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, and look for a signal before each is asked for.

        Raises:
            Interrupted: one came.
        """
        coming = iter(items)
        while True:
            self.check()
            try:
                item = next(coming)
            except StopIteration:
                return
            yield item

    def waiting(self) -> AbstractContextManager[None]:
        """Break a block off when a signal comes, or before it begins if one came earlier.

        It is for waits: for audio, a worker, the network. Python would resume them after a signal.
        Whatever else the block does may be left half done.
        """
        return self._waiting

    def firm(self) -> AbstractContextManager[None]:
        """Hold back a second signal too, until the block is done.

        It is for work that must be done and cannot block, such as restoring a terminal.
        """
        return self._firm

    @contextmanager
    def firmly_closed(self, context: AbstractContextManager[T]) -> Iterator[T]:
        """Enter a context whose end is :meth:`firm`, such as one that deletes what it made."""
        with ExitStack() as stack:
            value = stack.enter_context(context)
            try:
                yield value
            finally:
                with self.firm():
                    stack.close()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._signals_seen += 1
        self._pending = 0 if self._has_quit else number
        if not self._firm.depth and (self._waiting.depth or self._signals_seen > 1):
            self.check()

    def _check_second(self) -> None:
        if self._signals_seen > 1 and not self._firm.depth:
            self.check()


class _Block:
    """A block of code, which may stand in itself; a class, as a generator takes four times as long.

    Attributes:
        depth: how often it is entered now.
    """

    __slots__ = ("_look_after", "_look_before", "depth")

    def __init__(self, look_before: Callable[[], None], look_after: Callable[[], None]) -> None:
        self._look_before, self._look_after = look_before, look_after
        self.depth = 0

    def __enter__(self) -> None:
        self.depth += 1  # before the look: a signal between the two is not missed
        try:
            self._look_before()
        except Interrupted:
            self.depth -= 1
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.depth -= 1
        if kind is None:
            self._look_after()


def _nothing() -> None:
    """Look for nothing."""
