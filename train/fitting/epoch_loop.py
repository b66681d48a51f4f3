"""The loop over the epochs of a training: draw, train, judge, log, save; resume after a stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.progress import Progress

from train.fitting.batches import Batch
from train.fitting.epoch_log import keep_epochs, log_epoch
from train.fitting.run_folder import CHECKPOINT
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


class EpochTraining(Protocol):
    """A training that goes on epoch by epoch.

    Attributes:
        epoch: number of finished epochs.
    """

    epoch: int

    @property
    def is_stale(self) -> bool:
        """Whether further epochs are not worth it."""

    def seed(self, epoch: int) -> list[int]:
        """Return the seed by which an epoch's batches are drawn."""

    def train_epoch(self, batches: Iterable[Batch]) -> float:
        """Train for one epoch and return the mean loss."""

    def save(self, path: Path) -> None:
        """Save the state atomically."""

    def load(self, path: Path) -> None:
        """Restore a saved state."""


T = TypeVar("T", bound=EpochTraining)


def run_epochs(
    training: T,
    batches: EpochBatches,
    epochs: int,
    folder: Path,
    place: Place,
    judge: Callable[[T], dict[str, Any]] | None = None,
) -> None:
    """Train epoch by epoch, from the checkpoint on if there is one.

    Args:
        training: what is trained.
        batches: the batches.
        epochs: epochs to train, unless training goes stale earlier.
        folder: folder of the log and the checkpoint.
        place: device and processes; only the leader writes.
        judge: judges the training after each epoch; returns more for the epoch's record.

    Raises:
        SerLiveError: the checkpoint is of another recipe, or damaged.
        RunFailure: the log cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        training.load(checkpoint)
    if place.leads:
        keep_epochs(training.epoch, folder)
    with progress_bar(place.leads) as bar:
        task = bar.add_task("train", total=epochs * batches.steps)
        while training.epoch < epochs and not training.is_stale:
            epoch = training.epoch + 1
            began, worked_s = time.monotonic(), place.worked_s()
            bar.update(
                task,
                description=f"epoch {epoch} of {epochs}",
                completed=training.epoch * batches.steps,
            )
            lines = Lines(
                batches.steps,
                f"steps of epoch {epoch} of {epochs} are done",
                is_told=place.leads and bool(bar.disable),
            )
            drawn = batches.epoch(training.seed(epoch))
            loss = training.train_epoch(_watched(drawn, bar, lines))
            speed = {
                "trained_s": round(place.worked_s() - worked_s, 1),
                "examples_per_s": round(batches.examples / (time.monotonic() - began), 1),
            }
            judged = {} if judge is None else judge(training)
            if place.leads:
                # The log first: after a stop in between, the epoch is trained and logged again.
                log_epoch({"epoch": epoch, "loss": round(loss, 4)} | judged | speed, folder)
                training.save(checkpoint)


def _watched(batches: Iterable[Batch], bar: Progress, lines: Lines) -> Iterator[Batch]:
    (task,) = bar.task_ids
    for batch in batches:
        yield batch
        bar.advance(task)
        lines.advance()
