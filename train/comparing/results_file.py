"""Finished trials of a comparison, and their JSON lines file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RunFailure, SerLiveError
from streamer.outputs import say_on_stderr

Int64 = NDArray[np.int64]

#: Seed of a deterministic training; its result is compared with those of every seed.
UNSEEDED = 0


@dataclass(frozen=True)
class Finished:
    """A finished trial.

    Attributes:
        key: name of the trial.
        protocol: name of the protocol.
        labels: labels of the classes.
        split: name of the split of the speakers.
        system: name in ``train/comparing/trials.py``.
        seed: seed of the training, or :data:`UNSEEDED`.
        recipe: digest of the settings that all trials of a comparison share.
        confusions: counts ``(labels, labels + 1)`` by test speaker; the last column: no verdict.
        running: the same in running streams with pauses of
            :data:`train.measuring.sessions.LONG_PAUSE_S`, for recipes that train on streams.
        epoch: the epoch that was kept. ``running`` and the fields from here on are None if they do
            not apply.
        parameters: number of parameters of the network.
        train_s: time in training steps, see :meth:`train.place.Place.worked_s`.
        multiply_adds: multiply-adds of one estimate on a stream.
        look_ahead_ms: the network's look-ahead; also None if it needs the whole utterance.
        place: device it was trained on.
    """

    key: str
    protocol: str
    labels: tuple[str, ...]
    split: str
    system: str
    seed: int
    recipe: str
    confusions: Mapping[str, Int64]
    running: Mapping[str, Int64] | None = None
    epoch: int | None = None
    parameters: int | None = None
    train_s: float | None = None
    multiply_adds: int | None = None
    look_ahead_ms: float | None = None
    place: str | None = None

    @property
    def confusion(self) -> Int64:
        """The confusion matrix over all speakers."""
        return np.asarray(np.sum(list(self.confusions.values()), axis=0))

    def to_json(self) -> str:
        counts = {"confusions": _to_lists(self.confusions)}
        if self.running is not None:
            counts["running"] = _to_lists(self.running)
        return json.dumps(asdict(self) | counts)

    @classmethod
    def from_json(cls, line: str) -> Self:
        values: dict[str, Any] = json.loads(line)
        values["labels"] = tuple(values["labels"])
        values["confusions"] = _to_arrays(values["confusions"])
        if values.get("running") is not None:
            values["running"] = _to_arrays(values["running"])
        return cls(**values)


def _to_lists(counts: Mapping[str, Int64]) -> dict[str, Any]:
    return {speaker: one.tolist() for speaker, one in counts.items()}


def _to_arrays(counts: Mapping[str, Any]) -> dict[str, Int64]:
    return {speaker: np.array(one, np.int64) for speaker, one in counts.items()}


def confusions_by_speaker(
    answered: Int64, labels: Int64, speakers: Sequence[str], classes: int
) -> dict[str, Int64]:
    """Count confusions ``(classes, classes + 1)`` by speaker.

    Args:
        answered: ``(recordings,)`` from :func:`train.measuring.measures.answers`.
        labels: ``(recordings,)`` indices of the true labels.
        speakers: speaker of each recording.
        classes: number of labels.
    """
    counts = {one: np.zeros((classes, classes + 1), np.int64) for one in sorted(set(speakers))}
    for speaker, label, answer in zip(speakers, labels, answered, strict=True):
        counts[speaker][label, answer] += 1
    return counts


def read_results(path: Path) -> list[Finished]:
    """Read the finished trials of a results file; none if there is no file.

    An unterminated last line, left by a killed process, is skipped.

    Raises:
        SerLiveError: the file cannot be read, or a line is not a finished trial.
    """
    try:
        whole, _, unfinished = path.read_bytes().rpartition(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SerLiveError(f"cannot read {path}: {error.strerror}") from error
    if unfinished:
        say_on_stderr(f"train: {path}: its last line is unfinished and passed over")
    finished = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            finished.append(Finished.from_json(line.decode()))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SerLiveError(f"{path}, line {number}: no finished trial ({error})") from error
    return finished


def make_appendable(path: Path) -> None:
    """Create the results file if it is missing, and cut off an unterminated last line.

    Raises:
        SerLiveError: it cannot be written; this fails before hours of training.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.seek(0)
            text = file.read()
            unfinished = text.rpartition(b"\n")[2]
            if unfinished:
                file.truncate(len(text) - len(unfinished))
    except OSError as error:
        raise SerLiveError(f"cannot write {path}: {error.strerror}") from error
    if unfinished:
        say_on_stderr(f"train: {path}: its last line was unfinished and is cut off")


def append_result(path: Path, finished: Finished) -> None:
    """Append a line to a file prepared by :func:`make_appendable`.

    Raises:
        RunFailure: the disk is full.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(finished.to_json() + "\n")
    except OSError as error:
        raise RunFailure(f"cannot write {path}: {error.strerror}") from error
