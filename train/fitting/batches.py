"""Batches of utterances as recorded, and the augmentation of any batch's features.

The systems of the comparison train on these, because some need the utterance's end. The shipped
network trains on streams, see ``train/features``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.errors import SerLiveError
from streamer.recognition.normaliser import Normaliser
from streamer.signal import SPEECH_THRESHOLD, TIMESTEP_S
from train.features.data import Features
from train.fitting.recipe import Recipe
from train.place import CPU, Place

Float32 = NDArray[np.float32]
Generator = np.random.Generator

#: Estimates count after this much speech, and fully after FULL_SPEECH_S.
FIRST_SPEECH_S = 0.3
FULL_SPEECH_S = 1.5


@dataclass(frozen=True)
class TrainingSet:
    """The training data.

    Attributes:
        features: features of all utterances.
        targets: ``(utterances, classes)`` distributions over the classes, each sums to 1.
        corpora: corpus of each utterance.
        normaliser: the front end's normaliser.
    """

    features: Features
    targets: Float32
    corpora: Sequence[str]
    normaliser: Normaliser

    def batches(self, recipe: Recipe, place: Place) -> Batches:
        """Return the batches for a recipe."""
        return Batches(self, recipe, place)


@dataclass(frozen=True, slots=True)
class Batch:
    """This process's share of a batch of training examples of equal length.

    Attributes:
        features: ``(batch, timesteps, 4, 201)`` bfloat16.
        targets: ``(batch, timesteps, classes)`` float32, target distribution times its weight in
            the loss. Each utterance as recorded sums to 1; a drawn batch sums to its number of
            examples.
        examples: number of examples in the whole batch, divided by the number of processes.
        sources: ``(batch, timesteps)`` int64, the bank's timestep behind each timestep of a drawn
            stream, -1 where there is none.
        heard: float32, what the voice memory is told, see :func:`model.voice.memory_input`; None
            if no voice memory is trained.
    """

    features: Tensor
    targets: Tensor
    examples: float
    sources: Tensor | None = None
    heard: Tensor | None = None


def loss_weights(speech: Float32) -> Float32:
    """Weight each timestep's estimate by the speech heard so far.

    Args:
        speech: ``(batch, timesteps)`` speech probability.

    Returns:
        weights ``(batch, timesteps)``, each example sums to 1.
    """
    heard_s = np.cumsum(speech >= SPEECH_THRESHOLD, axis=1) * TIMESTEP_S
    weights = np.clip(heard_s / FULL_SPEECH_S, 0, 1) * (heard_s >= FIRST_SPEECH_S)
    weights = np.where(weights.any(axis=1, keepdims=True), weights, 1.0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
    return weights.astype(np.float32)


class Batches:
    """Batches of utterances grouped by length, with the ends cropped to the shortest."""

    def __init__(self, data: TrainingSet, recipe: Recipe, place: Place) -> None:
        self._data = data
        self._recipe = recipe
        self._place = place
        self._order = training_order(data.corpora)
        if data.features.lengths.max(initial=0) < recipe.shortest:
            raise SerLiveError(f"no utterance has {recipe.shortest} timesteps, the shortest wanted")
        home = place.device if place.fits(data.features.values.nbytes) else CPU
        self._values = torch.from_numpy(data.features.values).to(home)

    @property
    def examples(self) -> int:
        """The most examples in an epoch."""
        return len(self._order)

    @property
    def steps(self) -> int:
        """The most batches in an epoch."""
        return -(-len(self._order) // self._recipe.batch)

    def epoch(self, seed: Sequence[int]) -> Iterator[Batch]:
        """Yield this process's share of every batch; the same seed gives the same batches."""
        recipe, lengths = self._recipe, self._data.features.lengths
        generator = np.random.default_rng(seed)
        length = lengths[self._order]
        noisy = length * generator.uniform(0.9, 1.1, len(length))
        ordered = [self._order[i] for i in np.argsort(noisy) if length[i] >= recipe.shortest]
        groups = [ordered[i : i + recipe.batch] for i in range(0, len(ordered), recipe.batch)]
        own = np.random.default_rng([*seed, self._place.rank])
        for index in generator.permutation(len(groups)):
            group = groups[index]
            if len(group) < self._place.ranks:
                continue
            timesteps = min(int(min(lengths[one] for one in group)), recipe.longest)
            yield self._batch(self._place.share(group), timesteps, len(group), own)

    def close(self) -> None:
        """Do nothing: no other process runs."""

    def _batch(
        self, share: Sequence[int], timesteps: int, examples: int, generator: Generator
    ) -> Batch:
        features = self._data.features
        firsts = [features.rows(index).start for index in share]
        rows = [slice(first, first + timesteps) for first in firsts]
        weights = loss_weights(np.stack([features.speech[row] for row in rows]))
        targets = weights[:, :, None] * self._data.targets[list(share), None]
        device = self._place.device
        batch = Batch(
            torch.stack([self._values[row] for row in rows]).to(device).to(torch.bfloat16),
            torch.from_numpy(targets).to(device),
            examples / self._place.ranks,
        )
        augmentation = self._recipe.augmentation
        batch = mix(batch, augmentation.mixup, generator)
        mask(batch.features, augmentation.masked_timesteps, augmentation.masked_bins, generator)
        return batch


def mask(features: Tensor, timesteps: int, bins: int, generator: Generator) -> None:
    """Apply SpecAugment in place: set two bands and two stretches of time to zero, the floor.

    Args:
        features: ``(batch, timesteps, 4, 201)``.
        timesteps: length of the longest stretch.
        bins: width of the widest band.
        generator: source of all random draws.
    """
    kept_timesteps = _kept(len(features), features.shape[1], timesteps, generator)
    kept_bins = _kept(len(features), features.shape[3], bins, generator)
    features *= torch.from_numpy(kept_timesteps[:, :, None, None]).to(features)
    features *= torch.from_numpy(kept_bins[:, None, None, :]).to(features)


def _kept(examples: int, length: int, widest: int, generator: Generator) -> NDArray[np.bool_]:
    """Return a mask ``(examples, length)`` that drops two random stretches per example."""
    widths = np.minimum(generator.integers(0, widest + 1, (examples, 2, 1)), length)
    firsts = generator.integers(0, length - widths + 1)
    index = np.arange(length)
    taken = np.any((firsts <= index) & (index < firsts + widths), axis=1)
    return np.asarray(~taken)


def mix(batch: Batch, parameter: float, generator: Generator) -> Batch:
    """Apply mixup: blend in another example of the batch and its target, by less than half."""
    if not parameter:
        return batch
    examples = len(batch.features)
    shares = generator.beta(parameter, parameter, (examples, 1, 1))
    given = torch.from_numpy(np.minimum(shares, 1 - shares)).to(batch.targets)
    partner = torch.from_numpy(generator.permutation(examples)).to(given.device)
    return replace(
        batch,
        features=torch.lerp(
            batch.features, batch.features[partner], given[..., None].to(batch.features)
        ),
        targets=torch.lerp(batch.targets, batch.targets[partner], given),
    )


def training_order(corpora: Sequence[str]) -> list[int]:
    """Return an epoch's utterances; a corpus a fifth the size repeats three times as often."""
    counts = {name: list(corpora).count(name) for name in set(corpora)}
    most = max(counts.values())
    order = []
    for index, corpus in enumerate(corpora):
        repeats = round((most / counts[corpus]) ** 0.75)
        order.extend([index] * max(1, repeats))
    return order
