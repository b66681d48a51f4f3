"""The log of a training: a line of JSON for every finished epoch."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from streamer.errors import RunFailure
from train.fitting.run_folder import LOG
from train.whole_file import whole_file


def log_epoch(record: dict[str, Any], folder: Path) -> None:
    """Append the record of an epoch to the log and print it.

    Raises:
        RunFailure: it cannot be written, as on a full disk.
    """
    path = folder / LOG
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
    except OSError as error:
        with suppress(OSError):
            os.truncate(path, size)  # half a line would spoil the log for the run that goes on
        raise RunFailure(f"cannot write {path}: {error.strerror}") from error
    print(json.dumps(record), flush=True)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the records of a training's epochs, from the first on."""
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def record_of(epoch: int, folder: Path) -> dict[str, Any]:
    """Return the record of an epoch, counted from 1."""
    return next(one for one in read_log(folder) if one["epoch"] == epoch)


def keep_epochs(epochs: int, folder: Path) -> None:
    """Drop the records of later epochs, which will be trained again, and of an earlier training.

    A line that a stop or a full disk cut short belongs to a later epoch, too.

    Args:
        epochs: number of the epochs in the checkpoint; 0 if there is none.
        folder: the training's folder.
    """
    path = folder / LOG
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [one for one in lines if 0 < _epoch_of(one) <= epochs]
    if kept != lines:
        with whole_file(path) as file:
            file.write(b"".join(kept))


def _epoch_of(line: bytes) -> int:
    """Return the epoch of a line of the log; 0 for one that was cut short."""
    try:
        return int(json.loads(line)["epoch"]) if line.endswith(b"\n") else 0
    except (ValueError, KeyError, TypeError):
        return 0
