"""Hears recordings in a process that may die, because they killed workers of the cluster.

Dask runs its workers as daemons, which may have no children of ``multiprocessing``; so this module
runs as a program, and has them itself.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from streamer.commands.score.cluster.spec import Spec
from streamer.commands.score.remote import folder_of_copies
from streamer.commands.score.work import Answer, Task
from streamer.commands.score.workers import Workers
from streamer.errors import RunFailure
from streamer.session.interrupts import Interrupts


def hear_alone(model: Path, spec: Spec, tasks: Sequence[Task]) -> list[Answer]:
    """Analyse recordings one by one: one that kills its process gets a row with its error.

    Raises:
        RunFailure: the process cannot start.
    """
    with folder_of_copies(task.path for task in tasks) as folder:
        result = subprocess.run(
            [sys.executable, "-m", __name__],
            input=pickle.dumps((model, spec, tasks, folder)),
            capture_output=True,
        )
    if result.returncode:
        lines = result.stderr.decode(errors="replace").strip().splitlines()
        raise RunFailure(f"a process for single recordings failed: {lines[-1] if lines else ''}")
    answers: list[Answer] = pickle.loads(result.stdout)
    return answers


def main() -> None:
    """Read the work from standard input, and write the answers to standard output."""
    model, spec, tasks, folder = pickle.load(sys.stdin.buffer)
    workers = Workers(1, model, spec.prior, spec.labels, Interrupts(), spec.adaptation, folder)
    with workers:
        answers = dict(workers.answers(tasks))
    sys.stdout.buffer.write(pickle.dumps([answers[index] for index in range(len(tasks))]))


if __name__ == "__main__":
    main()
