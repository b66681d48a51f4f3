"""Stops the process by hand (Ctrl-Z) and detects when it goes on."""

from __future__ import annotations

import os
import signal
import sys
import threading

#: A process that nobody could resume does not stop; it goes on after this time.
_PATIENCE_S = 1.0


class Stopping:
    """Stops the process with its whole job, between :meth:`open` and :meth:`close`.

    The stop comes some time after the request, when the kernel has woken a thread for it. Drawing
    in the meantime would draw over the shell.
    """

    def __init__(self) -> None:
        self._goes_on = threading.Event()

    def open(self) -> None:
        """Detect from now on when the process goes on; call it in the main thread."""
        if sys.platform != "win32":
            signal.signal(signal.SIGCONT, lambda *_: self._goes_on.set())

    def close(self) -> None:
        """Undo :meth:`open`; call it in the main thread; safe to call twice."""
        if sys.platform != "win32":
            signal.signal(signal.SIGCONT, signal.SIG_DFL)

    def stop(self) -> None:
        """Stop, and return once the process goes on; not in the main thread, which detects that."""
        if sys.platform != "win32":
            self._goes_on.clear()
            os.killpg(0, signal.SIGTSTP)
            self._goes_on.wait(_PATIENCE_S)
