"""The cost of a large archive for ``ser-live score`` on a cluster, without recognition.

    python -m train.endurance.archive --recordings 1000000 --output results/

The archive is simulated: a file system of fsspec that lists recordings of 3 s, and workers that
answer at once. Listing, grouping, Dask and the results file are real. It prints the peak memory of
the client, the most tasks that the scheduler held, and the time per recording.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fsspec import AbstractFileSystem, register_implementation

from streamer.commands.numbers import Whole
from streamer.commands.score.cluster import task as on_worker
from streamer.commands.score.hearing.work import Answer, Task, empty_row
from train.ending import exit_code_of
from train.endurance.command import make_parser

_IN_A_FOLDER = 1_000
_SECONDS = 3.0
_BYTES = 96_044
_LABELS = ("angry", "happy", "neutral", "sad")
_POLL_S = 0.25


class Archive(AbstractFileSystem):  # type: ignore[misc]
    """``archive://NUMBER``: that number of recordings, in folders of a thousand."""

    protocol = "archive"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": self._strip_protocol(path), "type": "directory", "size": 0}

    def ls(self, path: str, **_: Any) -> list[Any]:
        name = self._strip_protocol(path)
        number, _slash, folder = name.partition("/")
        if folder:
            first = int(folder.rpartition("-")[2]) * _IN_A_FOLDER
            last = min(first + _IN_A_FOLDER, int(number))
            return [_entry(f"{name}/utterance-{n:07}.wav", _BYTES) for n in range(first, last)]
        folders = -(-int(number) // _IN_A_FOLDER)
        return [_entry(f"{name}/speaker-{n:05}", None) for n in range(folders)]


def _entry(name: str, size: int | None) -> dict[str, Any]:
    return {"name": name, "size": size or 0, "type": "directory" if size is None else "file"}


def _answer_at_once(tasks: Sequence[Task], *_: object) -> Iterator[tuple[int, Answer]]:
    for index, task in enumerate(tasks):
        shares = dict.fromkeys(("p_angry", "p_happy", "p_neutral", "p_sad"), 0.25)
        row = empty_row(_LABELS, task, None) | shares
        yield index, Answer(row | {"duration_s": _SECONDS, "speech_s": 2.0, "overall": "sad"})


def dask_setup(_worker: object) -> None:
    """Prepare a worker; Dask calls it for a module that is preloaded."""
    register_implementation("archive", Archive)
    vars(on_worker)["hear_all"] = _answer_at_once


def run_client() -> None:
    """Run ``ser-live`` with a file system for the archive."""
    from streamer.commands.program import run

    register_implementation("archive", Archive)
    run()


def _tasks_held(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def measure(
    recordings: int, workers: int, folder: Path, is_again: bool, output: str = "results.csv"
) -> str:
    """Score a simulated archive, and return the figures.

    Args:
        recordings: number of recordings.
        workers: number of worker processes, each with a thread.
        folder: folder for the results and the logs.
        is_again: whether to run the same command again at the end, which finds all rows there.
        output: name of the results in the folder, as ``--output`` takes it.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        with (folder / f"{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], stdout=log, stderr=log, start_new_session=True
            )
        started.append(process)
        return process

    try:
        module = "distributed.cli."
        start(
            *("-m", f"{module}dask_scheduler", "--host", "127.0.0.1", "--port", "0"),
            *("--no-dashboard", "--dashboard-address", ":0"),
        )
        address = _address(folder / "0.log")
        for _ in range(workers):
            start(
                *("-m", f"{module}dask_worker", address, "--nthreads", "1", "--no-dashboard"),
                *("--preload", "train.endurance.archive", "--local-directory", str(folder)),
            )
        results = f"{folder}{os.sep}{output}"
        lines = [_score(recordings, address, results, folder, start)]
        if is_again:
            again = _score(recordings, address, results, folder, start)
            lines.append(f"the same command again: {again}")
        return "\n".join(lines)
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _score(recordings: int, address: str, results: str, folder: Path, start: Any) -> str:
    from distributed import Client

    began = time.perf_counter()
    client = start(
        *("-c", "from train.endurance.archive import run_client; run_client()"),
        *("score", f"archive://{recordings}", "--scheduler", address),
        *("--output", results),
    )
    most_tasks = peak_kb = 0
    with Client(address, set_as_default=False) as watching:  # type: ignore[no-untyped-call]
        while client.poll() is None:
            most_tasks = max(most_tasks, watching.run_on_scheduler(_tasks_held))
            status = Path(f"/proc/{client.pid}/status")
            if status.exists() and (found := re.search(r"VmHWM:\s+(\d+)", status.read_text())):
                peak_kb = int(found[1])
            time.sleep(_POLL_S)
    elapsed_s = time.perf_counter() - began
    rows = 0 if client.returncode else _count(results)
    if client.returncode or rows != recordings:
        logs = "".join(log.read_text()[-2000:] for log in sorted(folder.glob("*.log")))
        raise SystemExit(f"exit code {client.returncode}, {rows} rows\n{logs}")
    return (
        f"{rows} rows in {elapsed_s:.1f} s, {1000 * elapsed_s / rows:.3f} ms a recording; client "
        f"{peak_kb / 1024:.0f} MiB at most; scheduler {most_tasks} tasks at most"
    )


def _count(results: str) -> int:
    """Return the number of rows, as readers find them."""
    if results.endswith(".csv"):
        with Path(results).open() as lines:
            return sum(1 for _ in lines) - 1
    from pyarrow.dataset import dataset

    rows: int = dataset(results, format="parquet").count_rows()
    return rows


def _address(log: Path) -> str:
    for _ in range(600):
        if found := re.search(r"Scheduler at:\s*(tcp://\S+)", log.read_text()):
            return found[1]
        time.sleep(0.1)
    raise SystemExit(log.read_text())


def main() -> int:
    """Run as the command line says, and return the exit code."""
    return exit_code_of(_run)


def _run() -> int:
    parser = make_parser("archive", __doc__)
    parser.add_argument("--recordings", type=Whole(1), default=1_000_000)
    parser.add_argument("--workers", type=Whole(1), default=2)
    parser.add_argument("--output", default="results.csv", help="also .parquet, or a folder: r/")
    parser.add_argument("--again", action="store_true", help="also run the command a second time")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="archive-") as folder:
        print(
            measure(
                options.recordings, options.workers, Path(folder), options.again, options.output
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
