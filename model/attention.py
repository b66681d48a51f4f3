"""What pools the rolling window of the last T timesteps: attention (section 3.2) or the mean.

Offline, every timestep has a window of its own; streaming, the window is a state. Both hand
windows of scores or averages to the same code. Positions before the first timestep are masked to
minus infinity before the softmax.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.config import NetworkConfig, SystemConfig

#: Added to the variance: keeps the deviation's slope, and with it rounding differences, small.
VARIANCE_FLOOR = 1e-2

#: The weighted mean over each window of a function of its features, ``(batch, n, hidden)``.
MeanOf = Callable[[Callable[[Tensor], Tensor]], Tensor]


@dataclass(frozen=True, slots=True)
class AttentionState:
    """The rolling window without its newest timestep.

    Attributes:
        features: ``(batch, T - 1, hidden)``, oldest first.
        keys: ``(batch, T - 1)`` the scalar the weights are computed from: the timestep's
            average, eq. (5), or its score; zero without attention.
    """

    features: Tensor
    keys: Tensor


class WindowMean(nn.Module):
    """The mean over the rolling window: no attention, all timesteps weigh the same.

    The paper does not say what stands in for the attention in its C-pFSMN; the mean is its
    eq. (7) with equal weights. The attentions are this with weights of their own.
    """

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.window = config.window_timesteps
        self.hidden = config.hidden
        self.pooled = config.hidden

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Whole utterances: one pooled vector a timestep, from the window that ends there.

        Args:
            features: ``(batch, timesteps, hidden)``.

        Returns:
            pooled ``(batch, timesteps, pooled)``, and weights ``(batch, timesteps, T)``, the
            window's newest timestep last.
        """
        timesteps = features.shape[1]
        keys = functional.pad(self.keys(features).squeeze(-1), (self.window - 1, 0))
        index = torch.arange(timesteps, device=features.device)
        weights = self._weights(keys.unfold(1, self.window, 1), index.expand(len(features), -1))
        # Windows overlap: as a band matrix they multiply the features without being copied out.
        band = functional.pad(weights, (0, timesteps)).flatten(1)
        band = band[:, : timesteps * (self.window + timesteps - 1)]
        band = band.reshape(-1, timesteps, self.window + timesteps - 1)
        history = functional.pad(features, (0, 0, self.window - 1, 0))
        return self._pool(lambda function: band @ function(history)), weights

    def initial_state(self, batch: int) -> AttentionState:
        return AttentionState(
            torch.zeros(batch, self.window - 1, self.hidden),
            torch.zeros(batch, self.window - 1),
        )

    def streaming_forward(
        self, feature: Tensor, position: Tensor, state: AttentionState
    ) -> tuple[Tensor, Tensor, AttentionState]:
        """One timestep in, its pooled vector and weights out.

        Args:
            feature: ``(batch, hidden)``.
            position: ``(batch,)`` its timestep; before 0 the result means nothing.
            state: the window before it.

        Returns:
            pooled ``(batch, pooled)``, weights ``(batch, T)``, and its own row of the window.
        """
        newest = AttentionState(feature[:, None], self.keys(feature))
        keys = torch.cat([state.keys, newest.keys], dim=1)
        # While the delay line fills nothing was heard; one open place keeps the softmax finite.
        weights = self._weights(keys, position.clamp(min=0))
        earlier, own = torch.split(weights[:, None], [self.window - 1, 1], dim=2)

        def mean_of(function: Callable[[Tensor], Tensor]) -> Tensor:
            # Not over the features in one piece: that would copy the window for one row.
            return earlier @ function(state.features) + own * function(newest.features)

        return self._pool(mean_of).squeeze(1), weights, newest

    def keys(self, features: Tensor) -> Tensor:
        """One scalar a timestep ``(..., hidden)`` -> ``(..., 1)``, known when it comes in."""
        return torch.zeros_like(features[..., :1])

    def _scores(self, keys: Tensor, _heard: Tensor) -> Tensor:
        """Windows of keys -> what the softmax sees, both ``(..., T)``."""
        return keys

    def _weights(self, keys: Tensor, index: Tensor) -> Tensor:
        """Softmax over windows ``(..., T)`` of keys; each ends at timestep ``index``."""
        age = torch.arange(self.window - 1, -1, -1, device=keys.device)
        heard = age <= index[..., None]
        return torch.softmax(torch.where(heard, self._scores(keys, heard), -torch.inf), dim=-1)

    def _pool(self, mean_of: MeanOf) -> Tensor:
        """What the windows hold, ``(batch, n, pooled)``, eq. (7)."""
        return mean_of(lambda features: features)


class TimestepAttention(WindowMean):
    """The paper's: weights by position, from the averages of the window's timesteps."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.inner = nn.Linear(self.window, config.attention_hidden)
        self.outer = nn.Linear(config.attention_hidden, self.window)

    def keys(self, features: Tensor) -> Tensor:
        return features.mean(dim=-1, keepdim=True)  # eq. (5)

    def _scores(self, keys: Tensor, heard: Tensor) -> Tensor:
        averages = torch.where(heard, keys, 0.0)
        scores: Tensor = self.outer(torch.relu(self.inner(averages)))  # eq. (6)
        return scores


class StatisticsAttention(WindowMean):
    """Weights by content; pools mean and deviation."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.inner = nn.Linear(config.hidden, config.attention_hidden)
        self.outer = nn.Linear(config.attention_hidden, 1)
        self.pooled = 2 * config.hidden

    def keys(self, features: Tensor) -> Tensor:
        scores: Tensor = self.outer(torch.tanh(self.inner(features)))
        return scores

    def _pool(self, mean_of: MeanOf) -> Tensor:
        mean = super()._pool(mean_of)
        square = mean_of(lambda features: features * features)
        deviation = torch.sqrt((square - mean * mean).clamp(min=0) + VARIANCE_FLOOR)
        return torch.cat([mean, deviation], dim=-1)


def window_attention(config: NetworkConfig) -> WindowMean:
    """What the configuration's ``attention`` names."""
    if config.attention == "timestep":
        return TimestepAttention(config)
    if config.attention == "statistics":
        return StatisticsAttention(config)
    return WindowMean(config)
