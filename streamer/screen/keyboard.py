"""Single keys from the terminal, without Enter and without an echo."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import suppress
from typing import Any, Protocol


class Keyboard(Protocol):
    """Reads keys between :meth:`open` and :meth:`close`."""

    def open(self) -> None: ...

    def close(self) -> None:
        """Put the terminal back as it was; safe to call twice, or without :meth:`open`."""
        ...

    def read(self, timeout_s: float) -> str:
        """The keys pressed, waiting for the first at most this long."""
        ...


if sys.platform == "win32":
    import msvcrt

    class _Console:
        """The Windows console."""

        def open(self) -> None:
            pass  # it needs no mode

        def close(self) -> None:
            pass

        def read(self, timeout_s: float) -> str:
            deadline = time.monotonic() + timeout_s
            while not msvcrt.kbhit():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return ""
                time.sleep(min(left_s, 0.02))
            key = msvcrt.getwch()
            if key in "\0\xe0":  # a function key: its second half says which
                msvcrt.getwch()
                return ""
            return key

    def is_in_foreground(_: int) -> bool:
        """Whether what is typed at a console is for this process: it has one of its own."""
        return True

    def keyboard() -> Keyboard:
        """The console's keyboard."""
        return _Console()

else:
    import select
    import termios

    #: Arrow and function keys, and letters pressed with Alt.
    _ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?")

    class _Tty:
        """A POSIX terminal; of standard input, or the controlling one if that is a pipe."""

        def __init__(self) -> None:
            self._fd: int | None = None
            self._before: list[Any] | None = None

        def open(self) -> None:
            try:
                self._fd = os.open(os.ttyname(0) if os.isatty(0) else "/dev/tty", os.O_RDONLY)
                before = termios.tcgetattr(self._fd)
            except (OSError, termios.error):  # nothing to type on: Ctrl-C still ends it
                return
            if not is_in_foreground(self._fd):  # the keys are somebody else's
                return
            mode = [*before[:6], list(before[6])]
            mode[0] &= ~termios.IXON  # Ctrl-S would stop the picture in the middle of a line
            mode[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
            # Suspended at once (the screen does it when it has put the terminal back), or killed by
            # the core-dump key, it would leave the screen as it is.
            for index in (termios.VSUSP, termios.VQUIT):
                mode[6][index] = b"\0"
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            self._before = before
            termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)

        def close(self) -> None:
            if self._fd is None:
                return
            if self._before is not None:
                # Keys that nobody read must not land in the shell.
                with suppress(termios.error):  # the terminal is gone
                    termios.tcsetattr(self._fd, termios.TCSAFLUSH, self._before)
            os.close(self._fd)
            self._fd = self._before = None

        def read(self, timeout_s: float) -> str:
            if self._before is None or self._fd is None:
                time.sleep(timeout_s)
                return ""
            if not select.select([self._fd], [], [], timeout_s)[0]:
                return ""
            keys = os.read(self._fd, 64).decode("ascii", "ignore")
            if not keys:  # hung up
                time.sleep(timeout_s)
            return _ESCAPE_SEQUENCE.sub("", keys)

    def is_in_foreground(descriptor: int) -> bool:
        """Whether what is typed at a terminal is for this process."""
        with suppress(OSError):
            return os.tcgetpgrp(descriptor) == os.getpgrp()
        return True

    def keyboard() -> Keyboard:
        """The terminal's keyboard."""
        return _Tty()
