"""The fronts, four frames in, one timestep out: convolutions (section 3.3, figure 3) or none."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.config import KERNEL, SystemConfig
from streamer.signal import FRAMES_PER_TIMESTEP, FREQUENCY_BINS

#: Symmetric padding in frequency.
FREQUENCY_PADDING = KERNEL // 2
_STRIDE = 2


def _halved(bins: int) -> int:
    return (bins + 2 * FREQUENCY_PADDING - KERNEL) // _STRIDE + 1


#: Frequency bins after the first and after the second convolution.
MAP_BINS = _halved(FREQUENCY_BINS)
OUTPUT_BINS = _halved(MAP_BINS)


@dataclass(frozen=True, slots=True)
class ConvolutionState:
    """Context of the two convolutions; of no frames where there are none.

    Attributes:
        frames: ``(batch, frames, 201)`` latest input frames, zero before the stream.
        maps: ``(batch, channels, outputs, 101)`` latest outputs of the first convolution.
    """

    frames: Tensor
    maps: Tensor


class ConvolutionFront(nn.Module):
    """Two 5x5 convolutions of stride 2x2 with batch norm and ReLU.

    In time each is padded left by 4 - r and right by r frames, in frequency symmetrically.
    """

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        first, second = config.channels
        self.config = config
        padding = (0, FREQUENCY_PADDING)
        self.first = nn.Conv2d(1, first, KERNEL, _STRIDE, padding, bias=False)
        self.first_norm: nn.Module = nn.BatchNorm2d(first)
        self.second = nn.Conv2d(first, second, KERNEL, _STRIDE, padding, bias=False)
        self.second_norm: nn.Module = nn.BatchNorm2d(second)
        self.features = second * OUTPUT_BINS
        first_ahead, second_ahead = config.frames_ahead
        self.cached_frames = 2 * config.map_delay + KERNEL - 1 - first_ahead
        self.cached_maps = 2 * config.front_delay + KERNEL - 1 - second_ahead - config.map_delay

    def forward(self, frames: Tensor, layer: nn.Linear) -> Tensor:
        """Whole utterances, and the layer behind the front.

        In memory the maps have their channels innermost, which is faster. The layer expects its
        inputs by channel; its weight, much smaller than they, is brought into their order.

        Args:
            frames: ``(batch, 4 timesteps, 201)``.
            layer: of ``features`` inputs.

        Returns:
            ``(batch, timesteps, outputs)`` of the layer.
        """
        first_ahead, second_ahead = self.config.frames_ahead
        channels_innermost = frames[..., None].permute(0, 3, 1, 2)
        maps = self._first_maps(_pad_time(channels_innermost, first_ahead))
        maps = self._second_maps(_pad_time(maps, second_ahead))
        weight = layer.weight.view(-1, maps.shape[1], OUTPUT_BINS).transpose(1, 2).flatten(1)
        return functional.linear(maps.permute(0, 2, 3, 1).flatten(2), weight, layer.bias)

    def initial_state(self, batch: int) -> ConvolutionState:
        return ConvolutionState(
            torch.zeros(batch, self.cached_frames, FREQUENCY_BINS),
            torch.zeros(batch, self.first.out_channels, self.cached_maps, MAP_BINS),
        )

    @property
    def lags(self) -> tuple[int, ...]:
        """Timesteps back of the two maps that a step adds.

        Map k exists where ``0 <= k < 2 end``. A step at timestep t adds maps ``2 t - map_delay``
        and the next one; half of the delay, rounded up, is the same bound in timesteps.
        """
        return tuple(-((row - self.config.map_delay) // 2) for row in range(_STRIDE))

    def streaming_forward(
        self, frames: Tensor, real: Tensor, state: ConvolutionState
    ) -> tuple[Tensor, ConvolutionState]:
        """One timestep's frames in, the timestep ``front_delay`` before it out.

        Args:
            frames: ``(batch, 4, 201)``; zeros once the stream has ended.
            real: ``(batch, 2)`` which of the maps at ``lags`` exist.
            state: context of the earlier frames.

        Returns:
            ``(batch, features)`` and the new state.
        """
        history = torch.cat([state.frames, frames], dim=1)
        maps = self._first_maps(history[:, None])
        # Its response to zeros is not the zero padding that the second convolution sees offline.
        maps = maps * real[:, None, :, None]
        map_history = torch.cat([state.maps, maps], dim=2)
        output = self._second_maps(map_history[:, :, :KERNEL]).flatten(1)
        kept_frames = history[:, history.shape[1] - self.cached_frames :]
        kept_maps = map_history[:, :, map_history.shape[2] - self.cached_maps :]
        return output, ConvolutionState(kept_frames, kept_maps)

    def _first_maps(self, padded: Tensor) -> Tensor:
        return torch.relu(self.first_norm(self.first(padded)))

    def _second_maps(self, padded: Tensor) -> Tensor:
        return torch.relu(self.second_norm(self.second(padded)))


class FrameFront(nn.Module):
    """No convolutions: the frames of a timestep side by side, as they are."""

    features = FRAMES_PER_TIMESTEP * FREQUENCY_BINS
    lags: tuple[int, ...] = ()

    def forward(self, frames: Tensor, layer: nn.Linear) -> Tensor:
        """Whole utterances, and the layer behind the front.

        Args:
            frames: ``(batch, 4 timesteps, 201)``.
            layer: of 804 inputs.

        Returns:
            ``(batch, timesteps, outputs)`` of the layer.
        """
        entered: Tensor = layer(frames.reshape(len(frames), -1, self.features))
        return entered

    def initial_state(self, batch: int) -> ConvolutionState:
        return ConvolutionState(torch.zeros(batch, 0, 0), torch.zeros(batch, 0, 0, 0))

    def streaming_forward(
        self, frames: Tensor, _real: Tensor, state: ConvolutionState
    ) -> tuple[Tensor, ConvolutionState]:
        """One timestep's frames ``(batch, 4, 201)`` in, ``(batch, 804)`` out."""
        return frames.flatten(1), state


def _pad_time(maps: Tensor, ahead: int) -> Tensor:
    return functional.pad(maps, (0, 0, KERNEL - 1 - ahead, ahead))
