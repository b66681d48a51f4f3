"""Worker processes for work that takes too long on one core."""

from __future__ import annotations

import signal
from concurrent.futures import ProcessPoolExecutor


def worker_pool(workers: int | None = None) -> ProcessPoolExecutor:
    """Start worker processes, by default one per core.

    Ctrl-C also ends them, silently; the command that started them reports it.
    """
    return ProcessPoolExecutor(
        workers, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_DFL)
    )
