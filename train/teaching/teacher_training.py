"""What all kinds of teachers of emotions share: their material, their steps, their examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from train.fitting.drawer import StreamSet
from train.fitting.training import FEWEST_STEPS, descend
from train.teaching.teacher_recipe import TeacherRecipe

Float32 = NDArray[np.float32]

#: Share of each label spread over all.
LABEL_SMOOTHING = 0.05
#: Share of the steps in which the learning rates rise.
WARM_UP_SHARE = 0.15
#: Steps between two lines of the log.
LOG_STEPS = 100


@dataclass(frozen=True)
class TeachingMaterial:
    """What the teachers of a run learn from.

    Attributes:
        recipe: their recipe.
        data: the recordings of training and validation speakers.
        dealt: ``(recordings,)`` fold of each; -1 if no teacher hears it.
        paths: their files.
        encoder: file of Whisper's encoder.
        cache: folder for its frames.
        device: device to train on.
    """

    recipe: TeacherRecipe
    data: StreamSet
    dealt: NDArray[np.int64]
    paths: Sequence[Path]
    encoder: Path
    cache: Path
    device: torch.device

    def heard_rows(self, fold: int) -> NDArray[np.int64]:
        """Return the recordings that a fold's teacher hears: those of all other folds."""
        return np.flatnonzero((self.dealt >= 0) & (self.dealt != fold))


class TeacherKind(Protocol):
    """A kind of teacher: what it learns, and where it answers.

    Attributes:
        recordings: ``(answers,)`` the recording to which each of its answers belongs.
    """

    recordings: NDArray[np.int64]

    def train(self, fold: int) -> list[list[float]]:
        """Train the teacher that does not hear a fold; return ``(answers, labels)``."""

    def keep(self, folder: Path, names: Sequence[str], answers: Float32) -> Float32:
        """Write all teachers' answers; return one for each recording, zeros without any.

        Args:
            folder: folder of the run.
            names: names of the recordings.
            answers: ``(answers, labels)``, each by teachers that have not heard its speaker.
        """


def train_steps(
    network: nn.Module,
    optimiser: Optimizer,
    rates: Sequence[float],
    steps: int,
    fold: int,
    loss_of_batch: Callable[[], Tensor],
) -> None:
    """Train a teacher and print its loss now and then.

    Args:
        network: the teacher.
        optimiser: of its weights.
        rates: peak learning rate of each of the optimiser's groups.
        steps: number of steps.
        fold: number of the teacher, for the log.
        loss_of_batch: draws a batch and returns its loss.
    """
    schedule = OneCycleLR(
        optimiser, list(rates), max(steps + 1, FEWEST_STEPS), pct_start=WARM_UP_SHARE
    )
    network.train()
    losses: list[Tensor] = []
    for step in range(1, steps + 1):
        loss = loss_of_batch()
        descend(loss, network, optimiser, schedule)
        losses.append(loss.detach())
        if step % LOG_STEPS == 0:
            mean = float(torch.stack(losses).mean())
            print(json.dumps({"fold": fold, "step": step, "loss": round(mean, 4)}), flush=True)
            losses.clear()


def balanced_rows(
    data: StreamSet, rows: NDArray[np.int64], generator: np.random.Generator
) -> Iterator[int]:
    """Draw utterances: corpora by the fourth root of their size, classes equally often."""
    kinds = data.targets.argmax(axis=1)
    groups: dict[tuple[str, int], list[int]] = {}
    for row in rows.tolist():
        groups.setdefault((data.corpora[row], int(kinds[row])), []).append(row)
    keys = list(groups)
    sizes = {name: sum(len(groups[key]) for key in keys if key[0] == name) for name, _ in keys}
    classes = {name: sum(key[0] == name for key in keys) for name, _ in keys}
    shares = np.array([sizes[name] ** 0.25 / classes[name] for name, _ in keys])
    shares /= shares.sum()

    def draw() -> Iterator[int]:
        while True:
            found = groups[keys[int(generator.choice(len(keys), p=shares))]]
            yield found[int(generator.integers(len(found)))]

    return draw()
