"""Positions of timesteps in a stream, and which of them exist.

Offline, a layer sees zeros before the first timestep and after the last. Streaming, a layer's
delay line first yields outputs for timesteps before 0, and at the flush for timesteps beyond the
end; they are not zero (biases, batch norm) and must be masked before the next layer sees them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def exists(position: Tensor, end: Tensor, count: int = 1, scale: int = 1) -> Tensor:
    """Which of ``count`` consecutive positions lie in ``[0, scale * end)``.

    Args:
        position: ``(batch,)`` int64, the first position.
        end: ``(batch,)`` int64, number of timesteps of the stream.
        count: how many consecutive positions.
        scale: positions per timestep.

    Returns:
        ``(batch, count)`` bool.
    """
    positions = position[:, None] + torch.arange(count, device=position.device)
    return (positions >= 0) & (positions < scale * end[:, None])
