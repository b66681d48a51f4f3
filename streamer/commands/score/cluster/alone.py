"""Hears recordings in a process that may die or hang, because workers of the cluster did.

Dask runs its workers as daemons, which may have no children of ``multiprocessing``; so this module
runs as a program, and has them itself.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from streamer.commands.score.cluster.spec import Spec
from streamer.commands.score.finding.remote import folder_of_copies
from streamer.commands.score.hearing.signs import SIGNS, Alive, no_sign
from streamer.commands.score.hearing.work import Answer, Task
from streamer.commands.score.hearing.workers import Workers
from streamer.errors import RunFailure
from streamer.session.interrupts import Interrupts


def hear_alone(
    model: Path, spec: Spec, tasks: Sequence[Task], silent_s: float, alive: Alive = no_sign
) -> list[Answer]:
    """Analyse recordings one by one: one that ends or stops its process gets a row with its error.

    Args:
        model: path of the model file.
        spec: how the model is used.
        tasks: the recordings.
        silent_s: silence of a process that hangs.
        alive: is called as long as it goes on.

    Raises:
        RunFailure: the process cannot start.
    """
    with folder_of_copies(task.path for task in tasks) as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        work: bytes | None = pickle.dumps((model, spec, tasks, folder, silent_s))
        with process:
            while True:
                alive()  # that process ends its own that hang
                try:
                    out, complaints = process.communicate(work, silent_s / SIGNS)
                    break
                except subprocess.TimeoutExpired:
                    work = None
    if process.returncode:
        lines = complaints.decode(errors="replace").strip().splitlines()
        raise RunFailure(f"a process for single recordings failed: {lines[-1] if lines else ''}")
    answers: list[Answer] = pickle.loads(out)
    return answers


def main() -> None:
    """Read the work from standard input, and write the answers to standard output."""
    # The processes would inherit the output, and a library in C may write to it.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    model, spec, tasks, folder, silent_s = pickle.load(sys.stdin.buffer)
    own = (spec.prior, spec.labels, Interrupts(), spec.adaptation, folder)
    with Workers(1, model, *own, silent_s=silent_s) as workers:
        answers = dict(workers.answers(tasks))
    with out:
        out.write(pickle.dumps([answers[index] for index in range(len(tasks))]))


if __name__ == "__main__":
    main()
