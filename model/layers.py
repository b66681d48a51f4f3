"""Replacements for torch layers that train in a fraction of the time on a CPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """Return a context that computes in the operands' precision, without autocast."""
    is_cast = device.type in ("cpu", "cuda")
    return torch.autocast(device.type, enabled=False) if is_cast else nullcontext()


def at_least_float32(values: Tensor) -> Tensor:
    """Convert half precision to float32 and return anything else unchanged."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


class Dropout(nn.Module):
    """Like ``nn.Dropout``, whose random draws take three times as long."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, features: Tensor) -> Tensor:
        if not self.training or not self.share:
            return features
        kept = torch.rand(features.shape, device=features.device) >= self.share
        return features * (kept / (1 - self.share)).to(features.dtype)


def normed_relu(norm: nn.Module, hidden: Tensor) -> Tensor:
    """Apply batch norm and ReLU to ``(batch, timesteps, hidden)``."""
    if isinstance(norm, nn.Identity):  # folded into the layer before it
        return torch.relu(hidden)
    # Flatten to rows: batch norm along the second of three axes takes fifteen times as long.
    return torch.relu(norm(hidden.flatten(0, 1)).unflatten(0, hidden.shape[:2]))


def filter_features(padded: Tensor, response: Tensor) -> Tensor:
    """Filter every feature over time with its own response: the sums of eq. (2).

    Args:
        padded: ``(batch, timesteps + taps - 1, features)``.
        response: ``(taps, features)``, oldest first.

    Returns:
        ``(batch, timesteps, features)``.
    """
    filtered: Tensor = _Filter.apply(padded, response)  # type: ignore[no-untyped-call]
    return filtered


class _Filter(torch.autograd.Function):
    """A grouped convolution with a custom gradient; torch's takes five times as long."""

    @staticmethod
    def forward(context: Any, padded: Tensor, response: Tensor) -> Tensor:
        context.save_for_backward(padded, response)
        return _correlate(padded, response)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        padded, response = context.saved_tensors
        taps, width = response.shape
        spread = functional.pad(gradient, (0, 0, taps - 1, taps - 1))
        # Element (t, t + k) of each feature's matrix belongs to tap k: sum along the diagonals.
        products = torch.bmm(gradient.permute(2, 1, 0), padded.permute(2, 0, 1))
        timesteps, reached = products.shape[1:]
        diagonals = products.as_strided(
            (width, timesteps, taps), (timesteps * reached, reached + 1, 1)
        )
        return _correlate(spread, response.flip(0)), diagonals.sum(1, dtype=response.dtype).T


def _correlate(padded: Tensor, response: Tensor) -> Tensor:
    # Two-dimensional: only then does torch keep the features innermost in memory.
    rows = padded.transpose(1, 2)[:, :, None]
    weight = response.to(padded.dtype).T[:, None, None]
    return functional.conv2d(rows, weight, groups=response.shape[1])[:, :, 0].transpose(1, 2)
