"""One contract for every layer, and how layers are put one behind the other.

A layer runs in two ways that give the same numbers: :meth:`Layer.forward` takes whole utterances,
:meth:`Layer.step` takes one timestep of a stream, and a state. How late its outputs are and what
they depend on are properties of the layer; those of a :class:`Chain` are the sums of its layers'.
:func:`model.verify.verify_contract` checks a layer against all of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import accumulate
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Which timesteps of the input an output depends on, beside its own.

    Attributes:
        back: earlier ones; None: all of them.
        ahead: later ones.
    """

    back: int | None
    ahead: int

    def __add__(self, other: ReceptiveField) -> ReceptiveField:
        """Of two layers, one behind the other."""
        endless = self.back is None or other.back is None
        back = None if endless else (self.back or 0) + (other.back or 0)
        return ReceptiveField(back, self.ahead + other.ahead)


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in its stream the timestep lies that comes into a layer.

    Attributes:
        position: ``(batch,)`` int64, its number. Before 0 and after the end of the stream something
            comes in as well, because the layers before are late: it is no part of the stream.
        exists: ``(batch, asks)`` float32, whether the timesteps exist that the layer
            :attr:`Layer.asks` about.
    """

    position: Tensor
    exists: Tensor

    @classmethod
    def of(cls, layer: Layer[Any], position: Tensor, end: Tensor) -> Moment:
        """For a layer, at a timestep of streams with ``end`` timesteps, ``(batch,)`` int64."""
        asked = position[:, None] - torch.tensor(layer.asks, device=position.device)
        return cls(position, ((asked >= 0) & (asked < end[:, None])).float())


@dataclass(frozen=True, slots=True)
class Newest(Generic[State]):
    """What one step adds to a state.

    Attributes:
        rows: laid out as the state is; of each tensor its newest rows along the second axis, or all
            of it.
    """

    rows: State


def pushed(state: State, newest: Newest[State]) -> State:
    """The state after a step: every tensor drops as many of its oldest rows as it is given."""
    moved: State = _pushed(state, newest.rows)
    return moved


def _pushed(old: Any, rows: Any) -> Any:
    if isinstance(old, Tensor):
        return torch.cat([old, rows], dim=1)[:, rows.shape[1] :]
    if isinstance(old, tuple):
        return tuple(_pushed(one, row) for one, row in zip(old, rows, strict=True))
    assert is_dataclass(old)
    names = [field.name for field in fields(old)]
    moved = {name: _pushed(getattr(old, name), getattr(rows, name)) for name in names}
    return replace(old, **moved)  # type: ignore[type-var]


class Layer(nn.Module, Generic[State]):
    """What every layer of a network that hears a stream is."""

    @property
    def receptive_field(self) -> ReceptiveField:
        """Which timesteps an output depends on."""
        raise NotImplementedError

    @property
    def latency(self) -> int:
        """Timesteps that an output of :meth:`step` lies behind what came in."""
        return self.receptive_field.ahead

    @property
    def asks(self) -> tuple[int, ...]:
        """Timesteps, back from the one that comes in, of which a step must know if they exist."""
        return ()

    @property
    def takes_anything(self) -> bool:
        """Whether anything may come in beside a stream; else only zeros, as into a first layer."""
        return True

    def forward(self, x: Any) -> Any:
        """Whole utterances, ``(batch, timesteps, ...)``."""
        raise NotImplementedError

    def initial_state(self, batch: int) -> State:
        """State of streams that have heard nothing."""
        raise NotImplementedError

    def newest(self, x: Any, moment: Moment, state: State) -> tuple[Any, Newest[State]]:
        """One timestep in; the output for ``latency`` timesteps before; what the state gains."""
        raise NotImplementedError

    def step(self, x: Any, moment: Moment, state: State) -> tuple[Any, State]:
        """One timestep in; the output for ``latency`` timesteps before, and the new state.

        The first ``latency`` outputs are for timesteps before the stream and mean nothing; after
        its last timestep as many steps with zeros give what is still owed.
        """
        output, newest = self.newest(x, moment, state)
        return output, pushed(state, newest)


class Chain(Layer[tuple[Any, ...]], nn.ModuleList):
    """Layers one behind the other: what each gives is what the next one takes."""

    def __init__(self, layers: Iterable[Layer[Any]]) -> None:
        super().__init__()
        self.extend(layers)

    @property
    def receptive_field(self) -> ReceptiveField:
        return sum((layer.receptive_field for layer in self.layers()), ReceptiveField(0, 0))

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
        """Whole utterances through all layers."""
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


def lags_of(layers: Iterable[Layer[Any]]) -> list[int]:
    """Timesteps that each layer's input, and at last the output, lies behind what came in first."""
    return list(accumulate((layer.latency for layer in layers), initial=0))


def asked_together(layers: Iterable[Layer[Any]]) -> tuple[int, ...]:
    """What layers one behind the other ask about, back from what comes into the first one."""
    layers = list(layers)
    pairs = zip(layers, lags_of(layers), strict=False)
    return tuple(lag + asked for layer, lag in pairs for asked in layer.asks)


def moments_of(layers: Iterable[Layer[Any]], moment: Moment) -> Iterator[Moment]:
    """Of layers one behind the other, the moment of each, from that of the first one."""
    layers = list(layers)
    counts = [len(layer.asks) for layer in layers]
    # All are asked at once and shared out here: an operator on a handful of values costs as much as
    # one on hundreds.
    shared = iter(torch.split(moment.exists, [count for count in counts if count], dim=1))
    for count, lag in zip(counts, lags_of(layers), strict=False):
        exists = next(shared) if count else moment.exists[:, :0]
        yield Moment(moment.position - lag if lag else moment.position, exists)
