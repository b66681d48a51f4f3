"""Training: windows as a stream meets them, an estimate and a loss at every timestep."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.network import Network
from streamer.errors import SerLiveError
from train.batches import Batch, Batches, training_order
from train.data import Features
from train.recipe import Recipe
from train.scoring import Scores, fit_temperature, score, verdict_logits, verdicts

#: Norm that gradients are cut to.
LARGEST_GRADIENT = 2.0
#: Share of the steps in which the learning rate rises.
WARM_UP_SHARE = 0.2


@dataclass(frozen=True)
class LabelledFeatures:
    """Features of utterances with what they are.

    Attributes:
        features: of the utterances.
        labels: ``(utterances,)`` index of the label.
        corpora: corpus of each utterance.
    """

    features: Features
    labels: NDArray[np.int64]
    corpora: Sequence[str]

    def of_corpus(self, corpus: str) -> LabelledFeatures:
        rows = [i for i, name in enumerate(self.corpora) if name == corpus]
        return LabelledFeatures(
            Features(
                [self.features.values[i] for i in rows],
                [self.features.speech[i] for i in rows],
                [self.features.starts[i] for i in rows],
            ),
            self.labels[rows],
            [corpus] * len(rows),
        )


class MovingAverage:
    """Exponential moving average of a network's weights; what is evaluated and kept."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self._decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        self.steps += 1
        decay = min(self._decay, self.steps / (self.steps + 10))
        for kept, new in zip(
            self.network.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def loss_of(network: Network, batch: Batch, smoothing: float) -> Tensor:
    """Cross-entropy at every timestep, weighted."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, _ = network(batch.features)
    targets = batch.labels[:, None].expand(-1, logits.shape[1])
    losses = functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), reduction="none", label_smoothing=smoothing
    )
    return (losses.view_as(batch.weights) * batch.weights).sum() / len(batch.labels)


def evaluate_corpora(network: Network, data: LabelledFeatures) -> dict[str, Scores]:
    """Scores on each corpus in the data."""
    result = {}
    for corpus in dict.fromkeys(data.corpora):
        part = data.of_corpus(corpus)
        logits = verdict_logits(network, part.features)
        result[corpus] = score(verdicts(logits, temperature=1.0), part.labels)
    return result


@dataclass(frozen=True)
class Fitted:
    """What a training yields.

    Attributes:
        network: averaged weights of the best epoch on the validation speakers.
        temperature: fitted on the same speakers.
        epoch: the best one, from 1.
        validation_uar: mean over the validation sets, in %.
    """

    network: Network
    temperature: float
    epoch: int
    validation_uar: float


class Training:
    """Everything that changes from step to step, saved after every epoch."""

    def __init__(self, recipe: Recipe, utterances: int) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.network = Network(recipe.network)
        self.average = MovingAverage(self.network, recipe.averaging)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        steps = recipe.epochs * (math.ceil(utterances / recipe.batch) + 1)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, recipe.learning_rate, total_steps=steps, pct_start=WARM_UP_SHARE
        )
        self.epoch = 0
        self.best_uar = -1.0
        self.best_epoch = 0
        self.best_weights = self.average.network.state_dict()

    def train_epoch(self, batches: Batches) -> float:
        """One pass over the utterances; the mean loss."""
        self.epoch += 1
        seed = self.recipe.seed
        torch.manual_seed(seed * 1000 + self.epoch)
        self.network.train()
        losses = []
        for batch in batches.epoch(np.random.default_rng([seed, self.epoch])):
            loss = loss_of(self.network, batch, self.recipe.label_smoothing)
            self._optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
            self._optimiser.step()
            self._schedule.step()
            self.average.update(self.network)
            losses.append(loss.item())
        return float(np.mean(losses))

    def keep_if_best(self, uar: float) -> None:
        """Keep the averaged weights if no epoch did better on the validation speakers."""
        if uar > self.best_uar:
            self.best_uar, self.best_epoch = uar, self.epoch
            self.best_weights = copy.deepcopy(self.average.network.state_dict())

    def save(self, path: Path) -> None:
        """Write beside it and rename: a stop in between leaves the epoch before."""
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "recipe": json.dumps(self.recipe.to_dict()),
                "network": self.network.state_dict(),
                "average": self.average.network.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "schedule": self._schedule.state_dict(),
                "steps": self.average.steps,
                "epoch": self.epoch,
                "best_uar": self.best_uar,
                "best_epoch": self.best_epoch,
                "best_weights": self.best_weights,
            },
            partial,
        )
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on where a stopped training of the same recipe was.

        Raises:
            SerLiveError: the checkpoint is of another recipe.
        """
        saved = torch.load(path, weights_only=True)
        if saved["recipe"] != json.dumps(self.recipe.to_dict()):
            raise SerLiveError(f"{path} is of another recipe: remove it, or name another --run")
        self.network.load_state_dict(saved["network"])
        self.average.network.load_state_dict(saved["average"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self._schedule.load_state_dict(saved["schedule"])
        self.average.steps, self.epoch = saved["steps"], saved["epoch"]
        self.best_uar, self.best_epoch = saved["best_uar"], saved["best_epoch"]
        self.best_weights = saved["best_weights"]


def fit(
    recipe: Recipe,
    copies: Sequence[Features],
    labels: NDArray[np.int64],
    corpora: Sequence[str],
    validation: Sequence[LabelledFeatures],
    folder: Path,
) -> Fitted:
    """Train; log every epoch to ``folder/log.jsonl`` and resume from ``folder/checkpoint.pt``.

    Args:
        recipe: what to do.
        copies: features of the training utterances, one object a copy.
        labels: ``(utterances,)`` of the training utterances.
        corpora: corpus of each.
        validation: sets of validation utterances; the mean UAR over all sets and corpora chooses
            the epoch.
        folder: of this run.

    Raises:
        SerLiveError: the folder holds the checkpoint of another recipe.
    """
    order = training_order(labels, corpora)
    batches = Batches(copies, labels, order, recipe)
    training = Training(recipe, len(order))
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        training.load(checkpoint)
    while training.epoch < recipe.epochs:
        began = time.monotonic()
        loss = training.train_epoch(batches)
        trained_s = time.monotonic() - began
        scores = [evaluate_corpora(training.average.network, data) for data in validation]
        uars = [[round(one.uar, 2) for one in by_corpus.values()] for by_corpus in scores]
        uar = float(np.mean([value for by_corpus in uars for value in by_corpus]))
        training.keep_if_best(uar)
        training.save(checkpoint)
        record = {
            "epoch": training.epoch,
            "loss": round(loss, 4),
            "validation_uar": uars,
            "mean": round(uar, 2),
            "utterances_per_s": round(len(order) / trained_s, 1),
        }
        with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
        print(json.dumps(record), flush=True)
    training.network.load_state_dict(training.best_weights)
    return Fitted(
        training.network,
        _calibrate(training.network, validation),
        training.best_epoch,
        training.best_uar,
    )


def _calibrate(network: Network, validation: Sequence[LabelledFeatures]) -> float:
    """Temperature of the verdicts on the validation speakers."""
    logits = [one for data in validation for one in verdict_logits(network, data.features)]
    return fit_temperature(logits, np.concatenate([data.labels for data in validation]))
