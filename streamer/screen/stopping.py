"""Stopping the process by hand (Ctrl-Z), so that it is known when it goes on."""

from __future__ import annotations

import os
import signal
import sys
import threading

#: A process that nobody could start again is not stopped; then it goes on after so long.
_PATIENCE_S = 1.0


class Stopping:
    """Stops the process with its whole job, between :meth:`open` and :meth:`close`.

    The stop comes some time after it was asked for, when the kernel has woken a thread for it.
    Whoever drew meanwhile would draw over the shell.
    """

    def __init__(self) -> None:
        self._goes_on = threading.Event()

    def open(self) -> None:
        """Notice from now on when the process goes on; of the main thread."""
        if sys.platform != "win32":
            signal.signal(signal.SIGCONT, lambda *_: self._goes_on.set())

    def close(self) -> None:
        """The opposite; of the main thread, and safe to call twice."""
        if sys.platform != "win32":
            signal.signal(signal.SIGCONT, signal.SIG_DFL)

    def stop(self) -> None:
        """Stop, and return once the process goes on; not of the main thread, which notices."""
        if sys.platform != "win32":
            self._goes_on.clear()
            os.killpg(0, signal.SIGTSTP)
            self._goes_on.wait(_PATIENCE_S)
