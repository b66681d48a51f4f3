"""Emotion teachers: Whisper's encoder, fine-tuned on labels, or a head on its frames.

A teacher sees whole recordings in both directions, so it knows more than a network that must answer
at once. The whole encoder (``whole_encoder.py``) gives one answer for a recording; a head
(``frame_teacher.py``), which a CPU trains in a minute, gives one for every timestep. On its own
training recordings a teacher only repeats their labels, so teachers are cross-fitted: speakers are
split into folds, and each fold is answered by the teacher that has not heard it. The validation
speakers get the mean of all teachers. A recipe names the run as ``answers``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.whisper import load_whisper
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import LONGEST_NAME, Lineage, Material
from train.corpora.known import Utterance
from train.corpora.lineage import check_recordings, keep_recordings
from train.fitting.answers import recording_name
from train.fitting.drawer import StreamSet
from train.fitting.run_folder import CHECKPOINT, RESULT, WEIGHTS, Folders, RunFolder
from train.measuring.measures import score
from train.place import Place
from train.stages.material import heard_beside, material_files, read_parts, training_data
from train.teaching.encoder_frames import load_encoder
from train.teaching.frame_teacher import FrameHead
from train.teaching.teacher_recipe import TeacherRecipe
from train.teaching.teacher_training import TeacherKind, TeachingMaterial
from train.teaching.whole_encoder import WholeEncoder

Float32 = NDArray[np.float32]

#: The kinds of teachers by a recipe's ``trains``.
KINDS: dict[str, Callable[[TeachingMaterial], TeacherKind]] = {
    "all": WholeEncoder,
    "head": FrameHead,
}
#: Settings that recipes gained since the first runs, with the value that stands for what was then.
LATER_SETTINGS = {"trains": "all"}


def run_teaching(
    recipe: TeacherRecipe, folders: Folders, place: Place, fold: int | None = None
) -> dict[str, Any]:
    """Train the missing teachers and write their answers.

    Args:
        recipe: the recipe.
        folders: folders to read from and write to.
        place: device; one process does the work.
        fold: train only this fold, from 0, and stop; several may run in parallel.

    Returns:
        result: recipe, lineage, UAR of the answers.

    Raises:
        SerLiveError: recordings or the encoder are missing or cannot be read, there are fewer
            training speakers than folds, or the folder belongs to another recipe.
    """
    drawn = recipe.drawn()
    parts = read_parts(drawn, folders.corpora)
    utterances = parts.refit
    folder = RunFolder(folders.run)
    dealt = deal(utterances, {id(one) for one in parts.train}, recipe.folds)
    if dealt.max() + 1 < recipe.folds:
        raise SerLiveError(
            f"the recipe {recipe.name} has {recipe.folds} folds, and there are only "
            f"{dealt.max() + 1} speakers to train on"
        )
    _check_folder(recipe, folders.run)
    encoder = folders.corpora / recipe.encoder
    check_encoder = load_encoder if recipe.trains == "head" else load_whisper
    check_encoder(encoder)  # raise before anything is decoded
    goes_on = any(_fold_file(folders.run, one).exists() for one in range(recipe.folds))
    files = [*material_files(drawn, folders), encoder]
    recordings = check_recordings(utterances, folders.corpora, folders.run, goes_on, files)
    keep_recordings(recordings, folders.run)
    data = training_data(drawn, utterances, folders)
    assert isinstance(data, StreamSet)
    paths = [one.path for one in utterances]
    material = TeachingMaterial(recipe, data, dealt, paths, encoder, folders.cache, place.device)
    kind = KINDS[recipe.trains](material)
    for one in range(recipe.folds) if fold is None else [fold]:
        if not _fold_file(folders.run, one).exists():
            kept = {"recipe": asdict(recipe), "answers": kind.train(one)}
            folder.keep_json(kept, _fold_file(folders.run, one).name)
    if fold is not None:
        return {}
    labels = np.array([recipe.labels.index(one.label) for one in utterances])
    names = [recording_name(one, folders.corpora) for one in utterances]
    answers = _together(recipe, dealt[kind.recordings], folders.run)
    answered = kind.keep(folders.run, names, answers)
    uars = {
        part: _uars(answered[rows], labels[rows], [utterances[i].corpus for i in rows])
        for part, rows in (
            ("training", np.flatnonzero(dealt >= 0)),
            ("validation", np.flatnonzero(dealt < 0)),
        )
    }
    beside = (
        *heard_beside(drawn, folders.corpora),
        Material(f"Whisper's encoder, {recipe.encoder}"[:LONGEST_NAME], "MIT"),
    )
    result = {
        "recipe": asdict(recipe),
        "lineage": asdict(Lineage(parts.heard, beside)),
        "uar": uars,
        "utterances": len(utterances),
    }
    folder.keep_json(result)
    print(json.dumps(uars), flush=True)
    return result


def deal(utterances: Sequence[Utterance], trained: set[int], folds: int) -> NDArray[np.int64]:
    """Return the fold of every utterance, dealing speakers in turn; -1 if not trained on.

    Args:
        utterances: utterances of training and validation speakers.
        trained: identities of the utterances that are trained on.
        folds: number of folds.
    """
    speakers = {(one.corpus, one.speaker): 0 for one in utterances if id(one) in trained}
    order = {speaker: index for index, speaker in enumerate(sorted(speakers))}
    return np.array(
        [order[one.corpus, one.speaker] % folds if id(one) in trained else -1 for one in utterances]
    )


def _check_folder(recipe: TeacherRecipe, folder: Path) -> None:
    """Refuse a folder whose contents would be lost or mixed up.

    Raises:
        SerLiveError: it holds a fit, or teachers of another recipe.
    """
    if any((folder / name).exists() for name in (CHECKPOINT, WEIGHTS)):
        raise SerLiveError(f"{folder} holds the run of a network: name another --run")
    wanted = json.loads(json.dumps(asdict(recipe)))
    for path in (folder / RESULT, *sorted(folder.glob("fold-*.json"))):
        if not path.is_file():
            continue
        theirs = json.loads(path.read_text(encoding="utf-8"))["recipe"]
        if LATER_SETTINGS | theirs != wanted:
            raise SerLiveError(f"{folder} holds teachers of another recipe: name another --run")


def _fold_file(folder: Path, fold: int) -> Path:
    return folder / f"fold-{fold}.json"


def _uars(answers: Float32, labels: NDArray[np.int64], corpora: Sequence[str]) -> dict[str, float]:
    """Return the UAR in % by corpus; a recording without an answer is an error."""
    named, is_answered = np.array(corpora), answers.sum(axis=1) > 0
    found = {}
    for corpus in dict.fromkeys(corpora):
        rows = named == corpus
        scores = score(answers[rows].astype(float), labels[rows], is_answered[rows])
        found[corpus] = round(scores.uar, 2)
    return found


def _together(recipe: TeacherRecipe, dealt: NDArray[np.int64], folder: Path) -> Float32:
    """Return, for every answered row, what the teachers say that have not heard its speaker.

    Args:
        recipe: the recipe.
        dealt: ``(rows,)`` fold of each recording or timestep, -1 if none has heard it.
        folder: the run's folder.
    """
    said = []
    for fold in range(recipe.folds):
        kept = json.loads(_fold_file(folder, fold).read_text(encoding="utf-8"))
        said.append(np.array(kept["answers"], np.float32))
    every = np.stack(said)
    unheard = every[np.maximum(dealt, 0), np.arange(len(dealt))]
    return np.where(dealt[:, None] < 0, every.mean(axis=0), unheard)
