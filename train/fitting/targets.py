"""Training targets: the label, softened by the raters' votes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from train.corpora.known import EMOTIONS, Utterance
from train.fitting.answers import has_timestep_answers, read_answers, read_timestep_answers
from train.fitting.recipe import Recipe

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

#: CREMA-D's file of votes, and the first digit of its rows by what raters were given.
VOTES_FILE = "tabulatedVotes.csv"
ROWS = {"voice": "1", "both": "3"}


def one_hot(utterances: Sequence[Utterance], classes: Sequence[str]) -> Float32:
    """Return one-hot labels ``(utterances, classes)``."""
    return np.array(
        [[one.label == name for name in classes] for one in utterances], np.float32
    ).reshape(len(utterances), len(classes))


def targets(utterances: Sequence[Utterance], recipe: Recipe, corpora: Path) -> Float32:
    """Return distributions over the recipe's classes, ``(utterances, classes)``; each sums to 1.

    Teachers' answers for whole recordings, if there are any, replace the share ``answers_weight``;
    for answers at every timestep, see :func:`timestep_targets`. In CREMA-D, votes
    replace the share ``soft_labels`` of the label; the other corpora have no votes. Votes for
    emotions outside the classes are dropped; if none are left, the label stands alone.

    Raises:
        SerLiveError: the recipe wants votes or teachers' answers and they are missing.
    """
    result = one_hot(utterances, recipe.classes)
    if recipe.answers and not has_timestep_answers(recipe.answers):
        said, is_said = read_answers(Path(recipe.answers), utterances, recipe.classes, corpora)
        share = recipe.answers_weight * is_said[:, None].astype(np.float32)
        result += share * (said - result)
    if not recipe.soft_labels:
        return result
    votes = read_votes(corpora / "cremad", recipe.classes, recipe.votes)
    for row, utterance in zip(result, utterances, strict=True):
        if utterance.corpus == "cremad" and utterance.path.stem in votes:
            row += recipe.soft_labels * (votes[utterance.path.stem] - row)
    return result


def timestep_targets(
    utterances: Sequence[Utterance], recipe: Recipe, corpora: Path, timesteps: Int64
) -> Float32 | None:
    """Return the distributions at every timestep of the utterances, if teachers answered there.

    Their answers replace the share ``answers_weight`` of the label.

    Args:
        utterances: utterances of the training.
        recipe: the recipe.
        corpora: folder of the corpora.
        timesteps: ``(utterances,)`` timesteps of each.

    Returns:
        ``(timesteps of all, classes)``, each sums to 1; None without such answers.

    Raises:
        SerLiveError: as :func:`train.fitting.answers.read_timestep_answers`, or the recipe also
            wants votes, which are about whole recordings.
    """
    if not has_timestep_answers(recipe.answers):
        return None
    if recipe.soft_labels:
        raise SerLiveError(f"{recipe.answers} has answers at every timestep: leave soft_labels out")
    result = np.repeat(one_hot(utterances, recipe.classes), timesteps, axis=0)
    said, is_said = read_timestep_answers(
        Path(recipe.answers), utterances, recipe.classes, corpora, timesteps
    )
    result += np.float32(recipe.answers_weight) * is_said[:, None] * (said - result)
    return result


def votes_file(root: Path) -> Path:
    """Return CREMA-D's file of votes.

    Raises:
        SerLiveError: it is missing.
    """
    if found := sorted(root.rglob(VOTES_FILE)):
        return found[0]
    raise SerLiveError(f"soft_labels needs CREMA-D's {VOTES_FILE}, which is not in {root}")


def read_votes(root: Path, classes: Sequence[str], had: str) -> dict[str, Float32]:
    """Read the share of CREMA-D's raters that chose each class, by clip name.

    Args:
        root: folder of the corpus.
        classes: classes to count; their ``(classes,)`` shares sum to 1.
        had: key of :data:`ROWS`.

    Raises:
        SerLiveError: the file of votes is missing.
    """
    file = votes_file(root)
    letters = {EMOTIONS["cremad"][code]: code[0] for code in EMOTIONS["cremad"]}
    columns = [letters.get(name) for name in classes]
    votes = {}
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if not row[""].startswith(ROWS[had]):
                continue
            counts = np.array([float(row[column]) if column else 0.0 for column in columns])
            if counts.sum() > 0:
                votes[row["fileName"]] = (counts / counts.sum()).astype(np.float32)
    return votes
