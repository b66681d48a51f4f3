"""The stored answers of emotion teachers, see ``train/teaching/teaching.py``."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from train.corpora.known import Utterance
from train.corpora.lineage import place_of
from train.whole_file import whole_file

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

#: File, in a teaching run's folder, with the teachers' answer for every recording.
ANSWERS = "answers.json"
#: Of answers at every timestep.
TIMESTEP_ANSWERS = "timestep-answers.npz"
#: What NumPy raises, beside its own errors, on an archive with broken bytes.
DAMAGED_ARCHIVE = (zipfile.BadZipFile, zlib.error)


def keep_answers(
    folder: Path, labels: Sequence[str], names: Sequence[str], answers: Float32
) -> None:
    """Write the teachers' answers atomically, one line per recording.

    Args:
        folder: the teaching run's folder.
        labels: the columns of ``answers``, in order.
        names: names of the recordings, from :func:`recording_name`.
        answers: ``(recordings, labels)``, each row sums to 1.
    """
    rows = zip(names, answers.astype(float).round(4).tolist(), strict=True)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows)
    head = json.dumps(list(labels))
    with whole_file(folder / ANSWERS) as file:
        file.write(f'{{"labels": {head},\n"answers": {{\n{lines}\n}}}}\n'.encode())


def recording_name(utterance: Utterance, corpora: Path) -> str:
    """Return the corpus and the path within it, without the file extension."""
    return str(PurePosixPath(place_of(utterance, corpora)).with_suffix(""))


def read_answers(
    folder: Path, utterances: Sequence[Utterance], labels: Sequence[str], corpora: Path
) -> tuple[Float32, NDArray[np.bool_]]:
    """Read the teachers' answers for utterances.

    Args:
        folder: folder of a finished teaching run.
        utterances: the utterances to look up.
        labels: labels to return; the teachers' other labels are dropped.
        corpora: folder of the corpora.

    Returns:
        distributions ``(utterances, labels)``, and a mask ``(utterances,)`` of those answered.

    Raises:
        SerLiveError: there are no answers, none for these utterances, or the teachers know none
            of the labels.
    """
    with _reading(folder / ANSWERS) as file:
        found = json.loads(file.read_text(encoding="utf-8"))
        theirs, answers = found["labels"], found["answers"]
        if any(len(row) != len(theirs) for row in answers.values()):
            raise ValueError("its parts do not match")
    columns = _columns(folder, theirs, labels)
    result = np.zeros((len(utterances), len(labels)), np.float32)
    for row, utterance in enumerate(utterances):
        said = answers.get(recording_name(utterance, corpora))
        if said is not None and utterance.label in labels:
            result[row] = [0.0 if one is None else said[one] for one in columns]
    return _shares(folder, result)


def keep_timestep_answers(
    folder: Path, labels: Sequence[str], names: Sequence[str], timesteps: Int64, answers: Float32
) -> None:
    """Write the teachers' answers at every timestep atomically.

    Args:
        folder: the teaching run's folder.
        labels: the columns of ``answers``, in order.
        names: names of the recordings, from :func:`recording_name`.
        timesteps: ``(recordings,)`` timesteps of each.
        answers: ``(timesteps of all, labels)``, each row sums to 1, or to 0 without an answer.
    """
    with whole_file(folder / TIMESTEP_ANSWERS) as file:
        np.savez_compressed(
            file,
            labels=np.array(labels),
            names=np.array(names),
            timesteps=timesteps,
            answers=answers.astype(np.float16),
        )


def answer_files(folder: Path) -> list[Path]:
    """Return the files of the answers in a teaching run's folder."""
    return [one for one in (folder / ANSWERS, folder / TIMESTEP_ANSWERS) if one.is_file()]


def has_timestep_answers(run: str) -> bool:
    """Return whether a recipe's ``answers`` are of teachers that answered at every timestep."""
    return bool(run) and (Path(run) / TIMESTEP_ANSWERS).is_file()


def read_timestep_answers(
    folder: Path,
    utterances: Sequence[Utterance],
    labels: Sequence[str],
    corpora: Path,
    timesteps: Int64,
) -> tuple[Float32, NDArray[np.bool_]]:
    """Read the teachers' answers at every timestep of utterances.

    Args:
        folder: folder of a finished teaching run for which :func:`has_timestep_answers` is true.
        utterances: the utterances to look up.
        labels: labels to return; the teachers' other labels are dropped.
        corpora: folder of the corpora.
        timesteps: ``(utterances,)`` timesteps of each.

    Returns:
        distributions ``(timesteps of all, labels)``, and a mask ``(timesteps of all,)`` of those
        answered.

    Raises:
        SerLiveError: the answers are damaged or of recordings of other lengths, there are none for
            these utterances, or the teachers know none of the labels.
    """
    with (
        _reading(folder / TIMESTEP_ANSWERS) as file,
        np.load(file, allow_pickle=False) as found,
    ):
        theirs, sizes = found["labels"].tolist(), found["timesteps"]
        answers = found["answers"].astype(np.float32)
        if answers.shape != (sizes.sum(), len(theirs)):
            raise ValueError("its parts do not match")
        by_name = np.split(answers, np.cumsum(sizes)[:-1])
        known = dict(zip(found["names"].tolist(), by_name, strict=True))
    columns = _columns(folder, theirs, labels)
    result = np.zeros((int(timesteps.sum()), len(labels)), np.float32)
    at = 0
    for utterance, length in zip(utterances, timesteps.tolist(), strict=True):
        name = recording_name(utterance, corpora)
        if name in known and utterance.label in labels:
            said = known[name]
            if len(said) != length:
                raise SerLiveError(
                    f"{name} has {length} timesteps here, and had {len(said)} when the teachers of "
                    f"{folder} heard it: ask them anew, python -m train teach RECIPE --run FOLDER"
                )
            for column, their in enumerate(columns):
                if their is not None:
                    result[at : at + length, column] = said[:, their]
        at += length
    return _shares(folder, result)


@contextmanager
def _reading(file: Path) -> Iterator[Path]:
    """Name a file of answers that is missing or damaged.

    Raises:
        SerLiveError: it is.
    """
    try:
        yield file
    except FileNotFoundError as error:
        raise SerLiveError(
            f"no answers of teachers in {file.parent}: python -m train teach RECIPE makes them"
        ) from error
    except (
        *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError),
        *DAMAGED_ARCHIVE,
    ) as error:
        raise SerLiveError(f"{file} is damaged: python -m train teach RECIPE makes it") from error


def _columns(folder: Path, theirs: Sequence[str], labels: Sequence[str]) -> list[int | None]:
    """Return the teachers' column of each label.

    Raises:
        SerLiveError: they know none of the labels.
    """
    columns = [theirs.index(one) if one in theirs else None for one in labels]
    if not any(one is not None for one in columns):
        raise SerLiveError(
            f"the teachers of {folder} know {', '.join(theirs)}, and none of {', '.join(labels)}"
        )
    return columns


def _shares(folder: Path, said: Float32) -> tuple[Float32, NDArray[np.bool_]]:
    """Scale each answer to a sum of 1, and tell which rows hold one.

    Raises:
        SerLiveError: none does.
    """
    total = said.sum(axis=1)
    if len(said) and not total.any():
        raise SerLiveError(f"the teachers of {folder} were asked about none of these recordings")
    return said / np.maximum(total, 1e-9)[:, None], total > 0
