"""Batches of utterances as recorded, and what is done to the features of any batch.

So the systems of the comparison are trained, of which some need the utterance's end. What ships is
trained on streams, see ``train/features``.
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

#: Estimates count from this much speech on, fully from FULL_SPEECH_S.
FIRST_SPEECH_S = 0.3
FULL_SPEECH_S = 1.5


@dataclass(frozen=True)
class TrainingSet:
    """What is trained on.

    Attributes:
        features: of all utterances.
        targets: ``(utterances, classes)`` distribution over the classes, each sums to 1.
        corpora: corpus of each utterance.
        normaliser: of the front end.
    """

    features: Features
    targets: Float32
    corpora: Sequence[str]
    normaliser: Normaliser

    def batches(self, recipe: Recipe, place: Place) -> Batches:
        """The batches that a recipe makes of it."""
        return Batches(self, recipe, place)


@dataclass(frozen=True, slots=True)
class Batch:
    """Training examples of equal length, this process's share of them.

    Attributes:
        features: ``(batch, timesteps, 4, 201)`` bfloat16.
        targets: ``(batch, timesteps, classes)`` float32, what the estimate should be times its
            weight in the loss. An utterance as recorded sums to 1, a drawn batch to its examples
            as a whole.
        examples: in the whole batch, divided by the number of processes.
        sources: ``(batch, timesteps)`` int64, of drawn streams the timestep of the bank that is
            heard, -1 where none is.
        heard: ``(batch, timesteps)`` float32, what a memory of the voice takes in, see
            :mod:`model.voice`; None where none is trained.
    """

    features: Tensor
    targets: Tensor
    examples: float
    sources: Tensor | None = None
    heard: Tensor | None = None


def loss_weights(speech: Float32) -> Float32:
    """How much each timestep's estimate counts: by the speech heard so far.

    Args:
        speech: ``(batch, timesteps)`` speech probability.

    Returns:
        ``(batch, timesteps)``, each example sums to 1.
    """
    heard_s = np.cumsum(speech >= SPEECH_THRESHOLD, axis=1) * TIMESTEP_S
    weights = np.clip(heard_s / FULL_SPEECH_S, 0, 1) * (heard_s >= FIRST_SPEECH_S)
    weights = np.where(weights.any(axis=1, keepdims=True), weights, 1.0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
    return weights.astype(np.float32)


class Batches:
    """Batches of one epoch: every utterance, grouped by length, its end cropped to equal."""

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
        """Examples of an epoch, at most."""
        return len(self._order)

    @property
    def steps(self) -> int:
        """Batches of an epoch, at most."""
        return -(-len(self._order) // self._recipe.batch)

    def epoch(self, seed: Sequence[int]) -> Iterator[Batch]:
        """This process's share of every batch; the same seed gives the same batches."""
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
        """Nothing runs beside the training."""

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
    """SpecAugment in place: zero, the floor, over bands and stretches of time, two of each.

    Args:
        features: ``(batch, timesteps, 4, 201)``.
        timesteps: longest stretch.
        bins: widest band.
        generator: of everything drawn.
    """
    kept_timesteps = _kept(len(features), features.shape[1], timesteps, generator)
    kept_bins = _kept(len(features), features.shape[3], bins, generator)
    features *= torch.from_numpy(kept_timesteps[:, :, None, None]).to(features)
    features *= torch.from_numpy(kept_bins[:, None, None, :]).to(features)


def _kept(examples: int, length: int, widest: int, generator: Generator) -> NDArray[np.bool_]:
    """``(examples, length)``: what two random stretches an example leave."""
    widths = np.minimum(generator.integers(0, widest + 1, (examples, 2, 1)), length)
    firsts = generator.integers(0, length - widths + 1)
    index = np.arange(length)
    taken = np.any((firsts <= index) & (index < firsts + widths), axis=1)
    return np.asarray(~taken)


def mix(batch: Batch, parameter: float, generator: Generator) -> Batch:
    """mixup: an example and its target give a share, below a half, to another of the batch."""
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
    """Utterances of an epoch; a corpus of a fifth the size comes three times as often."""
    counts = {name: list(corpora).count(name) for name in set(corpora)}
    most = max(counts.values())
    order = []
    for index, corpus in enumerate(corpora):
        repeats = round((most / counts[corpus]) ** 0.75)
        order.extend([index] * max(1, repeats))
    return order
