"""Reads single keys from the terminal, without Enter or echo."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol


class Keyboard(Protocol):
    """Reads keys between :meth:`open` and :meth:`close`."""

    def open(self) -> None: ...

    def close(self) -> None:
        """Restore the terminal; safe to call twice, or without :meth:`open`."""
        ...

    def read(self, timeout_s: float) -> Sequence[str]:
        """Return the keys pressed, waiting at most this long for the first.

        A key is the character it types, or its name if it types none: ``left``, ``right``,
        ``home``, ``end``, ``page up``, ``page down``.
        """
        ...


#: Keys without a character, by the last letter or the number that a terminal sends.
_NAMES = {
    **{"C": "right", "D": "left", "F": "end", "H": "home"},
    **{"1~": "home", "4~": "end", "5~": "page up", "6~": "page down", "7~": "home", "8~": "end"},
}
#: A whole sequence, including Alt and a letter; or the beginning of one.
_SEQUENCE = re.compile(r"\x1b(?:\[([0-?]*)[ -/]*([@-~])|O(.)|[^\x1b\[O])", re.DOTALL)
_BEGINNING = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")


class KeyParser:
    """Parses keys from a terminal's input, however reads divide it."""

    #: The rest of a sequence comes at once, or a little later over a network. If nothing has come
    #: after this time, the user pressed Esc alone.
    PATIENCE_S = 0.1

    def __init__(self) -> None:
        self._begun = ""
        self._begun_s = 0.0

    def feed(self, text: str, now_s: float) -> list[str]:
        """Return the keys now complete; ``text`` is empty if nothing has come yet."""
        if not text:
            if now_s - self._begun_s > self.PATIENCE_S:
                self._begun = ""
            return []
        text, self._begun = self._begun + text, ""
        keys: list[str] = []
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                keys.append(text[at])
                at += 1
            elif whole := _SEQUENCE.match(text, at):
                keys += _named(whole)
                at = whole.end()
            elif _BEGINNING.fullmatch(text, at):
                self._begun, self._begun_s = text[at:], now_s
                break
            else:  # Esc alone before another sequence, or an unknown sequence
                at += 1
        return keys


def _named(sequence: re.Match[str]) -> list[str]:
    """Return the name of a key, nothing for keys without a use here."""
    numbers, letter, after_o = sequence.groups()
    if after_o is not None:
        name = _NAMES.get(after_o)
    elif letter == "~":  # after a number, and perhaps a modifier key's number
        name = _NAMES.get(f"{numbers.split(';')[0]}~")
    else:
        name = _NAMES.get(letter or "")
    return [name] if name else []


if sys.platform == "win32":
    import msvcrt

    _CONSOLE_NAMES = {
        "K": "left",
        "M": "right",
        "G": "home",
        "O": "end",
        "I": "page up",
        "Q": "page down",
    }

    class _Console:
        """The Windows console."""

        def open(self) -> None:
            pass  # it needs no special mode

        def close(self) -> None:
            pass

        def read(self, timeout_s: float) -> Sequence[str]:
            deadline = time.monotonic() + timeout_s
            while not msvcrt.kbhit():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return ()
                time.sleep(min(left_s, 0.02))
            key = msvcrt.getwch()
            if key in "\0\xe0":  # a function key: the second half tells which
                name = _CONSOLE_NAMES.get(msvcrt.getwch())
                return (name,) if name else ()
            return (key,)

    def is_in_foreground(_: int) -> bool:
        """Return whether a console's input is for this process: it has its own console."""
        return True

    def keyboard() -> Keyboard:
        """Return the console's keyboard."""
        return _Console()

else:
    import select
    import termios

    class _Tty:
        """A POSIX terminal: standard input, or the controlling terminal if that is a pipe."""

        def __init__(self) -> None:
            self._fd: int | None = None
            self._before: list[Any] | None = None
            self._parser = KeyParser()

        def open(self) -> None:
            try:
                self._fd = os.open(os.ttyname(0) if os.isatty(0) else "/dev/tty", os.O_RDONLY)
                before = termios.tcgetattr(self._fd)
            except (OSError, termios.error):  # no keyboard: Ctrl-C still ends it
                return
            if not is_in_foreground(self._fd):  # the keys are for another process
                return
            mode = [*before[:6], list(before[6])]
            mode[0] &= ~termios.IXON  # Ctrl-S would stop the picture in mid-line
            mode[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
            # If suspended at once (the screen does it after it restores the terminal), or killed by
            # the core-dump key, the process would leave the screen as it is.
            for index in (termios.VSUSP, termios.VQUIT):
                mode[6][index] = b"\0"
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            self._before = before
            termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)

        def close(self) -> None:
            if self._fd is None:
                return
            if self._before is not None:
                # Unread keys must not reach the shell.
                with suppress(termios.error):  # the terminal is gone
                    termios.tcsetattr(self._fd, termios.TCSAFLUSH, self._before)
            os.close(self._fd)
            self._fd = self._before = None

        def read(self, timeout_s: float) -> Sequence[str]:
            if self._before is None or self._fd is None:
                time.sleep(timeout_s)
                return ()
            if not select.select([self._fd], [], [], timeout_s)[0]:
                return self._parser.feed("", time.monotonic())
            keys = os.read(self._fd, 64).decode("ascii", "ignore")
            if not keys:  # hung up
                time.sleep(timeout_s)
            return self._parser.feed(keys, time.monotonic())

    def is_in_foreground(descriptor: int) -> bool:
        """Return whether a terminal's input is for this process."""
        with suppress(OSError):
            return os.tcgetpgrp(descriptor) == os.getpgrp()
        return True

    def keyboard() -> Keyboard:
        """Return the terminal's keyboard."""
        return _Tty()
