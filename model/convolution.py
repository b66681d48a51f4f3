"""The fronts, four frames in, one hidden timestep out: convolutions (section 3.3) or none.

Behind both stands a linear layer to the hidden width, with batch norm and ReLU; the paper does not
say whether one stands there.
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
    """Frequency bins after the first and after the second convolution."""

    def halved(bins: int) -> int:
        return (bins + 2 * config.frequency_padding - KERNEL) // _STRIDE + 1

    return halved(FREQUENCY_BINS), halved(halved(FREQUENCY_BINS))


@dataclass(frozen=True, slots=True)
class ConvolutionState:
    """Context of the two convolutions; of no frames where there are none.

    Attributes:
        frames: ``(batch, frames, 201)`` latest input frames, zero before the stream.
        maps: ``(batch, channels, outputs, bins)`` latest outputs of the first convolution.
    """

    frames: Tensor
    maps: Tensor


class ConvolutionFront(Layer[ConvolutionState]):
    """Two 5x5 convolutions of stride 2x2, then the linear layer, each with batch norm and ReLU.

    In time each is padded left by 4 - r and right by r frames, in frequency symmetrically.
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
        #: Outputs by which the first convolution lags behind the newest pair of frames.
        self.map_delay = self.first_ahead // 2
        self.cached_frames = 2 * self.map_delay + KERNEL - 1 - self.first_ahead
        self.cached_maps = 2 * self.latency + KERNEL - 1 - self.second_ahead - self.map_delay

    @property
    def receptive_field(self) -> ReceptiveField:
        # Output k of the second convolution hears the frames from 4 k - 2 (4 - r2) - (4 - r1) up to
        # 4 k + 2 r2 + r1. Its own timestep has the frames 4 k to 4 k + 3.
        back = 2 * (KERNEL - 1 - self.second_ahead) + KERNEL - 1 - self.first_ahead
        ahead = 2 * self.second_ahead + self.first_ahead
        return ReceptiveField(-(-back // FRAMES_PER_TIMESTEP), ahead // FRAMES_PER_TIMESTEP)

    @property
    def takes_anything(self) -> bool:
        """No: frames are not masked, so nothing but zeros may stand beside a stream."""
        return False

    def forward(self, features: Tensor) -> Tensor:
        """Whole utterances.

        In memory the maps have their channels innermost, which is faster. The linear layer expects
        its inputs by channel; its weight, much smaller than they, is brought into their order.

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
        """Timesteps back of the two maps that a step adds.

        Map k exists where ``0 <= k < 2 end``. A step at timestep t adds maps ``2 t - map_delay``
        and the next one; half of the delay, rounded up, is the same bound in timesteps.
        """
        return tuple(-((row - self.map_delay) // 2) for row in range(_STRIDE))

    def newest(
        self, x: Tensor, moment: Moment, state: ConvolutionState
    ) -> tuple[Tensor, Newest[ConvolutionState]]:
        """One timestep's frames in, a timestep ``latency`` before it out.

        Args:
            x: ``(batch, 4, 201)``; zeros once the stream has ended.
            moment: which of the two maps exist that the step adds.
            state: context of the earlier frames.

        Returns:
            ``(batch, hidden)``, and all of the state.
        """
        history = torch.cat([state.frames, x], dim=1)
        maps = self._first_maps(history[:, None])
        # Its response to zeros is not the zero padding that the second convolution sees offline.
        maps = maps * moment.exists[:, None, :, None]
        map_history = torch.cat([state.maps, maps], dim=2)
        output = self._second_maps(map_history[:, :, :KERNEL]).flatten(1)
        kept_frames = history[:, history.shape[1] - self.cached_frames :]
        kept_maps = map_history[:, :, map_history.shape[2] - self.cached_maps :]
        hidden = torch.relu(self.enter_norm(self.enter(output)))
        return hidden, Newest(ConvolutionState(kept_frames, kept_maps))

    def _first_maps(self, padded: Tensor) -> Tensor:
        return torch.relu(self.first_norm(self.first(padded)))

    def _second_maps(self, padded: Tensor) -> Tensor:
        return torch.relu(self.second_norm(self.second(padded)))


class FrameFront(Layer[ConvolutionState]):
    """No convolutions: the frames of a timestep side by side, then the linear layer."""

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.enter = nn.Linear(FRAMES_PER_TIMESTEP * FREQUENCY_BINS, config.hidden)
        self.enter_norm: nn.Module = nn.BatchNorm1d(config.hidden)

    @property
    def receptive_field(self) -> ReceptiveField:
        return ReceptiveField(0, 0)

    def forward(self, features: Tensor) -> Tensor:
        """Whole utterances: ``(batch, timesteps, 4, 201)`` -> ``(batch, timesteps, hidden)``."""
        return normed_relu(self.enter_norm, self.enter(features.flatten(2)))

    def initial_state(self, batch: int) -> ConvolutionState:
        return ConvolutionState(torch.zeros(batch, 0, 0), torch.zeros(batch, 0, 0, 0))

    def newest(
        self, x: Tensor, _moment: Moment, state: ConvolutionState
    ) -> tuple[Tensor, Newest[ConvolutionState]]:
        """One timestep's frames ``(batch, 4, 201)`` in, ``(batch, hidden)`` out."""
        return torch.relu(self.enter_norm(self.enter(x.flatten(1)))), Newest(state)


def _pad_time(maps: Tensor, ahead: int) -> Tensor:
    return functional.pad(maps, (0, 0, KERNEL - 1 - ahead, ahead))
