"""Losses, optimiser and the state of a training with its checkpoint."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from model.baselines import build
from model.config import ORDINARY, SystemConfig
from model.network import Network, SpectrogramNetwork
from model.voice import memory_input
from streamer.errors import SerLiveError
from train.fitting.batches import Batch
from train.fitting.checkpoint import restore_checkpoint, save_checkpoint
from train.fitting.recipe import Recipe
from train.fitting.teachers import Teachers
from train.place import Place

Module = TypeVar("Module", bound=nn.Module)

#: Gradients are clipped to this norm.
LARGEST_GRADIENT = 2.0
#: Share of the steps with a rising learning rate.
WARM_UP_SHARE = 0.2
#: Settings that affect only a network's pooling.
POOLING = ("attention", "attention_hidden", "window_timesteps")
#: Weights with a row per label.
PER_LABEL = ("classifier.", "voice.differ.", "voice.level_classifier.")
#: Torch's schedule divides by zero if the rise has less than one step.
FEWEST_STEPS = 10


class MovingAverage(Generic[Module]):
    """Exponential moving average of a network's weights, used for evaluation and kept."""

    def __init__(self, network: Module, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self._decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: Module) -> None:
        self.steps += 1
        decay = min(self._decay, self.steps / (self.steps + 10))
        pairs = [
            *zip(self.network.state_dict().values(), network.state_dict().values(), strict=True)
        ]
        floating = [pair for pair in pairs if pair[0].dtype.is_floating_point]
        torch._foreach_lerp_(
            [kept for kept, _ in floating], [new for _, new in floating], 1 - decay
        )
        for kept, new in pairs:
            if not kept.dtype.is_floating_point:
                kept.copy_(new)


def descend(
    loss: Tensor,
    network: nn.Module,
    optimiser: Optimizer,
    schedule: LRScheduler | None,
    largest: float = LARGEST_GRADIENT,
) -> None:
    """Change the weights by one step down the loss, with the gradient clipped to a norm."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), largest)
    optimiser.step()
    if schedule is not None:
        schedule.step()


def loss_of(
    network: nn.Module,
    batch: Batch,
    smoothing: float,
    teachers: Teachers | None = None,
    tells_ordinary: bool = False,
) -> Tensor:
    """Weighted cross-entropy at every timestep, or at the end for a network with one answer.

    Args:
        network: network in training mode.
        batch: training batch.
        smoothing: share of the label spread over the classes.
        teachers: teachers whose answers replace a share of the targets.
        tells_ordinary: whether the last class is ordinary speech, which the network separates from
            the others and which is not an emotion.
    """
    with torch.autocast(batch.features.device.type, dtype=torch.bfloat16):
        heard = () if batch.heard is None else (batch.heard,)
        logits, _ = network(batch.features, *heard)
    told: Tensor | float = 0.0
    targets = batch.targets
    if tells_ordinary:
        weights, ordinary = targets.sum(dim=-1), targets[..., -1]
        wanted = ordinary / weights.clamp(min=1e-9)
        told = functional.binary_cross_entropy_with_logits(
            logits[..., -1].float(), wanted, weights, reduction="sum"
        )
        logits, targets = logits[..., :-1], targets[..., :-1]
    even = targets.mean(dim=-1, keepdim=True)
    targets = torch.lerp(targets, even.expand_as(targets), smoothing)
    if teachers is not None:
        targets = teachers.soften(targets, batch.features)
    if logits.shape[1] == 1:
        targets = targets.sum(dim=1, keepdim=True)
    named = -(targets * torch.log_softmax(logits.float(), dim=-1)).sum()
    return (named + told) / batch.examples


def voice_loss_of(network: nn.Module, batch: Batch, smoothing: float) -> Tensor:
    """Cross-entropy of each voice answer, weighted by how well the voice is known.

    It trains nothing else in the network. The network's own answer is right on nearly all of its
    training data, so a sum of both would leave the voice answer nothing to learn; likewise the
    answer by the windows would leave the one by the level nothing. The memory's gate is trained,
    too; it learns to take in nothing where its own choice gives worse answers than known ordinary
    speech.

    Args:
        network: network with a voice memory, the rest of it in inference mode.
        batch: batch of streams.
        smoothing: share of the label spread over the classes.
    """
    assert isinstance(network, Network) and network.voice is not None and batch.heard is not None
    with torch.autocast(batch.features.device.type, dtype=torch.bfloat16), torch.no_grad():
        pooled, _ = network.attention(network.sequence(batch.features))
    answers, believed = network.voice.separate_answers(memory_input(pooled, batch.heard))
    targets = batch.targets[..., : len(network.config.labels)]
    targets = torch.lerp(targets, targets.mean(dim=-1, keepdim=True).expand_as(targets), smoothing)
    targets = targets * believed
    named = [-(targets * torch.log_softmax(one.float(), dim=-1)).sum() for one in answers]
    loss: Tensor = torch.stack(named).sum() / targets.sum().clamp(min=1e-6)
    return loss


def make_optimiser(recipe: Recipe, network: nn.Module) -> Optimizer:
    """Return the recipe's optimiser."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    trained = [one for one in network.parameters() if one.requires_grad]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(trained, rate, recipe.momentum, weight_decay=decay)
    return torch.optim.AdamW(trained, rate, weight_decay=decay, fused=True)


def make_schedule(recipe: Recipe, optimiser: Optimizer, steps: int) -> LRScheduler | None:
    """Return the learning-rate schedule; None if the rate is constant."""
    if recipe.schedule == "constant":
        return None
    return OneCycleLR(
        optimiser,
        recipe.learning_rate,
        total_steps=max(steps, FEWEST_STEPS),
        pct_start=WARM_UP_SHARE,
        cycle_momentum=recipe.optimiser == "adamw",  # SGD takes its momentum from the recipe
    )


def _differences(theirs: SystemConfig, ours: SystemConfig, others: set[str]) -> list[str]:
    """Return the settings in which two networks differ, except ``others``."""
    before, wanted = theirs.to_dict(), ours.to_dict()
    names = sorted((before.keys() | wanted.keys()) - others)
    return [name for name in names if before.get(name) != wanted.get(name)]


def check_start(theirs: SystemConfig, ours: SystemConfig, named: str) -> None:
    """Refuse to start from a network that differs in more than outputs, dropout and pooling.

    Raises:
        SerLiveError: it does.
    """
    others = {"labels", "ordinary", "voice", "level", "dropout", *POOLING}
    if differ := _differences(theirs, ours, others):
        raise SerLiveError(
            f"no start from {named}: its network differs from the recipe's in {', '.join(differ)}"
        )


def check_is_whole(
    theirs: SystemConfig, ours: SystemConfig, result: dict[str, Any], named: str
) -> None:
    """Refuse a start that lacks a part which the recipe does not train.

    Raises:
        SerLiveError: it has learnt no emotions, or differs in more than the memory of the voice.
    """
    differ = _differences(theirs, ours, {"voice", "level", "dropout"})
    if differ or result["recipe"].get("imitates"):
        what = f"differs in {', '.join(differ)}" if differ else "has learnt no emotions"
        raise SerLiveError(f'trains = "voice" takes {named} as it is, and that {what}')


@torch.no_grad()
def start_from(pretrained: SpectrogramNetwork, network: SpectrogramNetwork) -> None:
    """Copy the weights of another training; the classifier's only for labels that both have.

    If the pooling differs, attention and classifier start anew.

    Raises:
        SerLiveError: the networks differ in more than outputs, dropout and pooling.
    """
    check_start(pretrained.config, network.config, "another training")
    weights, found = network.state_dict(), pretrained.state_dict()
    before, wanted = pretrained.config.to_dict(), network.config.to_dict()
    is_pooled_alike = all(before.get(name) == wanted.get(name) for name in POOLING)
    anew = PER_LABEL if is_pooled_alike else (*PER_LABEL, "attention.", "ordinary.", "voice.")
    for name, weight in found.items():
        if name in weights and not name.startswith(anew):
            weights[name].copy_(weight)
    if not is_pooled_alike:
        return
    ours, theirs = network.config.labels, pretrained.config.labels
    both = [name for name in ours if name in theirs]
    to, of = ([names.index(name) for name in both] for names in (ours, theirs))
    for name in weights.keys() & found.keys():
        if name.startswith(PER_LABEL):
            weights[name][to] = found[name][of]


def without_extra(weights: dict[str, Tensor], recipe: Recipe) -> SpectrogramNetwork:
    """Return the network without the recipe's ``extra_labels``."""
    network = build(recipe.kept_network)
    rows = [recipe.labelled.index(name) for name in network.config.labels]
    network.load_state_dict(
        {
            name: weight[rows] if name.startswith(PER_LABEL) else weight
            for name, weight in weights.items()
        }
    )
    return network.eval()


class Training:
    """A network in training, saved after every epoch.

    Attributes:
        network: network being trained.
        average: moving average of its weights.
        epoch: number of finished epochs.
        best_uar: best UAR on the validation speakers, in %.
        best_epoch: epoch with that UAR, counted from 1.
        best_weights: averaged weights after that epoch.
    """

    def __init__(
        self,
        recipe: Recipe,
        epoch_steps: int,
        place: Place,
        pretrained: SpectrogramNetwork | None = None,
        teachers: Teachers | None = None,
    ) -> None:
        """Begin.

        Args:
            recipe: the recipe to train.
            epoch_steps: batches in an epoch.
            place: device and processes.
            pretrained: network to start from.
            teachers: teachers whose answers replace a share of the targets.

        Raises:
            SerLiveError: the start has another shape, or several processes train a voice memory.
        """
        torch.manual_seed(recipe.seed)
        self._recipe = recipe
        self._teachers = teachers
        self._place = place
        self.network = build(replace(recipe.kept_network, labels=recipe.labelled))
        if pretrained is not None:
            start_from(pretrained, self.network)
        self.network.to(place.device)
        if recipe.trains == "voice":
            assert isinstance(self.network, Network) and self.network.voice is not None
            if place.ranks > 1:
                raise SerLiveError('trains = "voice" takes one process: leave torchrun out')
            self.network.requires_grad_(False)
            self.network.voice.requires_grad_(True)
        self._parallel: nn.Module = self.network
        if place.ranks > 1:
            # The first convolution's gradient: 400 values in another order.
            warnings.filterwarnings("ignore", "Grad strides do not match")
            self._parallel = DistributedDataParallel(self.network)
        self.average = MovingAverage(self.network, recipe.averaging)
        self._optimiser = make_optimiser(recipe, self.network)
        self._schedule = make_schedule(recipe, self._optimiser, recipe.epochs * epoch_steps + 1)
        self.epoch = 0
        self.best_uar = -1.0
        self.best_epoch = 0
        self.best_weights = self.average.network.state_dict()

    @property
    def device(self) -> torch.device:
        return self._place.device

    @property
    def is_stale(self) -> bool:
        """Whether epochs were judged and the last ones brought no improvement."""
        stale = self.epoch - self.best_epoch
        return self.best_epoch > 0 and 0 < self._recipe.patience <= stale

    def seed(self, epoch: int) -> list[int]:
        """Return the seed by which an epoch's batches are drawn."""
        return [self._recipe.seed, epoch]

    def train_epoch(self, batches: Iterable[Batch]) -> float:
        """Train for one epoch and return the mean loss."""
        self.epoch += 1
        place = self._place
        # Dropout differs between processes.
        torch.manual_seed((self._recipe.seed * 1000 + self.epoch) * place.ranks + place.rank)
        self._begin()
        losses = [self._step(batch) for batch in batches]
        return float(torch.stack(losses).mean())

    def _begin(self) -> None:
        """Set the trained parts to training mode and the others to evaluation mode."""
        self.network.train()
        if self._recipe.trains == "voice":
            self.network.eval()
            assert isinstance(self.network, Network) and self.network.voice is not None
            self.network.voice.train()

    def _loss(self, batch: Batch) -> Tensor:
        smoothing = self._recipe.label_smoothing
        if self._recipe.trains == "voice":
            return voice_loss_of(self.network, batch, smoothing)
        tells_ordinary = ORDINARY in self._recipe.classes
        return loss_of(self._parallel, batch, smoothing, self._teachers, tells_ordinary)

    def _step(self, batch: Batch) -> Tensor:
        loss = self._loss(batch)
        descend(loss, self.network, self._optimiser, self._schedule)
        self.average.update(self.network)
        return loss.detach()

    def keep_if_best(self, uar: float) -> None:
        """Keep the averaged weights if no epoch did better on the validation speakers."""
        if uar > self.best_uar:
            self.best_uar, self.best_epoch = uar, self.epoch
            self.best_weights = copy.deepcopy(self.average.network.state_dict())

    def save(self, path: Path) -> None:
        """Save its state atomically, see :func:`train.fitting.checkpoint.save_checkpoint`."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict() if self._schedule else {},
            "steps": self.average.steps,
            "epoch": self.epoch,
            "best_uar": self.best_uar,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }
        save_checkpoint(path, self._recipe, state)

    def load(self, path: Path) -> None:
        """Resume a stopped training of the same recipe.

        Raises:
            SerLiveError: the checkpoint is of another recipe, or damaged.
        """
        restore_checkpoint(path, self._recipe, self._take)

    def _take(self, saved: dict[str, Any]) -> None:
        self.network.load_state_dict(saved["network"])
        self.average.network.load_state_dict(saved["average"])
        self._optimiser.load_state_dict(saved["optimiser"])
        if self._schedule is not None:
            self._schedule.load_state_dict(saved["schedule"])
        self.average.steps, self.epoch = saved["steps"], saved["epoch"]
        self.best_uar, self.best_epoch = saved["best_uar"], saved["best_epoch"]
        self.best_weights = saved["best_weights"]
