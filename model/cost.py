"""The cost of an estimate every 40 ms, in multiply-adds (for Table 3).

The count covers matrix products, convolutions and memory taps, but no elementwise operations, nor
batch norms, which export folds away.
"""

from __future__ import annotations

from model.attention import ContextAttention, Pooled
from model.config import KERNEL, NetworkConfig, RecurrentConfig, SystemConfig
from model.convolution import map_bins
from streamer.signal import FRAMES_PER_TIMESTEP, FREQUENCY_BINS


def step_cost(config: SystemConfig) -> int:
    """Count the multiply-adds of one estimate on a stream.

    A system that needs the utterance's end cannot carry a state from step to step; it runs again
    over the timesteps of its window for every estimate.

    Raises:
        TypeError: the configuration is of no known system.
    """
    if isinstance(config, NetworkConfig):
        timesteps = 1
        sequence = _entrance(config) + _memory(config)
    elif isinstance(config, RecurrentConfig):
        timesteps = config.window_timesteps if config.bidirectional else 1
        sequence = timesteps * (_entrance(config) + _lstm(config))
    else:
        raise TypeError(f"no system has a {type(config).__name__}")
    pooled = config.hidden * (2 if config.attention in ("statistics", "context") else 1)
    # Without a state there are no keys of older timesteps either.
    again = timesteps - 1
    return sequence + _attention(config) + again * _keys(config) + pooled * len(config.outputs)


def _entrance(config: SystemConfig) -> int:
    """Count the front per timestep: two outputs of the first convolution, one of the second."""
    if config.front == "frames":
        return FRAMES_PER_TIMESTEP * FREQUENCY_BINS * config.hidden
    first, second = config.channels
    first_bins, second_bins = map_bins(config)
    convolutions = KERNEL**2 * first * (2 * first_bins + second * second_bins)
    return convolutions + second * second_bins * config.hidden


def _memory(config: NetworkConfig) -> int:
    """Count eq. (2) and (3) of every block."""
    taps = sum(block.look_back_order + 1 + block.look_ahead_order for block in config.blocks)
    return config.memory * (2 * config.hidden * len(config.blocks) + taps)


def _attention(config: Pooled) -> int:
    """Count weights and pooling of one window; the keys of older timesteps are cached."""
    pooling = config.window_timesteps * config.hidden
    if config.attention == "timestep":
        return 2 * config.window_timesteps * config.attention_hidden + pooling
    if config.attention == "statistics":
        return _keys(config) + 2 * pooling
    if config.attention == "context":
        # A question has one value more than a key, to weigh its own score.
        asked = ContextAttention.ASKED
        wide = asked + 1
        question = wide * config.hidden
        return _keys(config) + question + wide * config.window_timesteps + 2 * pooling
    return pooling


def _keys(config: Pooled) -> int:
    """Count what the attention computes of a timestep by its content alone."""
    if config.attention not in ("statistics", "context"):
        return 0
    score = (config.hidden + 1) * config.attention_hidden
    key = ContextAttention.ASKED * config.hidden if config.attention == "context" else 0
    return score + key


def _lstm(config: RecurrentConfig) -> int:
    """Count four gates per layer and direction, on the layer's input and its last output."""
    width = config.hidden // config.directions
    return config.layers * config.directions * 4 * width * (config.hidden + width)
