"""Emotion teachers that are the whole of Whisper's encoder, fine-tuned: one answer a recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.emotion_encoder import EmotionEncoder
from model.whisper import load_whisper
from streamer.signal import SAMPLE_RATE, TIMESTEP_SAMPLES
from train.features.arrangement import Placement
from train.features.bank import FULL_SCALE, Bank
from train.fitting.answers import keep_answers
from train.fitting.drawer import Drawer
from train.teaching.teacher_recipe import LONGEST_S, TeacherRecipe
from train.teaching.teacher_training import (
    LABEL_SMOOTHING,
    TeachingMaterial,
    balanced_rows,
    train_steps,
)

Float32 = NDArray[np.float32]


class WholeEncoder:
    """Teachers of ``trains = "all"``; see :class:`train.teaching.teacher_training.TeacherKind`."""

    def __init__(self, material: TeachingMaterial) -> None:
        self._material = material
        self.recordings = np.arange(len(material.dealt))

    def train(self, fold: int) -> list[list[float]]:
        """Train on all folds but one; return the answer for every recording."""
        material = self._material
        recipe, data, device = material.recipe, material.data, material.device
        torch.manual_seed(recipe.seed * 100 + fold)
        network = EmotionEncoder(
            load_whisper(material.encoder), len(recipe.labels), recipe.dropout
        ).to(device)
        heads = [one for name, one in network.named_parameters() if not name.startswith("encoder.")]
        optimiser = torch.optim.AdamW(
            [
                {"params": network.encoder.parameters(), "lr": recipe.learning_rate},
                {"params": heads, "lr": recipe.head_learning_rate},
            ],
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        drawer = Drawer(data, recipe.drawn(), device)
        targets = torch.from_numpy(data.targets[:, : len(recipe.labels)]).to(device)
        generator = np.random.default_rng([recipe.seed, fold])
        order = balanced_rows(data, material.heard_rows(fold), generator)
        sizes = data.bank.lengths

        def loss_of_batch() -> Tensor:
            rows = [next(order) for _ in range(recipe.batch)]
            placed = [_placed(row, int(sizes[row]), recipe, generator) for row in rows]
            samples = drawer.spoken([[one] for one in placed], generator)
            lengths = torch.tensor([one.samples for one in placed], device=device)
            with torch.autocast(device.type, dtype=torch.bfloat16):
                logits = network(samples, lengths)
            return functional.cross_entropy(
                logits.float(), targets[rows], label_smoothing=LABEL_SMOOTHING
            )

        rates = [recipe.learning_rate, recipe.head_learning_rate]
        train_steps(network, optimiser, rates, recipe.steps, fold, loss_of_batch)
        return _answer(network.eval(), data.bank, len(targets), device)

    def keep(self, folder: Path, names: Sequence[str], answers: Float32) -> Float32:
        """Write the answers; return them."""
        keep_answers(folder, self._material.recipe.labels, names, answers)
        return answers


def _placed(
    row: int, samples: int, recipe: TeacherRecipe, generator: np.random.Generator
) -> Placement:
    """Place a recording at the start of an example at a random speed, its end cut off."""
    speed = float(generator.uniform(*recipe.augmentation.speed))
    whole = max(int(samples / speed) - 2, 1)
    longest = recipe.streams.timesteps * TIMESTEP_SAMPLES
    return Placement(row, 0, min(whole, longest), speed, 0.0)


@torch.no_grad()
def _answer(
    network: EmotionEncoder, bank: Bank, count: int, device: torch.device
) -> list[list[float]]:
    """Return each recording's mean answer over two versions: as it is, and denoised."""
    answers = []
    longest = round(LONGEST_S * SAMPLE_RATE)
    starts, sizes = bank.starts, bank.lengths
    for row in range(count):
        first, size = int(starts[row]), min(int(sizes[row]), longest)
        both = np.stack([one[first : first + size] for one in (bank.recorded, bank.denoised)])
        stored = FULL_SCALE * float(bank.gains[row])
        samples = torch.from_numpy(both.astype(np.float32) / np.float32(stored)).to(device)
        samples = functional.pad(samples, (0, max(0, SAMPLE_RATE // 2 - size)))
        lengths = torch.full((2,), size, device=device)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = network(samples, lengths)
        answers.append(torch.softmax(logits, dim=-1).mean(dim=0))
    return [[round(value, 5) for value in row] for row in torch.stack(answers).tolist()]
