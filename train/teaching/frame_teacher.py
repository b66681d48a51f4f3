"""Emotion teachers that answer at every timestep: a recurrent head on stored frames of Whisper.

The frames are those that networks imitate, of recordings as they are; they are computed once. So a
teacher is trained in a minute on one core.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.emotion_encoder import FrameClassifier
from streamer.signal import SPEECH_THRESHOLD, TIMESTEP_S
from train.features.bank import Bank
from train.fitting.answers import keep_timestep_answers
from train.teaching.encoder_frames import TeacherFrames, encoder_frames_of
from train.teaching.teacher_training import (
    LABEL_SMOOTHING,
    TeachingMaterial,
    balanced_rows,
    train_steps,
)

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

#: Most timesteps of each example that are hidden, in one piece.
MOST_HIDDEN = 11
#: Timesteps that the encoder hears of a recording, 30 s; those beyond it get no answer.
LONGEST = 750
#: Recordings answered in one batch.
ANSWER_BATCH = 64


class FrameHead:
    """Teachers of ``trains = "head"``; see :class:`train.teaching.teacher_training.TeacherKind`."""

    def __init__(self, material: TeachingMaterial) -> None:
        self._material = material
        timesteps = material.data.bank.timesteps
        self.recordings = np.repeat(np.arange(len(timesteps)), timesteps)

    @cached_property
    def _frames(self) -> TeacherFrames:
        material = self._material
        bank = material.data.bank
        return encoder_frames_of(
            material.encoder, material.paths, bank, material.cache, material.device
        )

    def train(self, fold: int) -> list[list[float]]:
        """Train on all folds but one; return the answer at every timestep of the bank."""
        material, frames = self._material, self._frames
        recipe, data, device = material.recipe, material.data, material.device
        torch.manual_seed(recipe.seed * 100 + fold)
        generator = np.random.default_rng([recipe.seed, fold])
        stored = _Frames(data.bank, frames, device)
        network = FrameClassifier(frames.width, len(recipe.labels), recipe.dropout).to(device)
        rate = recipe.head_learning_rate
        optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=recipe.weight_decay)
        labels = torch.from_numpy(data.targets[:, : len(recipe.labels)].argmax(axis=1)).to(device)
        heard = material.heard_rows(fold)
        order = balanced_rows(data, heard[data.bank.timesteps[heard] > 0], generator)
        longest = round(recipe.seconds / TIMESTEP_S)

        def loss_of_batch() -> Tensor:
            rows = [next(order) for _ in range(recipe.batch)]
            batch, lengths, counts = stored.padded(rows, longest)
            for row, length in zip(batch, lengths.tolist(), strict=True):
                start = int(generator.integers(length))
                row[start : start + int(generator.integers(MOST_HIDDEN + 1))] = 0.0
            logits = network(batch, lengths).transpose(1, 2)
            wanted = labels[rows][:, None].expand(-1, batch.shape[1])
            each = functional.cross_entropy(
                logits, wanted, reduction="none", label_smoothing=LABEL_SMOOTHING
            )
            return (each * counts).sum() / counts.sum()

        train_steps(network, optimiser, [rate], recipe.steps, fold, loss_of_batch)
        return _answer(network.eval(), stored, data.bank)

    def keep(self, folder: Path, names: Sequence[str], answers: Float32) -> Float32:
        """Write the answers; return each recording's mean in speech."""
        bank = self._material.data.bank
        keep_timestep_answers(folder, self._material.recipe.labels, names, bank.timesteps, answers)
        return mean_answers(answers, bank)


class _Frames:
    """The frames of recordings, as batches."""

    def __init__(self, bank: Bank, frames: TeacherFrames, device: torch.device) -> None:
        self._bank, self._frames, self._device = bank, frames, device

    def padded(self, rows: list[int], longest: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the beginnings of recordings, none longer than so many timesteps.

        Returns:
            frames ``(batch, timesteps, width)``, zero beyond the end; lengths ``(batch,)``; and
            which timesteps count ``(batch, timesteps)``: from the first speech on, as for the
            networks that learn the answers; without speech, all.
        """
        starts, sizes = self._bank.speech_starts, self._bank.timesteps
        lengths = [min(int(sizes[row]), longest) for row in rows]
        padded = torch.zeros(len(rows), max(lengths), self._frames.width)
        counts = torch.zeros(padded.shape[:2])
        for index, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            own = slice(int(starts[row]), int(starts[row]) + length)
            padded[index, :length] = torch.from_numpy(self._frames.values[own]).float()
            is_speech = self._bank.speech[own] >= SPEECH_THRESHOLD
            first = int(is_speech.argmax())  # 0 without speech
            counts[index, first:length] = 1.0
        to = self._device
        return padded.to(to), torch.tensor(lengths), counts.to(to)


@torch.no_grad()
def _answer(network: FrameClassifier, stored: _Frames, bank: Bank) -> list[list[float]]:
    """Return the answer at every timestep of the bank, zeros beyond :data:`LONGEST`."""
    answers: list[list[float]] = []
    longest = int(bank.timesteps.max())
    for first in range(0, len(bank), ANSWER_BATCH):
        last = min(first + ANSWER_BATCH, len(bank))
        rows = [row for row in range(first, last) if bank.timesteps[row]]
        if not rows:
            continue
        batch, own, _ = stored.padded(rows, longest)
        told = torch.softmax(network(batch, own), dim=-1)
        told[:, LONGEST:] = 0.0
        for row, length in zip(told, own.tolist(), strict=True):
            answers += [[round(value, 4) for value in one] for one in row[:length].tolist()]
    return answers


def mean_answers(answers: Float32, bank: Bank) -> Float32:
    """Return each recording's mean answer in speech, ``(recordings, labels)``; 0 without any.

    Args:
        answers: ``(timesteps, labels)`` answers at the bank's timesteps.
        bank: the recordings.
    """
    is_speech = bank.speech >= SPEECH_THRESHOLD
    index = np.repeat(np.arange(len(bank)), bank.timesteps)
    sums = np.zeros((len(bank), answers.shape[1]), np.float32)
    np.add.at(sums, index[is_speech], answers[is_speech])
    totals = np.maximum(sums.sum(axis=1, keepdims=True), np.float32(1e-9))
    return np.asarray(sums / totals, np.float32)
