"""Check a layer against the contract of :mod:`model.contract`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, cycle, pairwise, takewhile
from typing import Any

import torch
from torch import Tensor

from model.contract import Layer, Moment, merged
from streamer.recognition.metadata import UNKNOWN_END

#: Makes inputs of whole utterances from ``(batch, timesteps)``: a tensor or a tuple of tensors,
#: each ``(batch, timesteps, ...)``.
MakeInput = Callable[[int, int], Any]

#: Timesteps tested beyond each end of the receptive field.
_SLACK = 5
#: Timesteps of noise before a stream.
_BEFORE = 4
#: Timesteps tested in place of an unlimited receptive field.
_SOME = 40
#: Lengths of the long steps, whose results must equal those of single timesteps.
_STEPS = ((2,), (1, 3, 2, 7), (10_000,))


def verify_contract(
    layer: Layer[Any], make_input: MakeInput, *, tolerance: float = 1e-5, hears_all: bool = True
) -> None:
    """Check every promise of the contract.

    Streaming equals offline in outputs and gradients. A step of many timesteps equals as many
    steps. Nothing outside the receptive field has an effect, and NaN is gone once it has left the
    field. The field is no larger than needed. Streams in one batch, at different positions, do not
    affect each other. Inputs outside a stream do not affect it.

    Args:
        layer: a layer in evaluation mode with nonzero weights.
        make_input: draws a new input at every call.
        tolerance: greatest difference allowed.
        hears_all: whether the timesteps at both edges of the receptive field must have an effect;
            if not, the field may be wider than the effect.

    Raises:
        AssertionError: the layer breaks the contract; the message says which part.
    """
    field = layer.receptive_field
    timesteps = field.ahead + (_SOME if field.back is None else field.back) + _SLACK
    x = make_input(2, timesteps)
    _check_streaming(layer, x, timesteps, tolerance)
    _check_gradients(layer, x, timesteps, tolerance)
    _check_field(layer, make_input(1, timesteps), timesteps, hears_all)
    _check_not_a_number(layer, x, timesteps, tolerance)
    _check_batches(layer, x, timesteps, tolerance)
    if layer.takes_anything:
        _check_beside(layer, x, make_input, timesteps, tolerance)


def stream(
    layer: Layer[Any], x: Any, timesteps: int, beside: Any = None, steps: Sequence[int] = (1,)
) -> list[Tensor]:
    """Run a layer step by step and flush it; return outputs like ``forward``'s.

    Args:
        layer: layer to run.
        x: ``(batch, timesteps, ...)``.
        timesteps: length of the streams.
        beside: inputs before the streams and after their end, :data:`_BEFORE` timesteps and
            ``latency`` more; None begins with the streams and ends them with zeros.
        steps: number of timesteps of each step, repeated in a cycle.
    """
    batch = len(tensors_of(x)[0])
    state = layer.initial_state(batch)
    first = 0 if beside is None else -_BEFORE
    after = timesteps + layer.latency
    if beside is None:
        frames = _each(lambda one: _lengthened(one, layer.latency), x)
    else:
        frames = _each(
            lambda one, noise: torch.cat([noise[:, :_BEFORE], one, noise[:, _BEFORE:]], dim=1),
            x,
            beside,
        )
    outputs = []
    # As in use, the end is unknown before the flush, so no step crosses it.
    cuts = {*_cuts(first, after, steps), timesteps, after}
    for begins, ends in pairwise(sorted(cuts)):
        end = torch.full((batch,), UNKNOWN_END if begins < timesteps else timesteps)
        moment = Moment.of(layer, torch.arange(begins, ends).expand(batch, -1), end)
        part = _each(lambda one: one[:, begins - first : ends - first], frames)  # noqa: B023
        output, state = layer.step(part, moment, state)
        kept = max(layer.latency - begins, 0)
        outputs.append([one[:, kept:] for one in tensors_of(output)])
    return [torch.cat(column, dim=1) for column in zip(*outputs, strict=True)]


def _cuts(first: int, after: int, steps: Sequence[int]) -> list[int]:
    """Return the starts of steps of these lengths, repeated in a cycle."""
    return [*takewhile(lambda at: at < after, accumulate(cycle(steps), initial=first))]


def _lengthened(one: Tensor, timesteps: int) -> Tensor:
    """Add timesteps of zeros."""
    return torch.cat([one, torch.zeros_like(one[:, :1]).expand(-1, timesteps, *one.shape[2:])], 1)


def tensors_of(x: Any) -> list[Tensor]:
    """Return the tensors of an input or output, which may be a tuple with None in it."""
    if isinstance(x, tuple):
        return [tensor for one in x for tensor in tensors_of(one)]
    return [] if x is None else [x]


def _each(function: Callable[..., Tensor], x: Any, *others: Any) -> Any:
    """Apply a function to every tensor of an input and its counterparts in the others."""
    if isinstance(x, tuple):
        return tuple(_each(function, *ones) for ones in zip(x, *others, strict=True))
    return None if x is None else function(x, *others)


def _timestep(x: Any, step: int, timesteps: int) -> Any:
    """Return one timestep of the input, zeros after the last."""
    if step < timesteps:
        return _each(lambda one: one[:, step : step + 1], x)
    return _each(lambda one: torch.zeros_like(one[:, :1]), x)


def _check_streaming(layer: Layer[Any], x: Any, timesteps: int, tolerance: float) -> None:
    with torch.no_grad():
        offline, streamed = tensors_of(layer(x)), stream(layer, x, timesteps)
        for ours, theirs in zip(streamed, offline, strict=True):
            _assert_close(ours, theirs, tolerance, "streaming is not offline")
        for steps in _STEPS:
            at_once = stream(layer, x, timesteps, steps=steps)
            for ours, theirs in zip(at_once, streamed, strict=True):
                complaint = f"steps of {steps} timesteps are not steps of one"
                _assert_close(ours, theirs, tolerance, complaint)


def _check_gradients(layer: Layer[Any], x: Any, timesteps: int, tolerance: float) -> None:
    parameters = [one for one in layer.parameters() if one.requires_grad]

    def gradients(run: Callable[[Any], list[Tensor]]) -> list[Tensor]:
        own = _each(lambda one: one.detach().clone().requires_grad_(), x)
        outputs = run(own)
        weights = [torch.linspace(-1, 1, one.numel()).view_as(one) for one in outputs]
        pairs = zip(outputs, weights, strict=True)
        total = torch.stack([(one * weight).mean() for one, weight in pairs]).sum()
        wanted = [*tensors_of(own), *parameters]
        return list(torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True))

    with torch.enable_grad():
        offline = gradients(lambda own: tensors_of(layer(own)))
        streamed = gradients(lambda own: stream(layer, own, timesteps))
    for ours, theirs in zip(streamed, offline, strict=True):
        greatest = 100 * tolerance * max([0.0, *theirs.abs().flatten().tolist()]) + 1e-7
        _assert_close(ours, theirs, greatest, "the gradients differ")


def _check_field(layer: Layer[Any], x: Any, timesteps: int, hears_all: bool) -> None:
    """Check by gradient which input timesteps an output depends on."""
    field = layer.receptive_field
    assert layer.latency == field.ahead, "the latency is not the look-ahead"
    at = timesteps - 2 - field.ahead
    own = _each(lambda one: one.detach().clone().requires_grad_(), x)
    with torch.enable_grad():
        total = torch.stack([one[:, at].sum() for one in map(_mixed, tensors_of(layer(own)))]).sum()
        inputs = tensors_of(own)
        found = torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)
    felt = torch.stack([one[0].reshape(timesteps, -1).abs().sum(1) for one in found]).sum(0) > 0
    assert not felt[at + field.ahead + 1 :].any(), "it hears beyond its look-ahead"
    if hears_all:
        assert felt[at + field.ahead], "nothing is heard at the edge of the look-ahead"
    if field.back is not None:
        assert not felt[: at - field.back].any(), "it hears what it should have forgotten"
        if hears_all:
            assert felt[at - field.back], "nothing is heard at the far edge of the receptive field"


def _mixed(output: Tensor) -> Tensor:
    """Weight the values so that they do not cancel each other."""
    shape = output.shape[2:]
    weight = torch.linspace(0.5, 1.5, max(shape.numel(), 1)).reshape(shape)
    return output * weight


def _check_not_a_number(layer: Layer[Any], x: Any, timesteps: int, tolerance: float) -> None:
    """Check that a NaN leaves the state once it has left the receptive field."""
    field = layer.receptive_field
    if field.back is None:
        return
    spoilt = _each(lambda one: torch.cat([one[:, :1] * torch.nan, one[:, 1:]], dim=1), x)
    with torch.no_grad():
        for ours, theirs in zip(
            stream(layer, spoilt, timesteps), stream(layer, x, timesteps), strict=True
        ):
            after = field.back + 1
            _assert_close(ours[:, after:], theirs[:, after:], tolerance, "NaN stays in the state")


def _check_batches(layer: Layer[Any], x: Any, timesteps: int, tolerance: float) -> None:
    """Check that two streams stepped together, one beginning later, match each alone."""
    later = timesteps // 3
    state = layer.initial_state(2)
    end = torch.full((2,), timesteps)
    outputs = []
    with torch.no_grad():
        for step in range(timesteps + layer.latency + later):
            if step == later:  # the second's inputs until now are not part of its stream
                fresh = layer.initial_state(2)
                state = merged(lambda old, new: torch.cat([old[:1], new[1:]]), state, fresh)
            first = _timestep(x, step, timesteps)
            second = _timestep(x, max(step - later, 0), timesteps)
            frames = _each(lambda a, b: torch.stack([a[0], b[1]]), first, second)
            moment = Moment.of(layer, torch.tensor([[step], [step - later]]), end)
            output, state = layer.step(frames, moment, state)
            outputs.append(tensors_of(output))
        alone = stream(layer, x, timesteps)
    for column, expected in zip(zip(*outputs, strict=True), alone, strict=True):
        together = torch.cat(column, dim=1)
        for row, begins in ((0, layer.latency), (1, layer.latency + later)):
            own = together[row, begins : begins + timesteps]
            _assert_close(own, expected[row], tolerance, "a stream hears another one")


def _check_beside(
    layer: Layer[Any], x: Any, make_input: MakeInput, timesteps: int, tolerance: float
) -> None:
    """Check that noise outside the stream, as from a layer with latency, has no effect."""
    noise = make_input(len(tensors_of(x)[0]), _BEFORE + layer.latency)
    with torch.no_grad():
        noisy, alone = stream(layer, x, timesteps, noise), stream(layer, x, timesteps)
    for ours, theirs in zip(noisy, alone, strict=True):
        _assert_close(ours, theirs, tolerance, "it hears what is beside its stream")


def _assert_close(ours: Tensor, theirs: Tensor, tolerance: float, complaint: str) -> None:
    assert ours.shape == theirs.shape, f"{complaint}: {ours.shape} for {theirs.shape}"
    worst = (ours - theirs).abs().max().item() if ours.numel() else 0.0
    assert worst <= tolerance, f"{complaint}: by {worst:.2g}"
