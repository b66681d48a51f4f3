"""Emotion teachers that answer at every timestep: a recurrent head on stored frames of Whisper.

The frames are those that networks imitate, of recordings as they are; they are computed once. So a
teacher is trained in a minute on one core.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR

from model.emotion_encoder import FrameListener
from streamer.signal import SPEECH_THRESHOLD, TIMESTEP_S
from train.features.bank import Bank
from train.fitting.drawer import StreamSet
from train.fitting.training import FEWEST_STEPS, LARGEST_GRADIENT
from train.teaching.pretraining import TeacherFrames
from train.teaching.teacher_recipe import TeacherRecipe

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

#: Share of the steps in which the learning rates rise.
WARM_UP_SHARE = 0.15
#: Share of each label spread over all.
SMOOTHING = 0.05
#: Most timesteps of each example that are hidden, in one piece.
MOST_HIDDEN = 12
#: Steps between two lines of the log.
LOGGED = 100
#: Recordings answered at once.
ANSWERED = 64


def listen(
    recipe: TeacherRecipe,
    fold: int,
    dealt: Int64,
    data: StreamSet,
    frames: TeacherFrames,
    device: torch.device,
) -> list[list[float]]:
    """Train a head on all folds but one; return its answer at every timestep of the bank.

    Args:
        recipe: recipe with ``trains = "head"``.
        fold: the fold that it does not hear, from 0.
        dealt: fold of every recording; -1 if none hears it.
        data: the recordings.
        frames: the encoder's frames of these recordings.
        device: device to train on.
    """
    torch.manual_seed(recipe.seed * 100 + fold)
    generator = np.random.default_rng([recipe.seed, fold])
    heard = _Heard(data.bank, frames, device)
    network = FrameListener(frames.width, len(recipe.labels), recipe.dropout).to(device)
    rate = recipe.head_learning_rate
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=recipe.weight_decay)
    schedule = OneCycleLR(
        optimiser, rate, max(recipe.steps + 1, FEWEST_STEPS), pct_start=WARM_UP_SHARE
    )
    kinds = torch.from_numpy(data.targets[:, : len(recipe.labels)].argmax(axis=1)).to(device)
    order = endless(data, np.flatnonzero((dealt >= 0) & (dealt != fold)), generator)
    longest = round(recipe.seconds / TIMESTEP_S)
    network.train()
    losses: list[Tensor] = []
    for step in range(1, recipe.steps + 1):
        rows = [next(order) for _ in range(recipe.batch)]
        padded, lengths, counts = heard.of(rows, longest)
        for row in padded:
            start = int(generator.integers(len(row)))
            row[start : start + int(generator.integers(MOST_HIDDEN))] = 0.0
        logits = network(padded, lengths).transpose(1, 2)
        wanted = kinds[rows][:, None].expand(-1, padded.shape[1])
        each = functional.cross_entropy(logits, wanted, reduction="none", label_smoothing=SMOOTHING)
        loss = (each * counts).sum() / counts.sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        schedule.step()
        losses.append(loss.detach())
        if step % LOGGED == 0:
            mean = float(torch.stack(losses).mean())
            print(json.dumps({"fold": fold, "step": step, "loss": round(mean, 4)}), flush=True)
            losses.clear()
    return _answer(network.eval(), heard, data.bank)


class _Heard:
    """The frames of recordings, as batches."""

    def __init__(self, bank: Bank, frames: TeacherFrames, device: torch.device) -> None:
        self._bank, self._frames, self._device = bank, frames, device

    def of(self, rows: list[int], longest: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the beginnings of recordings, none longer than so many timesteps.

        Returns:
            frames ``(batch, timesteps, width)``, zero beyond the end; lengths ``(batch,)``; and
            which timesteps count ``(batch, timesteps)``: those of speech, or all without speech.
        """
        starts, sizes = self._bank.speech_starts, self._bank.timesteps
        lengths = [min(int(sizes[row]), longest) for row in rows]
        padded = torch.zeros(len(rows), max(lengths), self._frames.width)
        counts = torch.zeros(padded.shape[:2])
        for index, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            own = slice(int(starts[row]), int(starts[row]) + length)
            padded[index, :length] = torch.from_numpy(self._frames.values[own]).float()
            is_speech = torch.from_numpy(self._bank.speech[own] >= SPEECH_THRESHOLD)
            counts[index, :length] = (is_speech if is_speech.any() else ~is_speech).float()
        to = self._device
        return padded.to(to), torch.tensor(lengths), counts.to(to)


@torch.no_grad()
def _answer(network: FrameListener, heard: _Heard, bank: Bank) -> list[list[float]]:
    """Return the answer at every timestep of the bank."""
    answers: list[list[float]] = []
    longest = int(bank.timesteps.max())
    for first in range(0, len(bank), ANSWERED):
        last = min(first + ANSWERED, len(bank))
        rows = [row for row in range(first, last) if bank.timesteps[row]]
        if not rows:
            continue
        padded, own, _ = heard.of(rows, longest)
        told = torch.softmax(network(padded, own), dim=-1)
        for row, length in zip(told, own.tolist(), strict=True):
            answers += [[round(value, 4) for value in one] for one in row[:length].tolist()]
    return answers


def mean_answers(moments: Float32, bank: Bank) -> Float32:
    """Return each recording's mean answer in speech, ``(recordings, labels)``; 0 without any.

    Args:
        moments: ``(timesteps, labels)`` answers at the bank's timesteps.
        bank: the recordings.
    """
    is_speech = bank.speech >= SPEECH_THRESHOLD
    index = np.repeat(np.arange(len(bank)), bank.timesteps)
    sums = np.zeros((len(bank), moments.shape[1]), np.float32)
    np.add.at(sums, index[is_speech], moments[is_speech])
    totals = np.maximum(sums.sum(axis=1, keepdims=True), np.float32(1e-9))
    return np.asarray(sums / totals, np.float32)


def endless(
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
