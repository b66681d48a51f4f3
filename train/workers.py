"""Worker processes for work that takes too long on one core."""

from __future__ import annotations

import signal
from concurrent.futures import ProcessPoolExecutor


def worker_pool(workers: int | None = None) -> ProcessPoolExecutor:
    """Start worker processes, by default one per core.

    Signals also end them, silently; the command that started them reports it.
    """
    return ProcessPoolExecutor(workers, initializer=end_on_signals)


def end_on_signals() -> None:
    """Let signals end this process silently; the command that started it reports them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
