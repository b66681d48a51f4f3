"""The epoch loop: choose the best epoch on the validation speakers, or train without judging."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor

from model.network import Network, SpectrogramNetwork
from streamer.errors import RunFailure
from streamer.outputs import say_on_stderr
from train.fitting.batches import Batch
from train.fitting.recipe import Recipe
from train.fitting.run_folder import CHECKPOINT, LOG
from train.fitting.scoring import fit_temperature, verdicts, votes_of
from train.fitting.teachers import Teachers
from train.fitting.training import Training, without_extra
from train.fitting.validation import ALONE, ValidationSet
from train.fitting.voice_bias import add_voice_bias, fit_voice_bias
from train.measuring.measures import score
from train.place import Place
from train.progress import Lines, progress_bar


class EpochBatches(Protocol):
    """The batches of each epoch."""

    @property
    def examples(self) -> int:
        """Number of examples in an epoch."""

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""

    def epoch(self, seed: Sequence[int]) -> Iterator[Batch]:
        """Yield the batches; the same seed gives the same ones."""

    def close(self) -> None:
        """End any helper process."""


class TrainingData(Protocol):
    """Training data: drawn streams, or utterances as recorded."""

    def batches(self, recipe: Recipe, place: Place) -> EpochBatches:
        """Return the batches for a recipe."""


@dataclass(frozen=True)
class Fitted:
    """The result of a training.

    Attributes:
        network: averaged weights of the best epoch on the validation speakers, on the CPU.
        temperature: fitted on the same speakers.
        voice_bias: ``(labels,)`` what was then added to the voice answer, see
            :mod:`train.fitting.voice_bias`; None for a network without one, and without the
            recordings to fit it on.
        epoch: the best epoch, counted from 1.
        validation_uar: mean over the validation sets and corpora, in %, before the bias.
        probabilities: ``(utterances, labels)`` calibrated verdicts on all validation sets.
        labels: ``(utterances,)`` true labels.
    """

    network: SpectrogramNetwork
    temperature: float
    voice_bias: Tensor | None
    epoch: int
    validation_uar: float
    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]


def fit(
    recipe: Recipe,
    data: TrainingData,
    validation: Sequence[ValidationSet],
    folder: Path,
    place: Place | None = None,
    teachers: Teachers | None = None,
    pretrained: SpectrogramNetwork | None = None,
) -> Fitted:
    """Train; log every epoch to ``folder/log.jsonl`` and resume from ``folder/checkpoint.pt``.

    Args:
        recipe: the recipe to train.
        data: the training data.
        validation: validation sets; the mean UAR over all sets and corpora chooses the epoch.
        folder: this run's folder.
        place: device and processes; only the leader judges and writes.
        teachers: teachers whose answers replace a share of the targets.
        pretrained: network to start from.

    Raises:
        SerLiveError: the folder holds the checkpoint of another recipe.
    """
    judge = partial(_judge, recipe=recipe, validation=validation)
    training = _run_epochs(
        recipe, data, recipe.epochs, folder, place or Place(), teachers, pretrained, judge
    )
    return _finish(training, recipe, validation)


def refit(
    recipe: Recipe,
    data: TrainingData,
    epochs: int,
    folder: Path,
    place: Place | None = None,
    teachers: Teachers | None = None,
    pretrained: SpectrogramNetwork | None = None,
) -> SpectrogramNetwork:
    """Train for a fixed number of epochs without judging them; log and resume as :func:`fit`.

    Args:
        recipe: the recipe to train.
        data: training data; it may include validation speakers, since no epoch is chosen.
        epochs: epochs to train; the schedule stays that of the full recipe.
        folder: this training's folder.
        place: device and processes.
        teachers: teachers whose answers replace a share of the targets.
        pretrained: network to start from.

    Returns:
        the averaged weights of the last epoch, on the CPU.

    Raises:
        SerLiveError: the folder holds the checkpoint of another recipe.
    """
    training = _run_epochs(recipe, data, epochs, folder, place or Place(), teachers, pretrained)
    return without_extra(training.average.network.state_dict(), recipe)


def _run_epochs(
    recipe: Recipe,
    data: TrainingData,
    epochs: int,
    folder: Path,
    place: Place,
    teachers: Teachers | None,
    pretrained: SpectrogramNetwork | None,
    judge: Callable[[Training], dict[str, Any]] | None = None,
) -> Training:
    """Train epoch by epoch, resuming from the checkpoint if there is one.

    Args:
        recipe: the recipe to train.
        data: the training data.
        epochs: epochs to train, unless training goes stale earlier.
        folder: folder of the log and the checkpoint.
        place: device and processes.
        teachers: teachers whose answers replace a share of the targets.
        pretrained: network to start from.
        judge: returns each epoch's log record, with its score under ``mean``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    with closing(data.batches(recipe, place)) as batches, progress_bar(place.leads) as bar:
        training = Training(recipe, batches.steps, place, pretrained)
        if checkpoint.exists():
            training.load(checkpoint)
        task = bar.add_task("train", total=epochs * batches.steps)
        while training.epoch < epochs and not training.is_stale:
            began, worked_s = time.monotonic(), place.worked_s()
            bar.update(
                task,
                description=f"epoch {training.epoch + 1} of {epochs}",
                completed=training.epoch * batches.steps,
            )
            epoch = batches.epoch([recipe.seed, training.epoch + 1])
            lines = Lines(
                batches.steps,
                f"steps of epoch {training.epoch + 1} of {epochs} are done",
                is_told=place.leads and bool(bar.disable),
            )
            loss = training.train_epoch(_watched(epoch, bar, lines), teachers)
            speed = {
                "trained_s": round(place.worked_s() - worked_s, 1),
                "examples_per_s": round(batches.examples / (time.monotonic() - began), 1),
            }
            judged: dict[str, Any] = {}
            if judge is not None:
                judged = place.leaders(judge(training) if place.leads else {})
                training.keep_if_best(judged["mean"])
            if place.leads:
                training.save(checkpoint)
                record = {"epoch": training.epoch, "loss": round(loss, 4)}
                log(record | judged | speed, folder)
    return training


def _watched(batches: Iterable[Batch], bar: Progress, lines: Lines) -> Iterator[Batch]:
    (task,) = bar.task_ids
    for batch in batches:
        yield batch
        bar.advance(task)
        lines.advance()


def log(record: dict[str, Any], folder: Path) -> None:
    """Append a record to the run's log and print it.

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


def _judge(
    training: Training, recipe: Recipe, validation: Sequence[ValidationSet]
) -> dict[str, Any]:
    """Compute UAR for every set and corpus, their mean, and the mean loss of the verdicts.

    The UARs of a set are in the order of the recipe's corpora; None stands for a corpus that the
    set lacks, such as recordings of unknown speakers, which are not put into streams.
    """
    network = without_extra(training.average.network.state_dict(), recipe)
    network.to(training.device)
    uars: list[list[float | None]] = []
    losses = []
    for data in validation:
        probabilities = verdicts(votes_of(network, data.features, data.spans), temperature=1.0)
        losses.append(-np.log(probabilities[np.arange(len(data.labels)), data.labels] + 1e-9))
        uars.append([])
        for corpus in recipe.corpora:
            rows = np.array([one == corpus for one in data.corpora])
            uar = score(probabilities[rows], data.labels[rows]).uar if rows.any() else None
            uars[-1].append(None if uar is None else round(uar, 2))
    return {
        "validation_sets": [data.name for data in validation],
        "validation_loss": round(float(np.concatenate(losses).mean()), 4),
        "validation_uar": uars,
        "mean": round(float(np.nanmean(np.array(uars, float))), 2),
    }


def _finish(training: Training, recipe: Recipe, validation: Sequence[ValidationSet]) -> Fitted:
    """Calibrate the best weights' verdicts on the validation speakers."""
    network = without_extra(training.best_weights, recipe).to(training.device)
    bias = None
    if network.config.knows_voices:
        assert isinstance(network, Network)
        bias = fit_voice_bias(network, next(one for one in validation if one.name == ALONE))
        if bias is None:
            say_on_stderr("train: too few neutral recordings of named speakers for a voice bias")
        else:
            add_voice_bias(network, bias)
    votes = [one for data in validation for one in votes_of(network, data.features, data.spans)]
    labels = np.concatenate([data.labels for data in validation])
    temperature = fit_temperature(votes, labels)
    return Fitted(
        network.cpu(),
        temperature,
        bias,
        training.best_epoch,
        training.best_uar,
        verdicts(votes, temperature),
        labels,
    )
