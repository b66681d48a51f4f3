"""Signals that ask the program to stop, without interrupting a write."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from contextlib import AbstractContextManager
from types import FrameType
from typing import NoReturn

#: Windows has no SIGHUP; there SIGBREAK comes with Ctrl-Break and with a closed window.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


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


class Interrupts:
    """Raises :class:`Interrupted` on SIGINT, SIGTERM, SIGHUP and SIGBREAK, unless shielded.

    A second signal is raised at once, so that a write that its reader blocks can be abandoned.
    """

    def __init__(self) -> None:
        self._shields = 0
        self._firm_shields = 0
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

    def shielded(self, *, is_firm: bool = False) -> AbstractContextManager[None]:
        """Hold back the first signal, or all signals if firm, until the block is done.

        Firm is for work that must be done and cannot block, such as restoring a terminal.
        """
        return _Shield(self, is_firm)

    def raise_shield(self, is_firm: bool) -> None:
        """Begin to hold signals back, see :meth:`shielded`."""
        self._shields += 1
        self._firm_shields += is_firm

    def lower_shield(self, is_firm: bool) -> None:
        """Stop to hold signals back."""
        self._shields -= 1
        self._firm_shields -= is_firm

    @property
    def is_shielded(self) -> bool:
        return self._shields > 0

    def raise_pending(self) -> None:
        """Raise what was held back, even if a shield still stands.

        Raises:
            Interrupted: a signal came behind the shield.
        """
        if self._pending is not None:
            self._raise(self._pending)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._has_quit:
            number = 0
        self._signals_seen += 1
        if self._firm_shields or (self._shields and self._signals_seen == 1):
            self._pending = number
        else:
            self._raise(number)

    def _raise(self, number: int) -> NoReturn:
        self._pending = None
        raise Interrupted(number, self._signals_seen > 1)


class _Shield:
    """A block that signals do not interrupt; a class, as a generator takes four times as long."""

    __slots__ = ("_interrupts", "_is_firm")

    def __init__(self, interrupts: Interrupts, is_firm: bool) -> None:
        self._interrupts = interrupts
        self._is_firm = is_firm

    def __enter__(self) -> None:
        self._interrupts.raise_shield(self._is_firm)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._interrupts.lower_shield(self._is_firm)
        if kind is None and not self._interrupts.is_shielded:
            self._interrupts.raise_pending()
