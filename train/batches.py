"""Training examples: windows as a stream meets them, with a weight for every estimate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.frontend import TIMESTEP_S
from streamer.speech import SPEECH_THRESHOLD
from train.data import Features
from train.recipe import Recipe

#: Estimates count from this much speech on, fully from FULL_SPEECH_S.
FIRST_SPEECH_S = 0.3
FULL_SPEECH_S = 1.5


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


def loss_weights(speech: NDArray[np.float32], start: int) -> NDArray[np.float32]:
    """How much each timestep's estimate counts: by the speech heard of its own utterance.

    Args:
        speech: ``(timesteps,)`` speech probability.
        start: timesteps before the utterance.

    Returns:
        ``(timesteps,)``, sums to 1.
    """
    is_speech = (speech >= SPEECH_THRESHOLD).astype(np.float32)
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
        ordered = [chosen[i] for i in np.argsort(noisy) if lengths[i] >= recipe.shortest]
        groups = [ordered[i : i + recipe.batch] for i in range(0, len(ordered), recipe.batch)]
        for index in generator.permutation(len(groups)):
            yield self._batch(groups[index], generator)

    def _batch(
        self, group: Sequence[tuple[int, Features]], generator: np.random.Generator
    ) -> Batch:
        recipe = self._recipe
        length = min(min(len(features.speech[i]) for i, features in group), recipe.longest)
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
