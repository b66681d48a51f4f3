"""Pooling over the rolling window of the last T timesteps: attention (section 3.2) or the mean.

Offline, every timestep has its own window; in a stream, the window is the state. Both pass windows
of scores or averages to the same code. Positions before the first timestep are masked to minus
infinity before the softmax.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.config import NetworkConfig, RecurrentConfig, SystemConfig
from model.contract import Layer, Moment, Newest, ReceptiveField
from model.layers import at_least_float32, without_autocast

#: Added to the variance. It keeps the deviation's slope small, and so its rounding differences.
VARIANCE_FLOOR = 1e-2

#: Configurations that name a pooling.
Pooled = NetworkConfig | RecurrentConfig

#: Takes a function of the features; returns its weighted mean per window, ``(batch, n, hidden)``.
MeanOf = Callable[[Callable[[Tensor], Tensor]], Tensor]


@dataclass(frozen=True, slots=True)
class AttentionState:
    """The rolling window without its newest timestep.

    Attributes:
        features: ``(batch, T - 1, hidden)``, oldest first.
        keys: ``(batch, T - 1, keys)``, inputs to the weights: each timestep's average, eq. (5), or
            its score, and its attention key for later timesteps; zero without attention.
    """

    features: Tensor
    keys: Tensor


class WindowMean(Layer[AttentionState]):
    """The mean over the rolling window, without attention.

    The paper does not say what replaces the attention in its C-pFSMN; the mean is its eq. (7) with
    equal weights. The attention classes below override the weights.
    """

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.window = config.window_timesteps
        self.hidden = config.hidden
        self.pooled = config.hidden
        self.key_width = 1

    @property
    def receptive_field(self) -> ReceptiveField:
        return ReceptiveField(self.window - 1, 0)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Pool whole utterances: one vector per timestep, from the window that ends there.

        Args:
            features: ``(batch, timesteps, hidden)``.

        Returns:
            pooled ``(batch, timesteps, pooled)``, and weights ``(batch, timesteps, T)``, newest
            timestep last.
        """
        questions, keys = self.look(features)
        keys = functional.pad(keys, (0, 0, self.window - 1, 0))
        index = torch.arange(features.shape[1], device=features.device)
        band = self._band(questions, keys, index.expand(len(features), -1))
        history = functional.pad(features, (0, 0, self.window - 1, 0))
        # Use float32: a deviation is the small difference of two large means.
        with without_autocast(features.device):
            wide, history = at_least_float32(band), at_least_float32(history)
            return self._pool(lambda function: wide @ function(history)), self._windows_of(band)

    def initial_state(self, batch: int) -> AttentionState:
        return AttentionState(
            torch.zeros(batch, self.window - 1, self.hidden),
            torch.zeros(batch, self.window - 1, self.key_width),
        )

    def newest(
        self, x: Tensor, moment: Moment, state: AttentionState
    ) -> tuple[tuple[Tensor, Tensor], Newest[AttentionState]]:
        """Take timesteps; return their pooled vectors and weights, as :meth:`forward` does.

        Args:
            x: ``(batch, timesteps, hidden)``.
            moment: positions in the stream; the results are meaningless before 0.
            state: the window before these timesteps.

        Returns:
            pooled and weights, and the window's new rows.
        """
        questions, keys = self.look(x)
        # While the delay line fills, one unmasked position keeps the softmax finite.
        index = moment.position.clamp(min=0)
        band = self._band(questions, torch.cat([state.keys, keys], dim=1), index)
        earlier, own = band[:, :, : self.window - 1], band[:, :, self.window - 1 :]

        def mean_of(function: Callable[[Tensor], Tensor]) -> Tensor:
            # In two parts: joining the features would copy the window for a few rows.
            return earlier @ function(state.features) + own @ function(x)

        newest = AttentionState(x, keys)
        return (self._pool(mean_of), self._windows_of(band)), Newest(newest)

    def look(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Compute from timesteps ``(..., hidden)`` what their own and later windows need.

        Returns:
            questions ``(..., questions)`` of the windows that end there, and keys ``(..., keys)``
            for all windows with these timesteps.
        """
        nothing = torch.zeros_like(features[..., :1])
        return nothing, nothing

    def _band(self, questions: Tensor, keys: Tensor, index: Tensor) -> Tensor:
        """Return the weights of all windows as a band matrix, which applies them without copies.

        Args:
            questions: ``(batch, n, questions)`` of the windows.
            keys: ``(batch, n + T - 1, keys)``.
            index: ``(batch, n)`` number of these timesteps in their stream.

        Returns:
            ``(batch, n, n + T - 1)``; row t has weights in columns t to t + T - 1.
        """
        count = questions.shape[1]
        rows = torch.arange(count, device=keys.device)[:, None]
        place = torch.arange(count + self.window - 1, device=keys.device) - rows
        is_inside = (place >= 0) & (place < self.window)
        exists = self.window - 1 - place <= index[..., None]
        scores = self._scores(questions, keys, place.clamp(0, self.window - 1), exists)
        return torch.softmax(torch.where(is_inside & exists, scores, -torch.inf), dim=-1)

    def _scores(self, _questions: Tensor, keys: Tensor, _place: Tensor, _exists: Tensor) -> Tensor:
        """Return logits of the softmax, ``(batch, n or 1, n + T - 1)``.

        Args:
            questions: as in :meth:`_band`.
            keys: as in :meth:`_band`.
            place: ``(n, n + T - 1)`` place of each key in each window, oldest first.
            exists: ``(batch, n, n + T - 1)`` whether it is part of the stream.
        """
        return keys[:, None, :, 0]

    def _windows_of(self, band: Tensor) -> Tensor:
        """Take T columns from column t in row t: ``(batch, n, n + T - 1)`` -> ``(batch, n, T)``."""
        count, width = band.shape[1:]
        # Reshaping to rows one column longer shifts each next row by one column.
        shifted = functional.pad(band.flatten(1), (0, count)).reshape(-1, count, width + 1)
        return shifted[:, :, : self.window]

    def _pool(self, mean_of: MeanOf) -> Tensor:
        """Pool the windows to ``(batch, n, pooled)``, eq. (7)."""
        return mean_of(lambda features: features)


class TimestepAttention(WindowMean):
    """The paper's attention: weights by position, from the averages of the window's timesteps."""

    def __init__(self, config: Pooled) -> None:
        super().__init__(config)
        self.inner = nn.Linear(self.window, config.attention_hidden)
        self.outer = nn.Linear(config.attention_hidden, self.window)

    def look(self, features: Tensor) -> tuple[Tensor, Tensor]:
        averages = features.mean(dim=-1, keepdim=True)  # eq. (5)
        return averages, averages

    def _scores(self, _questions: Tensor, keys: Tensor, _place: Tensor, exists: Tensor) -> Tensor:
        averages = self._windows_of(torch.where(exists, keys[:, None, :, 0], 0.0))
        scores: Tensor = self.outer(torch.relu(self.inner(averages)))  # eq. (6)
        # Padding each row by n columns and cutting the end shifts each next row by one column.
        count = scores.shape[1]
        width = self.window + count - 1
        shifted = functional.pad(scores, (0, count)).flatten(1)[:, : count * width]
        return shifted.reshape(-1, count, width)


class StatisticsAttention(WindowMean):
    """Attention by content that pools mean and deviation."""

    def __init__(self, config: Pooled) -> None:
        super().__init__(config)
        self.inner = nn.Linear(config.hidden, config.attention_hidden)
        self.outer = nn.Linear(config.attention_hidden, 1)
        self.pooled = 2 * config.hidden

    def look(self, features: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.outer(torch.tanh(self.inner(features)))
        return scores, scores

    def _pool(self, mean_of: MeanOf) -> Tensor:
        mean = super()._pool(mean_of)
        square = mean_of(lambda features: features * features)
        deviation = torch.sqrt((square - mean * mean).clamp(min=0) + VARIANCE_FLOOR)
        return torch.cat([mean, deviation], dim=-1)


class ContextAttention(StatisticsAttention):
    """Attention by content, by age, and by a query from the newest timestep.

    By content alone, the end of another emotion in the window weighs as much as the current one.
    Here the newest timestep can drop timesteps that do not resemble it.
    """

    #: Width of queries and keys.
    ASKED = 32

    def __init__(self, config: Pooled) -> None:
        super().__init__(config)
        self.ask = nn.Linear(config.hidden, self.ASKED)
        self.answer = nn.Linear(config.hidden, self.ASKED, bias=False)
        self.age = nn.Parameter(torch.zeros(self.window))
        self.key_width = 1 + self.ASKED

    def look(self, features: Tensor) -> tuple[Tensor, Tensor]:
        # One product for all three: a step's time goes into the number of operators. The question
        # begins with a constant 1, so that the score by content is added to the match with a key.
        inner, ask = self.inner, self.ask
        none, one = torch.zeros_like(ask.weight[:1]), torch.ones_like(ask.bias[:1])
        scale = self.ASKED**-0.5
        weight = torch.cat([inner.weight, self.answer.weight, none, ask.weight * scale])
        bias = torch.cat([inner.bias, ask.bias.new_zeros(self.ASKED), one, ask.bias * scale])
        looked = functional.linear(features, weight, bias)
        sizes = [len(inner.bias), self.ASKED, 1 + self.ASKED]
        content, answer, questions = torch.split(looked, sizes, dim=-1)
        return questions, torch.cat([self.outer(torch.tanh(content)), answer], dim=-1)

    def _scores(self, questions: Tensor, keys: Tensor, place: Tensor, _exists: Tensor) -> Tensor:
        matches = questions @ keys.transpose(1, 2)
        return matches + self.age[place].to(matches.dtype)


def window_attention(config: Pooled) -> WindowMean:
    """Build the pooling named by the configuration's ``attention``."""
    if config.attention == "timestep":
        return TimestepAttention(config)
    if config.attention == "statistics":
        return StatisticsAttention(config)
    if config.attention == "context":
        return ContextAttention(config)
    return WindowMean(config)
