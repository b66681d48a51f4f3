"""Trains a network: the validation speakers choose the epoch, or none is judged."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.network import Network, SpectrogramNetwork
from streamer.outputs import say_on_stderr
from train.fitting.epoch_loop import EpochBatches, run_epochs
from train.fitting.recipe import Recipe
from train.fitting.scoring import fit_temperature, verdicts, votes_of
from train.fitting.teachers import Teachers
from train.fitting.training import Training, without_extra
from train.fitting.validation import ALONE, ValidationSet
from train.fitting.voice_bias import add_voice_bias, fit_voice_bias
from train.measuring.measures import score
from train.place import Place


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
    place = place or Place()

    def judged(training: Training) -> dict[str, Any]:
        found = place.leaders(_judge(training, recipe, validation) if place.leads else {})
        training.keep_if_best(found["mean"])
        return found

    with closing(data.batches(recipe, place)) as batches:
        training = Training(recipe, batches.steps, place, pretrained, teachers)
        run_epochs(training, batches, recipe.epochs, folder, place, judged)
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
    place = place or Place()
    with closing(data.batches(recipe, place)) as batches:
        training = Training(recipe, batches.steps, place, pretrained, teachers)
        run_epochs(training, batches, epochs, folder, place)
    return without_extra(training.average.network.state_dict(), recipe)


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
