"""Positions of timesteps in a stream, and which of them exist.

Offline, a layer sees zeros before the first timestep and after the last. Streaming, a layer's
delay line first yields outputs for timesteps before 0, and at the flush for timesteps beyond the
end; they are not zero (biases, batch norm) and must be masked before the next layer sees them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def exists(position: Tensor, end: Tensor, lags: Sequence[int]) -> Tensor:
    """Which timesteps exist that lie so many timesteps back.

    Args:
        position: ``(batch,)`` int64, the newest timestep.
        end: ``(batch,)`` int64, number of timesteps of the stream.
        lags: timesteps from the newest back, one for each answer.

    Returns:
        ``(batch, lags)`` float32, 1 where ``0 <= position - lag < end`` and else 0.
    """
    positions = position[:, None] - torch.tensor(lags, device=position.device)
    return ((positions >= 0) & (positions < end[:, None])).float()
