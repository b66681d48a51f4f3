"""The fronts, from four frames to one hidden timestep: convolutions (section 3.3) or none.

Both end in a linear layer to the hidden width, with batch norm and ReLU; the paper does not say
whether it has one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.config import KERNEL, SystemConfig
from model.contract import Layer, Moment, Newest, ReceptiveField
from model.layers import normed_relu
from streamer.signal import FRAMES_PER_TIMESTEP, FREQUENCY_BINS

_STRIDE = 2


def map_bins(config: SystemConfig) -> tuple[int, int]:
    """Return the frequency bins after the first and after the second convolution."""

    def halved(bins: int) -> int:
        return (bins + 2 * config.frequency_padding - KERNEL) // _STRIDE + 1

    return halved(FREQUENCY_BINS), halved(halved(FREQUENCY_BINS))


@dataclass(frozen=True, slots=True)
class ConvolutionState:
    """Context of the two convolutions; it has no frames if there are no convolutions.

    Attributes:
        frames: ``(batch, frames, 201)`` latest input frames, zero before the stream.
        maps: ``(batch, channels, outputs, bins)`` latest outputs of the first convolution.
    """

    frames: Tensor
    maps: Tensor


class ConvolutionFront(Layer[ConvolutionState]):
    """Two 5x5 convolutions of stride 2x2, then a linear layer, each with batch norm and ReLU.

    Each is padded in time by 4 - r frames left and r right, and symmetrically in frequency.
    """

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        first, second = config.channels
        self.config = config
        padding = (0, config.frequency_padding)
        self.first_bins, self.second_bins = map_bins(config)
        self.first = nn.Conv2d(1, first, KERNEL, _STRIDE, padding, bias=False)
        self.first_norm: nn.Module = nn.BatchNorm2d(first)
        self.second = nn.Conv2d(first, second, KERNEL, _STRIDE, padding, bias=False)
        self.second_norm: nn.Module = nn.BatchNorm2d(second)
        self.enter = nn.Linear(second * self.second_bins, config.hidden)
        self.enter_norm: nn.Module = nn.BatchNorm1d(config.hidden)
        self.first_ahead, self.second_ahead = config.frames_ahead
        #: Lag of the first convolution behind the newest pair of frames, in outputs.
        self.map_delay = self.first_ahead // 2
        self.cached_frames = 2 * self.map_delay + KERNEL - 1 - self.first_ahead
        self.cached_maps = 2 * self.latency + KERNEL - 1 - self.second_ahead - self.map_delay

    @property
    def receptive_field(self) -> ReceptiveField:
        # Output k of the second convolution depends on frames 4 k - 2 (4 - r2) - (4 - r1) to
        # 4 k + 2 r2 + r1. Its own timestep has frames 4 k to 4 k + 3.
        back = 2 * (KERNEL - 1 - self.second_ahead) + KERNEL - 1 - self.first_ahead
        ahead = 2 * self.second_ahead + self.first_ahead
        return ReceptiveField(-(-back // FRAMES_PER_TIMESTEP), ahead // FRAMES_PER_TIMESTEP)

    @property
    def takes_anything(self) -> bool:
        """False: frames are not masked, so inputs outside a stream must be zeros."""
        return False

    def forward(self, features: Tensor) -> Tensor:
        """Run whole utterances.

        The maps keep their channels innermost in memory, which is faster. The linear layer expects
        inputs by channel, so its weight, much smaller than the maps, is permuted instead.

        Args:
            features: ``(batch, timesteps, 4, 201)``.

        Returns:
            ``(batch, timesteps, hidden)``.
        """
        channels_innermost = features.flatten(1, 2)[..., None].permute(0, 3, 1, 2)
        maps = self._first_maps(_pad_time(channels_innermost, self.first_ahead))
        maps = self._second_maps(_pad_time(maps, self.second_ahead))
        weight = self.enter.weight.view(-1, maps.shape[1], self.second_bins)
        weight = weight.transpose(1, 2).flatten(1)
        entered = functional.linear(maps.permute(0, 2, 3, 1).flatten(2), weight, self.enter.bias)
        return normed_relu(self.enter_norm, entered)

    def initial_state(self, batch: int) -> ConvolutionState:
        return ConvolutionState(
            torch.zeros(batch, self.cached_frames, FREQUENCY_BINS),
            torch.zeros(batch, self.first.out_channels, self.cached_maps, self.first_bins),
        )

    @property
    def asks(self) -> tuple[int, ...]:
        """Timesteps, counted back from the input, of the two maps that it adds.

        Map k exists if ``0 <= k < 2 end``. Timestep t adds map ``2 t - map_delay`` and the next
        one; half the delay, rounded up, is the same bound in timesteps.
        """
        return tuple(-((row - self.map_delay) // 2) for row in range(_STRIDE))

    def newest(
        self, x: Tensor, moment: Moment, state: ConvolutionState
    ) -> tuple[Tensor, Newest[ConvolutionState]]:
        """Take the frames of timesteps; return the timesteps ``latency`` before them.

        Args:
            x: ``(batch, timesteps, 4, 201)``; zeros once the stream has ended.
            moment: tells which of the two new maps of each timestep exist.
            state: context of the earlier frames.

        Returns:
            ``(batch, timesteps, hidden)`` and the whole state.
        """
        timesteps = x.shape[1]
        history = torch.cat([state.frames, x.flatten(1, 2)], dim=1)
        maps = self._first_maps(history[:, None])
        # The response to zeros differs from the zero padding of the second convolution offline.
        maps = maps * moment.exists.flatten(1)[:, None, :, None]
        map_history = torch.cat([state.maps, maps], dim=2)
        heard = map_history[:, :, : _STRIDE * (timesteps - 1) + KERNEL]
        outputs = self._second_maps(heard).transpose(1, 2).flatten(2)
        kept_frames = history[:, history.shape[1] - self.cached_frames :]
        kept_maps = map_history[:, :, map_history.shape[2] - self.cached_maps :]
        hidden = normed_relu(self.enter_norm, self.enter(outputs))
        return hidden, Newest(ConvolutionState(kept_frames, kept_maps))

    def _first_maps(self, padded: Tensor) -> Tensor:
        return torch.relu(self.first_norm(self.first(padded)))

    def _second_maps(self, padded: Tensor) -> Tensor:
        return torch.relu(self.second_norm(self.second(padded)))


class FrameFront(Layer[ConvolutionState]):
    """Concatenated frames of a timestep, then the linear layer, without convolutions."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.enter = nn.Linear(FRAMES_PER_TIMESTEP * FREQUENCY_BINS, config.hidden)
        self.enter_norm: nn.Module = nn.BatchNorm1d(config.hidden)

    @property
    def receptive_field(self) -> ReceptiveField:
        return ReceptiveField(0, 0)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(batch, timesteps, 4, 201)`` to ``(batch, timesteps, hidden)``."""
        return normed_relu(self.enter_norm, self.enter(features.flatten(2)))

    def initial_state(self, batch: int) -> ConvolutionState:
        return ConvolutionState(torch.zeros(batch, 0, 0), torch.zeros(batch, 0, 0, 0))

    def newest(
        self, x: Tensor, _moment: Moment, state: ConvolutionState
    ) -> tuple[Tensor, Newest[ConvolutionState]]:
        """Map ``(batch, timesteps, 4, 201)`` to ``(batch, timesteps, hidden)``."""
        return self(x), Newest(state)


def _pad_time(maps: Tensor, ahead: int) -> Tensor:
    return functional.pad(maps, (0, 0, KERNEL - 1 - ahead, ahead))
