"""C-pFSMN-A: convolutions, pyramidal memory, attention over the rolling window, classifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from model.attention import AttentionState, window_attention
from model.config import NetworkConfig, SystemConfig
from model.convolution import ConvolutionFront, ConvolutionState, FrameFront
from model.layers import Dropout, normed_relu
from model.memory import MemoryBlock, MemoryState
from model.positions import exists
from model.voice import VoiceMemory, averaged
from streamer.modelfile.metadata import UNKNOWN_END, VOICE
from streamer.signal import FRAMES_PER_TIMESTEP, FREQUENCY_BINS


@dataclass(frozen=True, slots=True)
class NetworkState:
    """Everything one stream (or a batch of streams) carries from step to step.

    Attributes:
        convolution: context of the convolutions.
        memories: delay lines of each block.
        attention: the rolling window.
        voice: ``(batch, 1, pooled + 1)`` what the voice has sounded like, see :mod:`model.voice`;
            of no row where that is not remembered.
        position: ``(batch,)`` int64, timesteps that came in so far.
    """

    convolution: ConvolutionState
    memories: tuple[MemoryState, ...]
    attention: AttentionState
    voice: Tensor
    position: Tensor

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor with the name it has in the exported network."""
        if self.convolution.frames.shape[1]:  # without convolutions there is no context
            yield "frames", self.convolution.frames
            yield "maps", self.convolution.maps
        for index, memory in enumerate(self.memories):
            yield f"projections_{index}", memory.projections
            # The first block has no skip path, and no look-ahead needs no delay.
            if index and memory.skip.shape[1]:
                yield f"skip_{index}", memory.skip
        yield "window_features", self.attention.features
        yield "window_keys", self.attention.keys
        if self.voice.shape[1]:
            yield VOICE, self.voice
        yield "position", self.position

    def replaced(self, tensors: dict[str, Tensor]) -> NetworkState:
        """The same structure with the named tensors in it."""
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
            tensors["position"],
        )

    def advanced(self, newest: NetworkState) -> NetworkState:
        """The state after a step that added these rows to it, as many as it drops."""
        rows = dict(newest.named())
        tensors = {
            name: torch.cat([old, rows[name]], dim=1)[:, rows[name].shape[1] :]
            for name, old in self.named()
            if name != "position"
        }
        return self.replaced(tensors | {"position": newest.position})


class SpectrogramNetwork(nn.Module):
    """What every system of the comparison is: a front, a sequence model, a pooling, a classifier.

    The front's timesteps enter the hidden width through a linear layer with batch norm and ReLU;
    the paper does not say whether one stands there.
    """

    dropout: nn.Module
    classifier: nn.Linear

    def __init__(self, config: SystemConfig) -> None:
        super().__init__()
        self.config = config
        self.front = ConvolutionFront(config) if config.front == "convolution" else FrameFront()
        self.enter = nn.Linear(self.front.features, config.hidden)
        self.enter_norm: nn.Module = nn.BatchNorm1d(config.hidden)

    def forward(self, features: Tensor, heard: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Estimates of whole utterances.

        Args:
            features: ``(batch, timesteps, 4, 201)``, normalised.
            heard: ``(batch, timesteps)`` what is taken in of the voice, see :mod:`model.voice`, by
                a system that remembers it; None: nothing.

        Returns:
            logits ``(batch, n, labels)`` and the weights they were pooled with, ``(batch, n, m)``:
            one estimate a timestep from the ``m = T`` timesteps that end there, or one (n = 1)
            from all ``m = timesteps`` if the system needs the whole utterance. Nothing from
            nothing. In training the logits are those of all outputs of the configuration.

        Raises:
            ValueError: the shape is another one.
        """
        self._check(features)
        if features.shape[1] == 0:
            empty = features.new_zeros(len(features), 0, self.config.window_timesteps)
            return features.new_zeros(len(features), 0, len(self.config.labels)), empty
        entered = self.front(features.flatten(1, 2), self.enter)
        pooled, weights = self._pool(normed_relu(self.enter_norm, entered))
        logits = self._classify(pooled)
        if heard is not None:
            logits = self._knowing(logits, pooled, heard)
        return (logits if self.training else logits[..., : len(self.config.labels)]), weights

    def _classify(self, pooled: Tensor) -> Tensor:
        """``(..., pooled)`` -> a logit for each of the configuration's outputs."""
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits

    def _knowing(self, logits: Tensor, _pooled: Tensor, _heard: Tensor) -> Tensor:
        """Logits by one who knows the voice."""
        return logits

    def _pool(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Sequence model and pooling: ``(batch, timesteps, hidden)`` -> pooled, weights."""
        raise NotImplementedError

    @staticmethod
    def _check(features: Tensor) -> None:
        if features.ndim != 4 or features.shape[2:] != (FRAMES_PER_TIMESTEP, FREQUENCY_BINS):
            raise ValueError(
                f"features must be (batch, timesteps, {FRAMES_PER_TIMESTEP}, {FREQUENCY_BINS}), "
                f"are {tuple(features.shape)}"
            )


class Network(SpectrogramNetwork):
    """pFSMN blocks over the rolling window: an estimate at every timestep, also of a stream."""

    config: NetworkConfig

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.blocks = nn.ModuleList(MemoryBlock(config, block) for block in config.blocks)
        self.attention = window_attention(config)
        self.dropout = Dropout(config.dropout)
        self.classifier = nn.Linear(self.attention.pooled, len(config.labels))
        self.ordinary = nn.Linear(self.attention.pooled, 1) if config.ordinary else None
        self.voice = VoiceMemory(config, self.attention.pooled) if config.voice else None

    def sequence(self, features: Tensor) -> Tensor:
        """What is pooled: ``(batch, timesteps, 4, 201)`` -> ``(batch, timesteps, hidden)``."""
        entered = self.front(features.flatten(1, 2), self.enter)
        return self._remember(normed_relu(self.enter_norm, entered))

    def _pool(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        pooled, weights = self.attention(self._remember(hidden))
        return pooled, weights

    def _remember(self, hidden: Tensor) -> Tensor:
        """The memory blocks."""
        memory: Tensor | None = None
        for block in self.blocks:
            hidden, memory = block(hidden, memory)
        return hidden

    def initial_state(self, batch: int = 1) -> NetworkState:
        """State of streams that have heard nothing."""
        return NetworkState(
            self.front.initial_state(batch),
            tuple(block.initial_state(batch) for block in self._memory_blocks()),
            self.attention.initial_state(batch),
            self.voice.initial_state(batch) if self.voice else torch.zeros(batch, 0, 0),
            torch.zeros(batch, dtype=torch.int64),
        )

    def streaming_forward(
        self,
        features: Tensor,
        state: NetworkState,
        end: Tensor | None = None,
        heard: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, NetworkState]:
        """One timestep in, the estimate for ``delay_timesteps`` earlier out, and the new state.

        The logits are those of the labels, as :meth:`forward` gives them.
        """
        if end is None:
            end = torch.full_like(state.position, UNKNOWN_END)
        logits, attention, newest = self.step(features, state, end, heard)
        return logits[:, : len(self.config.labels)], attention, state.advanced(newest)

    def step(
        self, features: Tensor, state: NetworkState, end: Tensor, heard: Tensor | None = None
    ) -> tuple[Tensor, Tensor, NetworkState]:
        """One timestep in, the estimate for ``delay_timesteps`` earlier out.

        The first ``delay_timesteps`` results are for timesteps before the stream and mean nothing.
        After the last timestep, as many steps with zeros and ``end`` flush the rest.

        Args:
            features: ``(batch, 4, 201)``; zeros after the end.
            state: of the streams.
            end: ``(batch,)`` int64 number of timesteps of the streams, ``UNKNOWN_END`` while they
                go on.
            heard: ``(batch,)`` what is taken in of the voice at the timestep that the estimate is
                for, by a network that remembers it; None: nothing.

        Returns:
            logits ``(batch, outputs)`` of the configuration's outputs, attention ``(batch, T)``,
            and what the step adds to each tensor of the state: its newest rows, or all of it.
        """
        lags = self._lags()
        # All at once: an operator on a handful of values costs as much as one on hundreds.
        exist = exists(state.position, end, (*self.front.lags, *lags[:-1]))
        maps, *real = torch.split(exist, [len(self.front.lags), *([1] * len(self.blocks))], dim=1)
        front, convolution = self.front.streaming_forward(features, maps, state.convolution)
        hidden = torch.relu(self.enter_norm(self.enter(front)))
        memory: Tensor | None = None
        memories = []
        blocks = zip(self._memory_blocks(), real, state.memories, strict=True)
        for block, is_real, memory_state in blocks:
            hidden, memory, newest = block.streaming_forward(hidden, memory, is_real, memory_state)
            memories.append(newest)
        pooled, weights, attention = self.attention.streaming_forward(
            hidden, state.position - lags[-1], state.attention
        )
        logits = self._classify(pooled)
        voice = state.voice
        if self.voice is not None:
            if heard is None:
                heard = torch.zeros_like(pooled[:, 0])
            is_there = state.position >= lags[-1]  # while the delay lines fill nothing is
            *known, voice = self.voice.streaming_forward(pooled, heard * is_there, voice)
            logits = self._averaged(logits, *known)
        new = NetworkState(convolution, tuple(memories), attention, voice, state.position + 1)
        return logits, weights, new

    def _classify(self, pooled: Tensor) -> Tensor:
        logits = super()._classify(pooled)
        if self.ordinary is None:
            return logits
        # Learnt from what the network hears, without shaping it: sentences that no actor speaks are
        # told by anything, and what tells them is no help with emotions.
        return torch.cat([logits, self.ordinary(pooled.detach())], dim=-1)

    def _knowing(self, logits: Tensor, pooled: Tensor, heard: Tensor) -> Tensor:
        if self.voice is None:
            return logits
        return self._averaged(logits, *self.voice(pooled, heard))

    def _averaged(self, logits: Tensor, answer: Tensor, believed: Tensor) -> Tensor:
        """What one who knows the voice answers as well, of the labels alone."""
        labels = averaged(logits[..., : answer.shape[-1]], answer, believed)
        return torch.cat([labels, logits[..., answer.shape[-1] :]], dim=-1)

    def _lags(self) -> list[int]:
        """Timesteps by which the input of each block lags behind, and of the attention."""
        delays = (block.block.look_ahead for block in self._memory_blocks())
        return list(accumulate(delays, initial=self.config.front_delay))

    def _memory_blocks(self) -> Iterator[MemoryBlock]:
        for block in self.blocks:
            assert isinstance(block, MemoryBlock)
            yield block
