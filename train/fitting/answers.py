"""The stored answers of emotion teachers, see ``train/teaching/teaching.py``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from train.corpora.known import Utterance
from train.corpora.lineage import place_of
from train.whole_file import whole_file

Float32 = NDArray[np.float32]

#: File, in a teaching run's folder, with the teachers' answer for every recording.
ANSWERS = "answers.json"


def keep_answers(
    folder: Path, labels: Sequence[str], names: Sequence[str], answers: Float32
) -> None:
    """Write the teachers' answers atomically, one line per recording.

    Args:
        folder: the teaching run's folder.
        labels: the columns of ``answers``, in order.
        names: names of the recordings, from :func:`called`.
        answers: ``(recordings, labels)``, each row sums to 1.
    """
    rows = zip(names, answers.astype(float).round(4).tolist(), strict=True)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows)
    head = json.dumps(list(labels))
    with whole_file(folder / ANSWERS) as file:
        file.write(f'{{"labels": {head},\n"answers": {{\n{lines}\n}}}}\n'.encode())


def called(utterance: Utterance, corpora: Path) -> str:
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
    try:
        found = json.loads((folder / ANSWERS).read_text(encoding="utf-8"))
        theirs, answers = found["labels"], found["answers"]
    except (OSError, ValueError, KeyError) as error:
        raise SerLiveError(
            f"no answers of teachers in {folder}: python -m train teach RECIPE makes them"
        ) from error
    columns = [theirs.index(one) if one in theirs else None for one in labels]
    if not any(one is not None for one in columns):
        raise SerLiveError(f"the teachers of {folder} know {', '.join(theirs)}")
    result = np.zeros((len(utterances), len(labels)), np.float32)
    for row, utterance in enumerate(utterances):
        said = answers.get(called(utterance, corpora))
        if said is not None and utterance.label in labels:
            result[row] = [0.0 if one is None else said[one] for one in columns]
    total = result.sum(axis=1)
    if len(utterances) and not total.any():
        raise SerLiveError(f"the teachers of {folder} were asked about none of these recordings")
    return result / np.maximum(total, 1e-9)[:, None], total > 0
