"""Signs of life of the processes that hear recordings.

How long a recording takes cannot be known before: its length is in no header that can be trusted,
and machines differ. So a process says now and then that it goes on, at a block of audio that was
heard and at bytes that were fetched. One that says nothing for long hangs, as on a mount whose
server is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: Silence of a process that hangs: longer than a read from a slow disk, or a try of the network.
SILENT_S = 600.0
#: Signs of life in that time.
SIGNS = 30
#: What a clock adds at most between two looks.
_MOST_S = 10.0

Alive = Callable[[], None]


def no_sign() -> None:
    """Give no sign of life, as nobody waits for it."""


def now_and_then(tell: Alive, silent_s: float) -> Alive:
    """Return a function that may be called often, and gives a sign of life when it is time.

    Args:
        tell: gives a sign.
        silent_s: silence of a process that hangs.
    """
    due = time.monotonic()

    def alive() -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due:
            due = now + silent_s / SIGNS
            tell()

    return alive


def told(silent_s: float) -> str:
    """Return a silence as text."""
    return f"{silent_s / 60:g} min" if silent_s >= 60 else f"{silent_s:g} s"


class Clock:
    """A clock that stands still while this process does: stopped, asleep, or in a blocked write.

    Otherwise all processes would seem to have been silent meanwhile.

    Attributes:
        now: seconds, as of the last look.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._looked = time.monotonic()

    def look(self) -> float:
        """Return the time."""
        passed_s = time.monotonic() - self._looked
        self._looked += passed_s
        self.now += min(passed_s, _MOST_S)
        return self.now
