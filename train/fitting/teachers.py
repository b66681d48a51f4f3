"""Distillation from the estimates of finished networks at every timestep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.network import SpectrogramNetwork


@dataclass(frozen=True)
class Teachers:
    """An ensemble of finished networks, on the device of the training.

    Attributes:
        networks: networks in evaluation mode, all with the same labels.
        temperatures: temperature of each network, fitted on validation speakers.
        weight: share of the target that they replace.
    """

    networks: Sequence[SpectrogramNetwork]
    temperatures: Sequence[float]
    weight: float

    @torch.no_grad()
    def soften(self, targets: Tensor, features: Tensor) -> Tensor:
        """Replace the teachers' share of the targets at each timestep.

        Args:
            targets: ``(batch, timesteps, labels)``, distribution times weight in the loss.
            features: ``(batch, timesteps, 4, 201)``, the student's input.
        """
        answers = torch.zeros_like(targets)
        for network, temperature in zip(self.networks, self.temperatures, strict=True):
            with torch.autocast(features.device.type, dtype=torch.bfloat16):
                logits, _ = network(features)
            answers += torch.softmax(logits.float() / temperature, dim=-1)  # or one per utterance
        weights = targets.sum(dim=-1, keepdim=True)
        return torch.lerp(targets, weights * answers / len(self.networks), self.weight)
