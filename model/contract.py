"""The contract of every layer, and chains of layers.

A layer runs in two ways with equal results: :meth:`Layer.forward` takes whole utterances,
:meth:`Layer.step` takes the next timesteps of a stream, one or many, and a state. Latency and
receptive field are properties of the layer; those of a :class:`Chain` are the sums of its layers'.
:func:`model.verify.verify_contract` checks a layer against the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import accumulate
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The input timesteps that an output depends on, besides its own.

    Attributes:
        back: number of earlier timesteps; None means all.
        ahead: number of later timesteps.
    """

    back: int | None
    ahead: int

    def __add__(self, other: ReceptiveField) -> ReceptiveField:
        """Combine two layers in sequence."""
        endless = self.back is None or other.back is None
        back = None if endless else (self.back or 0) + (other.back or 0)
        return ReceptiveField(back, self.ahead + other.ahead)


@dataclass(frozen=True, slots=True)
class Moment:
    """The positions of a layer's input timesteps in their stream.

    Attributes:
        position: ``(batch, timesteps)`` int64, number of each timestep. The latency of earlier
            layers also causes inputs before 0 and after the end; they are not part of the stream.
        exists: ``(batch, timesteps, asks)`` float32, whether the timesteps in the layer's
            :attr:`Layer.asks` exist.
    """

    position: Tensor
    exists: Tensor

    @classmethod
    def of(cls, layer: Layer[Any], position: Tensor, end: Tensor) -> Moment:
        """Make the moment of a layer in streams of ``end`` timesteps, ``(batch,)`` int64."""
        asked = position[..., None] - torch.tensor(layer.asks, device=position.device)
        return cls(position, ((asked >= 0) & (asked < end[:, None, None])).float())


@dataclass(frozen=True, slots=True)
class Newest(Generic[State]):
    """The rows that a step adds to a state.

    Attributes:
        rows: structured like the state; each tensor holds its newest rows along the second axis,
            more than the state has if the step was long, or the whole tensor.
    """

    rows: State


def pushed(state: State, newest: Newest[State]) -> State:
    """Return the state after a step: each tensor drops one oldest row per new row."""
    return merged(
        lambda old, rows: torch.cat([old, rows], dim=1)[:, rows.shape[1] :], state, newest.rows
    )


def merged(function: Callable[[Tensor, Tensor], Tensor], first: State, second: State) -> State:
    """Return a state whose tensors are a function of those in the same place of two states."""
    result: State = _merged(function, first, second)
    return result


def _merged(function: Callable[[Tensor, Tensor], Tensor], first: Any, second: Any) -> Any:
    if isinstance(first, Tensor):
        return function(first, second)
    if isinstance(first, tuple):
        pairs = zip(first, second, strict=True)
        return tuple(_merged(function, one, other) for one, other in pairs)
    assert is_dataclass(first)
    names = [field.name for field in fields(first)]
    both = {name: (getattr(first, name), getattr(second, name)) for name in names}
    parts = {name: _merged(function, *pair) for name, pair in both.items()}
    return replace(first, **parts)  # type: ignore[type-var]


class Layer(nn.Module, Generic[State]):
    """A layer of a network that runs on streams."""

    @property
    def receptive_field(self) -> ReceptiveField:
        """The input timesteps that an output depends on."""
        raise NotImplementedError

    @property
    def latency(self) -> int:
        """Delay of the outputs of :meth:`step` behind its inputs, in timesteps."""
        return self.receptive_field.ahead

    @property
    def asks(self) -> tuple[int, ...]:
        """Timesteps, counted back from the input, whose existence a step must know."""
        return ()

    @property
    def takes_anything(self) -> bool:
        """Whether inputs outside a stream may be nonzero; a first layer only gets zeros there."""
        return True

    def forward(self, x: Any) -> Any:
        """Whole utterances, ``(batch, timesteps, ...)``."""
        raise NotImplementedError

    def initial_state(self, batch: int) -> State:
        """Return the state at the start of streams."""
        raise NotImplementedError

    def newest(self, x: Any, moment: Moment, state: State) -> tuple[Any, Newest[State]]:
        """Take the next timesteps, see :meth:`step`; return the outputs and the new rows.

        Args:
            x: ``(batch, timesteps, ...)``, one timestep or more.
            moment: of these timesteps.
            state: the streams' states.
        """
        raise NotImplementedError

    def step(self, x: Any, moment: Moment, state: State) -> tuple[Any, State]:
        """Take the next timesteps of streams; return as many outputs and the new state.

        Each output is ``latency`` timesteps earlier than its input. It does not depend on how many
        timesteps a step takes. The first ``latency`` outputs precede the stream and are
        meaningless; after its last timestep, ``latency`` timesteps of zeros give the remaining
        outputs.
        """
        output, newest = self.newest(x, moment, state)
        return output, pushed(state, newest)


class Chain(Layer[tuple[Any, ...]], nn.ModuleList):
    """Layers in sequence: each one's output is the next one's input."""

    def __init__(self, layers: Iterable[Layer[Any]]) -> None:
        super().__init__()
        self.extend(layers)

    @property
    def receptive_field(self) -> ReceptiveField:
        return field_of(self.layers())

    @property
    def asks(self) -> tuple[int, ...]:
        return asked_together(self.layers())

    @property
    def takes_anything(self) -> bool:
        return next(self.layers()).takes_anything

    def layers(self) -> Iterator[Layer[Any]]:
        """The layers, typed."""
        for layer in self:
            assert isinstance(layer, Layer)
            yield layer

    def forward(self, x: Any) -> Any:
        """Run whole utterances through all layers."""
        for layer in self.layers():
            x = layer(x)
        return x

    def initial_state(self, batch: int) -> tuple[Any, ...]:
        return tuple(layer.initial_state(batch) for layer in self.layers())

    def newest(
        self, x: Any, moment: Moment, state: tuple[Any, ...]
    ) -> tuple[Any, Newest[tuple[Any, ...]]]:
        rows = []
        layers = list(self.layers())
        for layer, its_moment, its_state in zip(
            layers, moments_of(layers, moment), state, strict=True
        ):
            x, newest = layer.newest(x, its_moment, its_state)
            rows.append(newest.rows)
        return x, Newest(tuple(rows))


def field_of(layers: Iterable[Layer[Any]]) -> ReceptiveField:
    """Return the receptive field of layers in sequence."""
    return sum((layer.receptive_field for layer in layers), ReceptiveField(0, 0))


def lags_of(layers: Iterable[Layer[Any]]) -> list[int]:
    """Return the delay of each layer's input, and last of the output, behind the first input."""
    return list(accumulate((layer.latency for layer in layers), initial=0))


def asked_together(layers: Iterable[Layer[Any]]) -> tuple[int, ...]:
    """Return the ``asks`` of layers in sequence, counted back from the first layer's input."""
    layers = list(layers)
    pairs = zip(layers, lags_of(layers), strict=False)
    return tuple(lag + asked for layer, lag in pairs for asked in layer.asks)


def moments_of(layers: Iterable[Layer[Any]], moment: Moment) -> Iterator[Moment]:
    """Yield the moment of each layer in sequence, given that of the first."""
    layers = list(layers)
    counts = [len(layer.asks) for layer in layers]
    # Computed at once and split here: an operator on a handful of values costs as much as one on
    # hundreds.
    shared = iter(torch.split(moment.exists, [count for count in counts if count], dim=2))
    for count, lag in zip(counts, lags_of(layers), strict=False):
        exists = next(shared) if count else moment.exists[:, :, :0]
        yield Moment(moment.position - lag if lag else moment.position, exists)
