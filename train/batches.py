"""Training examples: windows as a stream meets them, with a weight for every estimate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.errors import SerLiveError
from streamer.frontend import TIMESTEP_S
from streamer.speech import SPEECH_THRESHOLD
from train.data import Features
from train.place import CPU, Place
from train.recipe import Recipe

Float32 = NDArray[np.float32]
Generator = np.random.Generator

#: Estimates count from this much speech on, fully from FULL_SPEECH_S.
FIRST_SPEECH_S = 0.3
FULL_SPEECH_S = 1.5


@dataclass(frozen=True)
class TrainingSet:
    """What is trained on.

    Attributes:
        copies: features of all utterances, one object a copy.
        targets: ``(utterances, classes)`` distribution over the classes, each sums to 1.
        corpora: corpus of each utterance.
    """

    copies: Sequence[Features]
    targets: Float32
    corpora: Sequence[str]


@dataclass(frozen=True, slots=True)
class Batch:
    """Training examples of equal length, this process's share of them.

    Attributes:
        features: ``(batch, timesteps, 4, 201)`` bfloat16.
        targets: ``(batch, timesteps, classes)`` float32, what the estimate should be times its
            weight in the loss; sums to 1 an example.
        examples: in the whole batch, divided by the number of processes.
    """

    features: Tensor
    targets: Tensor
    examples: float


def loss_weights(speech: Float32, starts: NDArray[np.int64]) -> Float32:
    """How much each timestep's estimate counts: by the speech heard of its own utterance.

    Args:
        speech: ``(batch, timesteps)`` speech probability.
        starts: ``(batch,)`` timesteps before the utterance.

    Returns:
        ``(batch, timesteps)``, each example sums to 1.
    """
    is_own = np.arange(speech.shape[1]) >= starts[:, None]
    heard_s = np.cumsum(is_own & (speech >= SPEECH_THRESHOLD), axis=1) * TIMESTEP_S
    weights = np.clip(heard_s / FULL_SPEECH_S, 0, 1) * (heard_s >= FIRST_SPEECH_S)
    weights = np.where(weights.any(axis=1, keepdims=True), weights, is_own)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
    return weights.astype(np.float32)


class Batches:
    """Batches of one epoch: a random copy of every utterance, grouped by length, cropped to equal.

    A crop takes away the end or, where the window would start there anyway, the beginning; so
    windows end anywhere in an utterance, and streams start anywhere before it.
    """

    def __init__(self, data: TrainingSet, recipe: Recipe, place: Place) -> None:
        self._data = data
        self._recipe = recipe
        self._place = place
        self._order = training_order(data.corpora)
        if all(copy.lengths.max(initial=0) < recipe.shortest for copy in data.copies):
            raise SerLiveError(f"no utterance has {recipe.shortest} timesteps, the shortest wanted")
        size = sum(copy.values.nbytes for copy in data.copies)
        home = place.device if place.fits(size) else CPU
        self._values = [torch.from_numpy(copy.values).to(home) for copy in data.copies]

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
        recipe, copies = self._recipe, self._data.copies
        generator = np.random.default_rng(seed)
        lengths = np.stack([copy.lengths for copy in copies])
        chosen = [(generator.integers(len(copies)), i) for i in self._order]
        length = np.array([lengths[one] for one in chosen])
        noisy = length * generator.uniform(0.9, 1.1, len(length))
        ordered = [chosen[i] for i in np.argsort(noisy) if length[i] >= recipe.shortest]
        groups = [ordered[i : i + recipe.batch] for i in range(0, len(ordered), recipe.batch)]
        own = np.random.default_rng([*seed, self._place.rank])
        for index in generator.permutation(len(groups)):
            group = groups[index]
            if len(group) < self._place.ranks:
                continue
            timesteps = min(int(min(lengths[one] for one in group)), recipe.longest)
            yield self._batch(self._place.share(group), timesteps, len(group), own)

    def _batch(
        self, share: Sequence[tuple[int, int]], timesteps: int, examples: int, generator: Generator
    ) -> Batch:
        values, speech, starts = [], [], []
        for copy, index in share:
            features = self._data.copies[copy]
            rows, start = _crop(features, index, timesteps, generator)
            values.append(self._values[copy][rows])
            speech.append(features.speech[rows])
            starts.append(start)
        weights = loss_weights(np.stack(speech), np.array(starts))
        targets = weights[:, :, None] * self._data.targets[[index for _, index in share], None]
        device = self._place.device
        batch = Batch(
            torch.stack(values).to(device).to(torch.bfloat16),
            torch.from_numpy(targets).to(device),
            examples / self._place.ranks,
        )
        augmentation = self._recipe.augmentation
        batch = mix(batch, augmentation.mixup, generator)
        mask(batch.features, augmentation.masked_timesteps, augmentation.masked_bins, generator)
        return batch


def _crop(
    features: Features, index: int, timesteps: int, generator: Generator
) -> tuple[slice, int]:
    """Rows of an example, and how many of them come before the utterance."""
    rows, start = features.rows(index), int(features.starts[index])
    spare = rows.stop - rows.start - timesteps
    first = int(generator.integers(0, spare + 1)) if generator.random() < 0.5 else 0
    first = min(first, start)
    return slice(rows.start + first, rows.start + first + timesteps), start - first


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
    taken: NDArray[np.bool_] = ((firsts <= index) & (index < firsts + widths)).any(axis=1)
    return ~taken


def mix(batch: Batch, parameter: float, generator: Generator) -> Batch:
    """mixup: an example and its target give a share, below a half, to another of the batch."""
    if not parameter:
        return batch
    examples = len(batch.features)
    shares = generator.beta(parameter, parameter, (examples, 1, 1))
    given = torch.from_numpy(np.minimum(shares, 1 - shares)).to(batch.targets)
    partner = torch.from_numpy(generator.permutation(examples)).to(given.device)
    return Batch(
        torch.lerp(batch.features, batch.features[partner], given[..., None].to(batch.features)),
        torch.lerp(batch.targets, batch.targets[partner], given),
        batch.examples,
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
