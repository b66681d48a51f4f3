"""Processes that do what one core would take too long for."""

from __future__ import annotations

import signal
from concurrent.futures import ProcessPoolExecutor


def worker_pool(workers: int | None = None) -> ProcessPoolExecutor:
    """Worker processes, as many as there are cores if nobody says how many.

    Ctrl-C reaches them too and ends them without a word: the command that started them says it.
    """
    return ProcessPoolExecutor(
        workers, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_DFL)
    )
