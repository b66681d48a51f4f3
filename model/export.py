"""Export a step of the network to ONNX, for any number of streams and timesteps.

For each state tensor, the output named ``next_`` plus its name holds what the step adds along its
first axis: a row per timestep of a delay line, which drops its oldest, or all of a small state. The
caller keeps the lines, so no long state is copied for one row.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from model.contract import Moment
from model.network import Network, NetworkState
from streamer.modelfile.identity import METADATA_KEY
from streamer.outputs import write_whole
from streamer.recognition.metadata import HEARD, ModelMetadata, StateSpec
from streamer.signal import FRAMES_PER_TIMESTEP, FREQUENCY_BINS

OPSET = 20


def for_inference(network: Network) -> Network:
    """Return a copy for inference, with fewer operators.

    Batch norms are folded into the layers before them, and the classifiers into one.
    """
    folded = copy.deepcopy(network).eval()
    convolutions = ("first", "second") if folded.config.front == "convolution" else ()
    in_front = (*convolutions, "enter")
    pairs: list[tuple[nn.Module, str, str]] = [
        *((folded.front, layer, f"{layer}_norm") for layer in in_front),
        *((block, "expand", "norm") for block in folded.blocks),
    ]
    for module, layer, norm in pairs:
        is_linear = isinstance(getattr(module, layer), nn.Linear)
        fuse: Callable[..., nn.Module] = fuse_linear_bn_eval if is_linear else fuse_conv_bn_eval
        setattr(module, layer, fuse(getattr(module, layer), getattr(module, norm)))
        setattr(module, norm, nn.Identity())
    if folded.ordinary is not None:
        folded.classifier, folded.ordinary = _joined(folded.classifier, folded.ordinary), None
    return folded


def _joined(*layers: nn.Linear) -> nn.Linear:
    """Return a layer whose outputs are those of all layers, which take the same input."""
    weights = torch.cat([layer.weight.detach() for layer in layers])
    joined = nn.Linear(weights.shape[1], len(weights), device=weights.device)
    joined.weight = nn.Parameter(weights)
    joined.bias = nn.Parameter(torch.cat([layer.bias.detach() for layer in layers]))
    return joined


def state_specs(state: NetworkState) -> tuple[StateSpec, ...]:
    """Return name, shape per stream and dtype of every state tensor; the last is the position."""
    tensors = tuple(
        StateSpec(name, tuple(tensor.shape[1:]), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in state.named()
    )
    return (*tensors, StateSpec("position", (), "int64"))


class _Step(nn.Module):
    """The exported function, with positional tensors and calibrated probabilities."""

    def __init__(self, network: Network, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature
        self._template = network.initial_state(1)
        self._names = [name for name, _ in self._template.named()]

    def forward(self, features: Tensor, end: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        heard, states = (rest[0], rest[1:]) if self.network.config.voice else (None, rest)
        *tensors, position = states
        state = self._template.replaced(dict(zip(self._names, tensors, strict=True)))
        timesteps = features.shape[1]
        positions = position[:, None] + torch.arange(timesteps)
        moment = Moment.of(self.network, positions, end)
        (logits, attention), newest = self.network.newest(features, moment, state, heard)
        labels = logits[..., : len(self.network.config.labels)]
        results = [torch.softmax(labels / self.temperature, dim=-1), attention]
        if self.network.config.ordinary:
            results.append(torch.sigmoid(logits[..., -1:]))
        return (*results, *(tensor for _, tensor in newest.rows.named()), position + timesteps)


def export(network: Network, metadata: ModelMetadata, path: Path) -> None:
    """Write the network, its weights and its metadata to one file, without pickle.

    Raises:
        ValueError: the metadata does not describe this network.
    """
    config = network.config
    state = network.initial_state(2)  # the exporter takes a batch of one for a constant
    if (
        metadata.labels,
        metadata.look_ahead_samples,
        metadata.states,
        metadata.tells_ordinary,
        metadata.hears_level,
    ) != (
        config.labels,
        network.look_ahead_samples,
        state_specs(state),
        config.ordinary,
        config.level,
    ):
        raise ValueError("the metadata does not describe this network")
    names = [spec.name for spec in metadata.states]
    position = torch.zeros(2, dtype=torch.int64)
    tensors = (*(tensor for _, tensor in state.named()), position)
    if config.voice:
        tensors = (torch.zeros(2, 3, 2) if config.level else torch.zeros(2, 3), *tensors)
    features = torch.zeros(2, 3, FRAMES_PER_TIMESTEP, FREQUENCY_BINS)
    end = torch.zeros(2, dtype=torch.int64)
    batch = batch_dimension()
    timesteps = torch.export.Dim("timesteps", min=1, max=4096)
    dynamic: dict[str, Any] = {
        "features": {0: batch, 1: timesteps},
        "end": {0: batch},
        "rest": tuple(
            {0: batch, 1: timesteps} if config.voice and index == 0 else {0: batch}
            for index in range(len(tensors))
        ),
    }
    write_onnx(
        _Step(for_inference(network), metadata.temperature).eval(),
        (features, end, *tensors),
        path,
        {METADATA_KEY: metadata.to_json()},
        input_names=["features", "end", *([HEARD] if config.voice else ()), *names],
        output_names=[*metadata.results, *(f"next_{name}" for name in names)],
        dynamic_shapes=dynamic,
    )


def batch_dimension() -> torch.export.Dim:
    """Return the dynamic first dimension of exported tensors."""
    return torch.export.Dim("batch", min=1, max=4096)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence messages that need no action: missing packages, names, coming changes."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", ".*The axis name", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def write_onnx(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    properties: dict[str, str],
    **options: Any,
) -> None:
    """Write a module as an ONNX file with only the properties as its metadata.

    Args:
        module: module in evaluation mode.
        example: example inputs.
        path: file to write.
        properties: metadata of the file.
        options: names and shapes for ``torch.onnx.export``.

    Raises:
        RuntimeError: torch exported nothing.
    """
    import onnx

    with _quiet_exporter():
        program = torch.onnx.export(
            module, example, opset_version=OPSET, dynamo=True, verbose=False, **options
        )
    if program is None:
        raise RuntimeError("torch exported nothing")
    proto = program.model_proto
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, properties)
    for node in proto.graph.node:
        del node.metadata_props[:]  # the exporter's stack traces
        node.doc_string = ""
    write_whole(path, proto.SerializeToString(), force=True)


def describe_model(source: Path, metadata: ModelMetadata, path: Path) -> None:
    """Write a copy of a model file with other metadata."""
    import onnx

    proto = onnx.load(str(source))
    onnx.helper.set_model_props(proto, {METADATA_KEY: metadata.to_json()})
    write_whole(path, proto.SerializeToString(), force=True)
