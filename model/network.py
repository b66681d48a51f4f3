"""C-pFSMN-A: convolutions, pyramidal memory, attention over the rolling window, classifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.attention import AttentionState, window_attention
from model.config import NetworkConfig, SystemConfig
from model.contract import (
    Chain,
    Layer,
    Moment,
    Newest,
    ReceptiveField,
    asked_together,
    field_of,
    moments_of,
    pushed,
)
from model.convolution import ConvolutionFront, ConvolutionState, FrameFront
from model.layers import Dropout
from model.memory import MemoryBlock, MemoryState
from model.voice import VoiceMemory, averaged, memory_input
from streamer.recognition.metadata import VOICE
from streamer.signal import (
    FRAME_TAIL_SAMPLES,
    FRAMES_PER_TIMESTEP,
    FREQUENCY_BINS,
    SAMPLE_RATE,
    TIMESTEP_SAMPLES,
)


@dataclass(frozen=True, slots=True)
class NetworkState:
    """Everything that one stream (or a batch of streams) carries from step to step.

    Attributes:
        convolution: context of the convolutions.
        memories: delay lines of each block.
        attention: the rolling window.
        voice: ``(batch, 1, sound + 1)`` voice memory, see :mod:`model.voice`; zero rows for a
            network without one.
    """

    convolution: ConvolutionState
    memories: tuple[MemoryState, ...]
    attention: AttentionState
    voice: Tensor

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor with its name in the exported network."""
        if self.convolution.frames.shape[1]:  # without convolutions there is no context
            yield "frames", self.convolution.frames
            yield "maps", self.convolution.maps
        for index, memory in enumerate(self.memories):
            yield f"projections_{index}", memory.projections
            # The first block has no skip path, and blocks without look-ahead have no delay.
            if index and memory.skip.shape[1]:
                yield f"skip_{index}", memory.skip
        yield "window_features", self.attention.features
        yield "window_keys", self.attention.keys
        if self.voice.shape[1]:
            yield VOICE, self.voice

    def replaced(self, tensors: dict[str, Tensor]) -> NetworkState:
        """Return a copy with the named tensors."""
        return NetworkState(
            ConvolutionState(
                tensors.get("frames", self.convolution.frames),
                tensors.get("maps", self.convolution.maps),
            ),
            tuple(
                MemoryState(tensors[f"projections_{i}"], tensors.get(f"skip_{i}", memory.skip))
                for i, memory in enumerate(self.memories)
            ),
            AttentionState(tensors["window_features"], tensors["window_keys"]),
            tensors.get(VOICE, self.voice),
        )


def _with_entrance_in_front(
    _: nn.Module, weights: dict[str, Tensor], prefix: str, *__: Any
) -> None:
    """Rename the weights of runs from before the front owned its linear layer, in place."""
    for name in [*weights]:
        if name.startswith((f"{prefix}enter.", f"{prefix}enter_norm.")):
            weights[f"{prefix}front.{name.removeprefix(prefix)}"] = weights.pop(name)


class SpectrogramNetwork(nn.Module):
    """Base of all systems: a front, a sequence model, a pooling, a classifier."""

    dropout: nn.Module
    classifier: nn.Linear

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.config = config
        front = ConvolutionFront if config.front == "convolution" else FrameFront
        self.front: Layer[ConvolutionState] = front(config)
        self.register_load_state_dict_pre_hook(_with_entrance_in_front)  # type: ignore[no-untyped-call]

    def forward(self, features: Tensor, heard: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Estimate whole utterances.

        Args:
            features: ``(batch, timesteps, 4, 201)``, normalised.
            heard: what the voice memory is told, ``(batch, timesteps)`` or with levels
                ``(batch, timesteps, 2)``, see :func:`model.voice.memory_input`, for a system that
                has one; None takes in nothing.

        Returns:
            logits ``(batch, n, labels)`` and the pooling weights ``(batch, n, m)``: one estimate
            per timestep from the ``m = T`` timesteps that end there, or one (n = 1) from all
            ``m = timesteps`` if the system needs the whole utterance. Empty input gives empty
            output. In training the logits cover all outputs of the configuration.

        Raises:
            ValueError: the shape is wrong.
        """
        self._check(features)
        if features.shape[1] == 0:
            empty = features.new_zeros(len(features), 0, self.config.window_timesteps)
            return features.new_zeros(len(features), 0, len(self.config.labels)), empty
        pooled, weights = self._pool(self.sequence(features))
        logits = self._classify(pooled)
        if heard is not None:
            logits = self._knowing(logits, pooled, heard)
        return (logits if self.training else logits[..., : len(self.config.labels)]), weights

    def _classify(self, pooled: Tensor) -> Tensor:
        """Map ``(..., pooled)`` to a logit for each of the configuration's outputs."""
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits

    def _knowing(self, logits: Tensor, _pooled: Tensor, _heard: Tensor) -> Tensor:
        """Adjust the logits by the voice memory."""
        return logits

    def sequence(self, features: Tensor) -> Tensor:
        """Compute the pooling's input ``(batch, timesteps, hidden)`` from the features."""
        return self._sequence(self.front(features))

    def _sequence(self, hidden: Tensor) -> Tensor:
        """Run the sequence model: ``(batch, timesteps, hidden)`` -> the same shape."""
        raise NotImplementedError

    def _pool(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the sequence model's outputs ``(batch, timesteps, hidden)``: pooled, weights."""
        raise NotImplementedError

    @staticmethod
    def _check(features: Tensor) -> None:
        if features.ndim != 4 or features.shape[2:] != (FRAMES_PER_TIMESTEP, FREQUENCY_BINS):
            raise ValueError(
                f"features must be (batch, timesteps, {FRAMES_PER_TIMESTEP}, {FREQUENCY_BINS}), "
                f"are {tuple(features.shape)}"
            )


class Network(SpectrogramNetwork, Layer[NetworkState]):
    """pFSMN blocks and a rolling window: an estimate per timestep, offline or on a stream."""

    config: NetworkConfig

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.blocks = Chain(MemoryBlock(config, block) for block in config.blocks)
        self.attention = window_attention(config)
        self.dropout = Dropout(config.dropout)
        self.classifier = nn.Linear(self.attention.pooled, len(config.labels))
        self.ordinary = nn.Linear(self.attention.pooled, 1) if config.ordinary else None
        self.voice = VoiceMemory(config, self.attention.pooled) if config.voice else None

    @property
    def _layers(self) -> list[Layer[Any]]:
        """The layers in sequence."""
        layers: list[Layer[Any]] = [self.front, self.blocks, self.attention]
        return layers if self.voice is None else [*layers, self.voice]

    @property
    def receptive_field(self) -> ReceptiveField:
        return field_of(self._layers)

    @property
    def asks(self) -> tuple[int, ...]:
        return asked_together(self._layers)

    @property
    def takes_anything(self) -> bool:
        return self.front.takes_anything

    @property
    def look_ahead_samples(self) -> int:
        """The audio after a timestep's end that its estimate may depend on, in samples.

        The normaliser and the voice gate treat the frames of a timestep together, so it is a whole
        number of timesteps plus the tail of the last frame.
        """
        return self.latency * TIMESTEP_SAMPLES + FRAME_TAIL_SAMPLES

    @property
    def look_ahead_ms(self) -> float:
        return 1000.0 * self.look_ahead_samples / SAMPLE_RATE

    def _sequence(self, hidden: Tensor) -> Tensor:
        remembered: Tensor
        remembered, _ = self.blocks((hidden, None))
        return remembered

    def _pool(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        pooled, weights = self.attention(outputs)
        return pooled, weights

    def initial_state(self, batch: int = 1) -> NetworkState:
        """Return the state at the start of streams."""
        return NetworkState(
            self.front.initial_state(batch),
            self.blocks.initial_state(batch),
            self.attention.initial_state(batch),
            self.voice.initial_state(batch) if self.voice else torch.zeros(batch, 0, 0),
        )

    def step(
        self, x: Tensor, moment: Moment, state: NetworkState, heard: Tensor | None = None
    ) -> tuple[tuple[Tensor, Tensor], NetworkState]:
        """Take timesteps; return the estimates ``latency`` timesteps earlier, see :meth:`newest`.

        The logits are those of the labels, as in :meth:`forward`.
        """
        (logits, weights), newest = self.newest(x, moment, state, heard)
        return (logits[..., : len(self.config.labels)], weights), pushed(state, newest)

    def newest(
        self, x: Tensor, moment: Moment, state: NetworkState, heard: Tensor | None = None
    ) -> tuple[tuple[Tensor, Tensor], Newest[NetworkState]]:
        """Take timesteps; return the estimates ``latency`` timesteps earlier.

        Args:
            x: ``(batch, timesteps, 4, 201)``; zeros after the end.
            moment: moment of these timesteps.
            state: state of the streams.
            heard: as in :meth:`forward`, at the estimates' timesteps.

        Returns:
            logits ``(batch, timesteps, outputs)``, attention ``(batch, timesteps, T)``, and what
            the step adds to the state.
        """
        front, blocks, attention, *voice = moments_of(self._layers, moment)
        entered, convolution = self.front.newest(x, front, state.convolution)
        (hidden, _), memories = self.blocks.newest((entered, None), blocks, state.memories)
        (pooled, weights), window = self.attention.newest(hidden, attention, state.attention)
        logits = self._classify(pooled)
        known = Newest(state.voice)
        if self.voice is not None:
            if heard is None:
                heard = pooled.new_zeros(*pooled.shape[:2], *((2,) if self.config.level else ()))
            told = memory_input(pooled, heard)
            answer, known = self.voice.newest(told, voice[0], state.voice)
            logits = self._averaged(logits, *answer)
        rows = NetworkState(convolution.rows, memories.rows, window.rows, known.rows)
        return (logits, weights), Newest(rows)

    def _classify(self, pooled: Tensor) -> Tensor:
        logits = super()._classify(pooled)
        if self.ordinary is None:
            return logits
        # Detached: sentences that no actor speaks are easy to recognise, and features for that do
        # not help with emotions.
        return torch.cat([logits, self.ordinary(pooled.detach())], dim=-1)

    def _knowing(self, logits: Tensor, pooled: Tensor, heard: Tensor) -> Tensor:
        if self.voice is None:
            return logits
        return self._averaged(logits, *self.voice(memory_input(pooled, heard)))

    def _averaged(self, logits: Tensor, answer: Tensor, believed: Tensor) -> Tensor:
        """Average the labels' logits with the voice answer."""
        labels = averaged(logits[..., : answer.shape[-1]], answer, believed)
        return torch.cat([labels, logits[..., answer.shape[-1] :]], dim=-1)


def look_ahead_ms(config: NetworkConfig) -> float:
    """Return the look-ahead of a configuration's network."""
    with torch.device("meta"):  # allocates no weights
        return Network(config).look_ahead_ms
