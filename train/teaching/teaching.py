"""Emotion teachers: Whisper's encoder, fine-tuned on labels, or a head on its frames.

A teacher sees whole recordings in both directions, so it knows more than a network that must answer
at once. The whole encoder gives one answer for a recording; a head, which a CPU trains in a minute,
one for every timestep, see ``frame_teacher.py``. On its own training recordings a teacher only
repeats their labels, so teachers are cross-fitted: speakers are split into folds, and each fold is
answered by the teacher that has not heard it. The validation speakers get the mean of all teachers.
A recipe names the run as ``answers``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.emotion_encoder import EmotionEncoder
from model.whisper import load_whisper
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import LONGEST_NAME, Lineage, Material
from streamer.signal import SAMPLE_RATE, TIMESTEP_SAMPLES
from train.corpora.known import Utterance
from train.corpora.lineage import check_recordings, keep_recordings
from train.features.arrangement import Placement
from train.features.bank import FULL_SCALE, Bank
from train.fitting.answers import keep_answers, keep_timestep_answers, recording_name
from train.fitting.drawer import Drawer, StreamSet
from train.fitting.run_folder import CHECKPOINT, RESULT, WEIGHTS, Folders, RunFolder
from train.measuring.measures import score
from train.place import Place
from train.stages.material import heard_beside, read_parts, training_data, unlabelled_files
from train.teaching.encoder_frames import teacher_frames
from train.teaching.frame_teacher import mean_answers, train_head
from train.teaching.teacher_recipe import LONGEST_S, TeacherRecipe
from train.teaching.teacher_training import (
    LABEL_SMOOTHING,
    balanced_rows,
    heard_rows,
    train_steps,
)

Float32 = NDArray[np.float32]

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
    goes_on = any(_fold_file(folders.run, one).exists() for one in range(recipe.folds))
    files = [*unlabelled_files(drawn, folders), folders.corpora / recipe.encoder]
    recordings = check_recordings(utterances, folders.corpora, folders.run, goes_on, files)
    keep_recordings(recordings, folders.run)
    data = training_data(drawn, utterances, folders)
    assert isinstance(data, StreamSet)
    wanted = range(recipe.folds) if fold is None else [fold]
    missing = [one for one in wanted if not _fold_file(folders.run, one).exists()]
    frames = None
    if missing and recipe.trains == "head":
        paths = [one.path for one in utterances]
        encoder = folders.corpora / recipe.encoder
        frames = teacher_frames(encoder, paths, data.bank, folders.cache, place.device)
    for one in missing:
        if frames is not None:
            answers = train_head(recipe, one, dealt, data, frames, place.device)
        else:
            answers = _teach(recipe, one, dealt, data, folders, place)
        kept = {"recipe": asdict(recipe), "answers": answers}
        folder.keep_json(kept, _fold_file(folders.run, one).name)
    if fold is not None:
        return {}
    labels = np.array([recipe.labels.index(one.label) for one in utterances])
    names = [recording_name(one, folders.corpora) for one in utterances]
    if recipe.trains == "head":
        timesteps = data.bank.timesteps
        by_timestep = _together(recipe, np.repeat(dealt, timesteps), folders.run)
        keep_timestep_answers(folders.run, recipe.labels, names, timesteps, by_timestep)
        answered = mean_answers(by_timestep, data.bank)
    else:
        answered = _together(recipe, dealt, folders.run)
        keep_answers(folders.run, recipe.labels, names, answered)
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


def _teach(
    recipe: TeacherRecipe,
    fold: int,
    dealt: NDArray[np.int64],
    data: StreamSet,
    folders: Folders,
    place: Place,
) -> list[list[float]]:
    """Train on all folds but one and answer for every utterance."""
    torch.manual_seed(recipe.seed * 100 + fold)
    device = place.device
    network = EmotionEncoder(
        load_whisper(folders.corpora / recipe.encoder), len(recipe.labels), recipe.dropout
    ).to(device)
    heads = [one for name, one in network.named_parameters() if not name.startswith("encoder.")]
    optimiser = torch.optim.AdamW(
        [
            {"params": network.encoder.parameters(), "lr": recipe.learning_rate},
            {"params": heads, "lr": recipe.head_learning_rate},
        ],
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    drawer = Drawer(data, recipe.drawn(), device)
    targets = torch.from_numpy(data.targets[:, : len(recipe.labels)]).to(device)
    generator = np.random.default_rng([recipe.seed, fold])
    order = balanced_rows(data, heard_rows(dealt, fold), generator)
    sizes = data.bank.lengths

    def loss_of_batch() -> Tensor:
        rows = [next(order) for _ in range(recipe.batch)]
        placed = [_placed(row, int(sizes[row]), recipe, generator) for row in rows]
        samples = drawer.spoken([[one] for one in placed], generator)
        lengths = torch.tensor([one.samples for one in placed], device=device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = network(samples, lengths)
        return functional.cross_entropy(
            logits.float(), targets[rows], label_smoothing=LABEL_SMOOTHING
        )

    rates = [recipe.learning_rate, recipe.head_learning_rate]
    train_steps(network, optimiser, rates, recipe.steps, fold, loss_of_batch)
    return _answer(network.eval(), data.bank, len(targets), device)


def _placed(
    row: int, samples: int, recipe: TeacherRecipe, generator: np.random.Generator
) -> Placement:
    """Place a recording at the start of an example at a random speed, its end cut off."""
    speed = float(generator.uniform(*recipe.augmentation.speed))
    whole = max(int(samples / speed) - 2, 1)
    longest = recipe.streams.timesteps * TIMESTEP_SAMPLES
    return Placement(row, 0, min(whole, longest), speed, 0.0)


@torch.no_grad()
def _answer(
    network: EmotionEncoder, bank: Bank, count: int, device: torch.device
) -> list[list[float]]:
    """Return each recording's mean answer over two versions: as it is, and denoised."""
    answers = []
    longest = round(LONGEST_S * SAMPLE_RATE)
    starts, sizes = bank.starts, bank.lengths
    for row in range(count):
        first, size = int(starts[row]), min(int(sizes[row]), longest)
        both = np.stack([one[first : first + size] for one in (bank.recorded, bank.denoised)])
        stored = FULL_SCALE * float(bank.gains[row])
        samples = torch.from_numpy(both.astype(np.float32) / np.float32(stored)).to(device)
        samples = functional.pad(samples, (0, max(0, SAMPLE_RATE // 2 - size)))
        lengths = torch.full((2,), size, device=device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = network(samples, lengths)
        answers.append(torch.softmax(logits, dim=-1).mean(dim=0))
    return [[round(value, 5) for value in row] for row in torch.stack(answers).tolist()]
