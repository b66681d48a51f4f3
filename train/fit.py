"""Training: windows as a stream meets them, an estimate and a loss at every timestep."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.network import Network
from streamer.frontend import TIMESTEP_S
from train.data import Features
from train.recipe import Recipe
from train.scoring import Scores, fit_temperature, score, verdict_logits, verdicts

#: Estimates count from this much speech on, fully from FULL_SPEECH_S.
FIRST_SPEECH_S = 0.3
FULL_SPEECH_S = 1.5


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


@dataclass(frozen=True, slots=True)
class Batch:
    """Training examples of equal length.

    Attributes:
        features: ``(batch, timesteps, 4, 201)`` float32.
        labels: ``(batch,)``.
        weights: ``(batch, timesteps)`` of the loss at every timestep, sums to 1 an example.
    """

    features: Tensor
    labels: Tensor
    weights: Tensor


def loss_weights(speech: NDArray[np.float32], start: int, threshold: float) -> NDArray[np.float32]:
    """How much each timestep's estimate counts: by the speech heard of its own utterance."""
    is_speech = (speech >= threshold).astype(np.float32)
    is_speech[:start] = 0
    heard_s = np.cumsum(is_speech) * TIMESTEP_S
    weights = np.clip(heard_s / FULL_SPEECH_S, 0, 1) * (heard_s >= FIRST_SPEECH_S)
    if weights.sum() == 0:
        weights = (np.arange(len(speech)) >= start).astype(np.float32)
    return (weights / max(weights.sum(), 1e-6)).astype(np.float32)


class Batches:
    """Batches of one epoch: a random copy of every utterance, grouped by length, cropped to equal.

    A crop takes away the end or, where the window would start there anyway, the beginning; so
    windows end anywhere in an utterance, and streams start anywhere before it.
    """

    def __init__(
        self,
        copies: Sequence[Features],
        labels: NDArray[np.int64],
        order: Sequence[int],
        recipe: Recipe,
    ) -> None:
        self._copies = copies
        self._labels = labels
        self._order = order
        self._recipe = recipe

    def epoch(self, generator: np.random.Generator) -> Iterator[Batch]:
        recipe = self._recipe
        chosen = [(i, self._copies[generator.integers(len(self._copies))]) for i in self._order]
        lengths = np.array([len(features.speech[i]) for i, features in chosen])
        noisy = lengths * generator.uniform(0.9, 1.1, len(lengths))
        ordered = [chosen[i] for i in np.argsort(noisy) if lengths[i] >= 12]
        groups = [ordered[i : i + recipe.batch] for i in range(0, len(ordered), recipe.batch)]
        for index in generator.permutation(len(groups)):
            yield self._batch(groups[index], generator)

    def _batch(
        self, group: Sequence[tuple[int, Features]], generator: np.random.Generator
    ) -> Batch:
        recipe = self._recipe
        length = min(min(len(features.speech[i]) for i, features in group), 150)
        values, weights = [], []
        for index, features in group:
            spare = len(features.speech[index]) - length
            first = int(generator.integers(0, spare + 1)) if generator.random() < 0.5 else 0
            first = min(first, features.starts[index])
            rows = slice(first, first + length)
            example = features.values[index][rows].astype(np.float32)
            self._mask(example, generator)
            values.append(example)
            weights.append(
                loss_weights(
                    features.speech[index][rows],
                    features.starts[index] - first,
                    recipe.normaliser.speech_threshold,
                )
            )
        labels = torch.from_numpy(self._labels[[index for index, _ in group]])
        return Batch(
            torch.from_numpy(np.stack(values)), labels, torch.from_numpy(np.stack(weights))
        )

    def _mask(self, example: NDArray[np.float32], generator: np.random.Generator) -> None:
        """SpecAugment in place: zero, the floor, over bands and stretches of time."""
        for _ in range(2):
            width = int(generator.integers(0, self._recipe.masked_bins + 1))
            first = int(generator.integers(0, example.shape[2] - width + 1))
            example[:, :, first : first + width] = 0
            span = int(generator.integers(0, self._recipe.masked_timesteps + 1))
            start = int(generator.integers(0, max(1, len(example) - span + 1)))
            example[start : start + span] = 0


def training_order(labels: NDArray[np.int64], corpora: Sequence[str]) -> list[int]:
    """Utterances of an epoch; a corpus of a fifth the size comes three times as often."""
    counts = {name: list(corpora).count(name) for name in set(corpora)}
    most = max(counts.values())
    order = []
    for index in range(len(labels)):
        repeats = round((most / counts[corpora[index]]) ** 0.75)
        order.extend([index] * max(1, repeats))
    return order


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


def evaluate_corpora(
    network: Network, data: LabelledFeatures, threshold: float, temperature: float = 1.0
) -> dict[str, Scores]:
    """Scores on each corpus in the data."""
    result = {}
    for corpus in dict.fromkeys(data.corpora):
        part = data.of_corpus(corpus)
        logits = verdict_logits(network, part.features, threshold)
        result[corpus] = score(verdicts(logits, temperature), part.labels)
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


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write beside it and rename: a stop in between leaves the epoch before."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


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
    """
    torch.manual_seed(recipe.seed)
    network = Network(recipe.network)
    average = MovingAverage(network, recipe.averaging)
    order = training_order(labels, corpora)
    batches = Batches(copies, labels, order, recipe)
    optimiser = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    steps = recipe.epochs * (math.ceil(len(order) / recipe.batch) + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.2
    )
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    parts = {
        "network": network,
        "average": average.network,
        "optimiser": optimiser,
        "schedule": schedule,
    }
    best: dict[str, Any] = {"uar": -1.0, "epoch": 0, "weights": average.network.state_dict()}
    first = 1
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        average.steps, best, first = saved["steps"], saved["best"], saved["epoch"] + 1
    for epoch in range(first, recipe.epochs + 1):
        began = time.monotonic()
        torch.manual_seed(recipe.seed * 1000 + epoch)
        network.train()
        losses = []
        for batch in batches.epoch(np.random.default_rng([recipe.seed, epoch])):
            loss = loss_of(network, batch, recipe.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
            optimiser.step()
            schedule.step()
            average.update(network)
            losses.append(loss.item())
        trained_s = time.monotonic() - began
        scores = [
            evaluate_corpora(average.network, data, recipe.normaliser.speech_threshold)
            for data in validation
        ]
        uars = [[round(s.uar, 2) for s in one.values()] for one in scores]
        uar = float(np.mean([value for one in uars for value in one]))
        if uar > best["uar"]:
            weights = copy.deepcopy(average.network.state_dict())
            best = {"uar": uar, "epoch": epoch, "weights": weights}
        record = {
            "epoch": epoch,
            "loss": round(float(np.mean(losses)), 4),
            "validation_uar": uars,
            "mean": round(uar, 2),
            "utterances_per_s": round(len(order) / trained_s, 1),
        }
        with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
        print(json.dumps(record), flush=True)
        state = {name: part.state_dict() for name, part in parts.items()}
        save_checkpoint(state | {"steps": average.steps, "best": best, "epoch": epoch}, checkpoint)
    network.load_state_dict(best["weights"])
    network.eval()
    logits, truth = [], []
    for data in validation:
        logits += verdict_logits(network, data.features, recipe.normaliser.speech_threshold)
        truth.append(data.labels)
    temperature = fit_temperature(logits, np.concatenate(truth))
    return Fitted(network, temperature, best["epoch"], best["uar"])
