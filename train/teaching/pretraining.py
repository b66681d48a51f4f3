"""Pre-training: the network imitates a large one at every timestep, before learning emotions.

The teacher gets the clean recording; the student gets it somewhere in a stream with the recipe's
augmentation. A linear layer on the sequence that the attention pools predicts the teacher's frame
and is discarded later. The teacher is the encoder of Whisper, see ``model/whisper.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from model.baselines import build
from model.network import SpectrogramNetwork
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import HeardCorpus, Lineage
from train.corpora.known import Utterance, read_corpus
from train.corpora.lineage import check_recordings, heard_corpora, keep_recordings
from train.corpora.splits import split_of
from train.corpora.voices import read_voices
from train.fitting.batches import Batch
from train.fitting.checkpoint import restore_checkpoint, save_checkpoint
from train.fitting.drawer import StreamSet
from train.fitting.epoch_loop import run_epochs
from train.fitting.recipe import Recipe
from train.fitting.run_folder import Folders, RunFolder
from train.fitting.training import MovingAverage, descend, make_optimiser, make_schedule
from train.place import Place
from train.stages.material import heard_beside, material_files, ordinary_of, training_data
from train.teaching.encoder_frames import TeacherFrames, encoder_frames_of, load_encoder

Float16 = NDArray[np.float16]

#: Weight of the angle relative to the distance.
ANGLE_WEIGHT = 0.5


class Imitator(nn.Module):
    """A network with a layer that predicts the teacher's frames."""

    def __init__(self, network: SpectrogramNetwork, width: int) -> None:
        super().__init__()
        self.network = network
        self.tell = nn.Linear(network.config.hidden, width)

    def forward(self, features: Tensor) -> Tensor:
        """``(batch, timesteps, 4, 201)`` -> ``(batch, timesteps, width)``."""
        told: Tensor = self.tell(self.network.sequence(features))
        return told


def imitation_loss(told: Tensor, frames: Tensor) -> Tensor:
    """Distance and angle between predictions and teacher's frames, both ``(n, width)``."""
    distance = functional.smooth_l1_loss(told, frames)
    angle = 1.0 - functional.cosine_similarity(told, frames, dim=-1).mean()
    return distance + ANGLE_WEIGHT * angle


def run_pretraining(recipe: Recipe, folders: Folders, place: Place) -> dict[str, Any]:
    """Pre-train by a recipe and write weights and result to the run's folder.

    The material is all recordings of the training speakers, voices without a label, and ordinary
    speech.

    Args:
        recipe: the recipe.
        folders: folders to read from and write to.
        place: device; one process does the work.

    Returns:
        the result, in the form of a fit's: recipe, lineage, parameters.

    Raises:
        SerLiveError: recordings or the teacher are missing or cannot be read, speakers are
            unknown, or the folder holds another recipe's run.
    """
    if not recipe.imitates:
        raise SerLiveError(
            f"the recipe {recipe.name} imitates nobody: python -m train fit takes it"
        )
    teacher = folders.corpora / recipe.imitates
    load_encoder(teacher)  # raise before anything is decoded
    voices, heard = voices_of(recipe, folders.corpora)
    lineage = Lineage(heard, heard_beside(recipe, folders.corpora))
    folder = RunFolder(folders.run)
    beside = material_files(recipe, folders)
    recordings = check_recordings(voices, folders.corpora, folder.path, folder.is_begun, beside)
    keep_recordings(recordings, folders.run)
    data = training_data(recipe, voices, folders)
    assert isinstance(data, StreamSet)
    paths = [*(one.path for one in voices), *ordinary_of(recipe, folders)]
    frames = encoder_frames_of(teacher, paths, data.bank, folders.cache, place.device)
    network = pretrain(recipe, data, frames, folders.run, place)
    result = {
        "recipe": recipe.to_dict(),
        "lineage": asdict(lineage),
        "parameters": sum(one.numel() for one in network.parameters()),
        "recordings": len(paths),
    }
    folder.keep_weights(network)
    folder.keep_json(result)
    return result


def voices_of(recipe: Recipe, corpora: Path) -> tuple[list[Utterance], tuple[HeardCorpus, ...]]:
    """Return the training speakers' utterances plus unlabelled voices, and the splits.

    Raises:
        SerLiveError: recordings are missing, or training and test share speakers, so that held-out
            speakers could be imitated.
    """
    found: list[Utterance] = []
    heard: list[HeardCorpus] = []
    for name in recipe.corpora:
        split = split_of(recipe.split, read_corpus(name, corpora))
        if split.shared_speakers:
            raise SerLiveError(f"{name}: {split.warnings[0]}; it cannot be imitated")
        found += split.train
        heard += heard_corpora(split, recipe.split)
    voices = [one for name in recipe.voices for one in read_voices(name, corpora)]
    return [*found, *voices], tuple(heard)


def pretrain(
    recipe: Recipe, data: StreamSet, frames: TeacherFrames, folder: Path, place: Place
) -> SpectrogramNetwork:
    """Train the recipe's network to imitate the teacher; log and resume as a fit does.

    Args:
        recipe: the recipe; its ``epochs`` set the length.
        data: streams drawn from the bank that ``frames`` belong to.
        frames: the teacher's frames.
        folder: folder of the log, the checkpoint and the weights.
        place: device; one process does the work.

    Returns:
        the averaged network, on the CPU.
    """
    torch.manual_seed(recipe.seed)
    imitator = Imitator(build(recipe.network), frames.width).to(place.device)
    values = torch.from_numpy(frames.values)
    if place.fits(values.nbytes):
        values = values.to(place.device)
    training = ImitationTraining(recipe, imitator, values)
    with closing(data.batches(recipe, place)) as batches:
        run_epochs(training, batches, recipe.epochs, folder, place)
    network = training.average.network.network
    assert isinstance(network, SpectrogramNetwork)
    return network.cpu().eval()


class ImitationTraining:
    """An imitator in training, saved after every epoch.

    Attributes:
        average: moving average of its weights.
        epoch: number of finished epochs.
        is_stale: never; all epochs are trained.
    """

    is_stale = False

    def __init__(self, recipe: Recipe, imitator: Imitator, frames: Tensor) -> None:
        """Begin; ``frames`` are the teacher's, ``(timesteps of the bank, width)``."""
        steps = recipe.epochs * recipe.epoch_steps
        self.epoch = 0
        self._imitator = imitator
        self._frames = frames
        self.average = MovingAverage(imitator, recipe.averaging)
        self._optimiser = make_optimiser(recipe, imitator)
        self._schedule = make_schedule(recipe, self._optimiser, steps + 1)
        self._recipe = recipe

    def seed(self, epoch: int) -> list[int]:
        """Return a seed for an epoch's batches that differs from those of emotion training."""
        return [self._recipe.seed, 0, epoch]

    def train_epoch(self, batches: Iterable[Batch]) -> float:
        """Train for one epoch and return the mean loss."""
        self.epoch += 1
        self._imitator.train()
        return float(torch.stack([self.step(batch) for batch in batches]).mean())

    def step(self, batch: Batch) -> Tensor:
        """Train on one batch and return its loss."""
        assert batch.sources is not None
        with torch.autocast(batch.features.device.type, dtype=torch.bfloat16):
            told = self._imitator(batch.features)
        is_heard = batch.sources >= 0
        rows = batch.sources[is_heard].to(self._frames.device)
        wanted = self._frames[rows].to(told.device).float()
        loss = imitation_loss(told[is_heard].float(), wanted)
        descend(loss, self._imitator, self._optimiser, self._schedule)
        self.average.update(self._imitator)
        return loss.detach()

    def _parts(self) -> dict[str, Any]:
        parts = {
            "imitator": self._imitator,
            "average": self.average.network,
            "optimiser": self._optimiser,
        }
        return parts | ({"schedule": self._schedule} if self._schedule else {})

    def save(self, path: Path) -> None:
        """Save its state atomically, see :func:`train.fitting.checkpoint.save_checkpoint`."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"epoch": self.epoch, "steps": self.average.steps}
        save_checkpoint(path, self._recipe, state)

    def load(self, path: Path) -> None:
        """Resume a stopped pre-training of the same recipe.

        Raises:
            SerLiveError: the checkpoint is of another recipe, or damaged.
        """
        restore_checkpoint(path, self._recipe, self._take)

    def _take(self, saved: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self.epoch, self.average.steps = saved["epoch"], saved["steps"]
