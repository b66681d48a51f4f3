"""The network of a model file, run for a batch of streams, one timestep at a time or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RunFailure, SerLiveError
from streamer.modelfile.runtime import LARGEST_BATCH, NetworkFile, try_run
from streamer.recognition.metadata import (
    HEARD,
    ONE_STEP,
    TIMESTEPS,
    UNKNOWN_END,
    VOICE,
    ModelMetadata,
    StateSpec,
)
from streamer.signal import FRAMES_PER_TIMESTEP, FREQUENCY_BINS

Float32 = NDArray[np.float32]

#: The state tensor that counts input timesteps.
_POSITION = "position"
#: NumPy's name of a type -> onnxruntime's.
_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)"}
_Outputs = dict[str, NDArray[Any]]
#: A copy between views: target and source.
_Move = tuple[NDArray[Any], NDArray[Any]]
#: Position of a row whose stream has moved to another batch.
_SPENT = -1


class _Batch:
    """Streams that step together: their network state, and the tensors of a step.

    The tensors stay in place. For single timesteps they are bound to the network once; passing them
    at every step would cost a fifth of its time.
    """

    def __init__(
        self,
        network: NetworkFile,
        inputs: dict[str, NDArray[Any]],
        outputs: dict[str, NDArray[Any]],
        results: Sequence[str],
    ) -> None:
        self.inputs = inputs
        self._network = network
        self._outputs = outputs
        self._results = results
        self.positions: NDArray[np.int64] = inputs[_POSITION]
        self.size = len(self.positions)
        self._bound: Callable[[], None] | None = None
        #: The copies after a single timestep.
        self._moves: list[_Move] = []

    def step(
        self, features: Float32, end: int, heard: Float32 | None
    ) -> tuple[Float32, Float32, Float32 | None]:
        """Run the network once; arguments and results as in :meth:`StepNetwork.step`.

        Raises:
            RunFailure: it failed, or its output is not a distribution.
        """
        timesteps = features.shape[1]
        self.inputs["end"].fill(end)
        try:
            if timesteps == 1:
                outputs, moves = self._run_one(features, heard)
            else:
                outputs, moves = self._run_many(features, heard)
        except Exception as error:  # onnxruntime raises a dozen unrelated types
            raise RunFailure("the network of the model failed in the middle of the run") from error
        results = [outputs[name].copy() for name in self._results]
        if not all(_are_shares(one) for one in results):
            raise RunFailure("the network of the model yields what is no probability")
        for target, source in moves:
            target[...] = source
        self.positions += timesteps
        probabilities, attention, *ordinary = results
        return probabilities, attention, ordinary[0] if ordinary else None

    def _run_one(self, features: Float32, heard: Float32 | None) -> tuple[_Outputs, list[_Move]]:
        self._bound = self._bound or self._bind()
        self.inputs["features"][:] = features
        if HEARD in self.inputs:
            self.inputs[HEARD][:] = 0.0 if heard is None else heard
        self._bound()
        return self._outputs, self._moves

    def _run_many(self, features: Float32, heard: Float32 | None) -> tuple[_Outputs, list[_Move]]:
        feeds = self.inputs | {"features": features}
        if HEARD in feeds:
            if heard is None:
                heard = np.zeros((*features.shape[:2], *feeds[HEARD].shape[2:]), np.float32)
            feeds[HEARD] = heard
        names = [*self._outputs]
        outputs = dict(zip(names, self._network.variant().run(names, feeds), strict=True))
        self._check_shapes(outputs, features.shape[1])
        return outputs, self._moves_of(outputs)

    def _check_shapes(self, outputs: _Outputs, timesteps: int) -> None:
        """Check that many timesteps give as many rows as one gives, times their number.

        Raises:
            ValueError: an output has another shape.
        """
        for name, one in self._outputs.items():
            batch, rows, *rest = one.shape
            # All of a small state, not a row of a delay line, has as many rows at any length.
            lengths = (rows * timesteps,) if name in self._results else (rows, rows * timesteps)
            if outputs[name].shape not in [(batch, length, *rest) for length in lengths]:
                raise ValueError(f"{name} has the shape {outputs[name].shape}")

    def _bind(self) -> Callable[[], None]:
        """Bind the tensors for single timesteps; return a function that runs one."""
        fixed = ONE_STEP if self.size == 1 else {TIMESTEPS: 1}
        session = self._network.variant(**fixed)
        binding = session.io_binding()
        for bind, tensors in (
            (binding.bind_input, self.inputs),
            (binding.bind_output, self._outputs),
        ):
            for name, tensor in tensors.items():
                bind(name, "cpu", 0, tensor.dtype, tensor.shape, tensor.ctypes.data)
        self._moves = self._moves_of(self._outputs)
        return lambda: session.run_with_iobinding(binding)

    def _moves_of(self, outputs: _Outputs) -> list[_Move]:
        """Return the copies by which the newest rows push the oldest out of each delay line."""
        return [
            move
            for name, line in self.inputs.items()
            if f"next_{name}" in outputs
            for move in _push(line, outputs[f"next_{name}"])
        ]


def _push(line: NDArray[Any], newest: NDArray[Any]) -> Iterator[_Move]:
    """Yield the copies that push ``(batch, n, ...)`` into ``(batch, length, ...)``."""
    rows = newest.shape[1]
    kept = line.shape[1] - rows
    if kept > 0:
        # One copy over all streams: it also moves rows into the previous stream, which the next
        # copy overwrites.
        flat, moved = line.reshape(-1), rows * line[0, 0].size
        yield flat[:-moved], flat[moved:]
    yield line[:, max(kept, 0) :], newest[:, max(-kept, 0) :]


@dataclass(frozen=True, slots=True)
class NetworkState:
    """The network's state of one stream: its row in the batch in which it last stepped.

    Streams that step together again need no gathering: a step moves their batch on in place.
    Either way, in place or by copying rows into another batch, a step uses up the states that it
    takes: they are refused from then on.

    Attributes:
        batch: holds the tensors.
        row: this stream's row in it.
        position: number of input timesteps.
    """

    batch: _Batch
    row: int
    position: int

    def check(self) -> None:
        """Raise if the stream cannot continue from this state.

        Raises:
            RuntimeError: it has been used up.
        """
        if int(self.batch.positions[self.row]) != self.position:
            raise RuntimeError("this state was used up: a stream goes on from its newest one only")


def in_batches(states: Sequence[NetworkState]) -> list[list[int]]:
    """Return the indices of states to step together: last step's batches, the others in order."""
    members: dict[int, list[int]] = {}
    for index, state in enumerate(states):
        members.setdefault(id(state.batch), []).append(index)
    whole: list[list[int]] = []
    loose: list[int] = []
    for indices in members.values():
        is_whole = len(indices) == states[indices[0]].batch.size > LARGEST_BATCH // 2
        (whole.append if is_whole else loose.extend)(indices)
    return whole + [loose[i : i + LARGEST_BATCH] for i in range(0, len(loose), LARGEST_BATCH)]


class StepNetwork:
    """An exported network; immutable, as callers pass the streams' states."""

    def __init__(self, network: NetworkFile, metadata: ModelMetadata) -> None:
        """Combine the parts.

        Raises:
            SerLiveError: the network does not match the metadata.
        """
        self._network = network
        self._results = metadata.results
        features = StateSpec("features", (1, FRAMES_PER_TIMESTEP, FREQUENCY_BINS), "float32")
        shape = (1, 2) if metadata.hears_level else (1,)
        heard = (StateSpec(HEARD, shape, "float32"),) if metadata.knows_voices else ()
        self._inputs = (features, StateSpec("end", (), "int64"), *heard, *metadata.states)
        self._outputs = self._checked_outputs(metadata)

    def initial_state(self, voice: Float32 | None = None) -> NetworkState:
        """Return the state of a new stream.

        Args:
            voice: ``(values + 1,)`` the known voice, for a network that adapts to voices: the mean
                and the number of timesteps in it; None if unknown.
        """
        batch = self._batch(1)
        if voice is not None:
            batch.inputs[VOICE][0, 0] = voice
        return NetworkState(batch, 0, 0)

    def voice_of(self, state: NetworkState) -> Float32:
        """Return what the network knows of the voice so far, as in :meth:`initial_state`.

        Raises:
            RuntimeError: the state has been used up.
        """
        state.check()
        voice: Float32 = state.batch.inputs[VOICE][state.row, 0].copy()
        return voice

    def step(
        self,
        features: Float32,
        end: int,
        states: Sequence[NetworkState],
        heard: Float32 | None = None,
    ) -> tuple[Float32, Float32, Float32 | None, list[NetworkState]]:
        """Run the next timesteps of each stream, as many for all.

        To float rounding, the results do not depend on how many a step takes.

        Args:
            features: ``(batch, timesteps, 4, 201)`` normalised.
            end: number of timesteps of the streams, ``UNKNOWN_END`` while they go on.
            states: the streams' states; used up.
            heard: ``(batch, timesteps)`` how much of the voice a network that adapts to voices
                takes in, at the estimates' timesteps; ``(batch, timesteps, 2)``, with its level in
                dB, for one that hears levels; None for nothing.

        Returns:
            probabilities ``(batch, timesteps, labels)``, attention ``(batch, timesteps, T)``,
            probability of ordinary speech ``(batch, timesteps, 1)`` or None if the network does not
            compute it, and the new states.

        Raises:
            RuntimeError: a state has been used up.
        """
        for state in states:
            state.check()
        batch = self._gather(states)
        results = batch.step(features, end, heard)
        timesteps = features.shape[1]
        after = [
            NetworkState(batch, row, state.position + timesteps) for row, state in enumerate(states)
        ]
        return *results, after

    def _gather(self, states: Sequence[NetworkState]) -> _Batch:
        """Return the batch of these states, or a new one; rows that were copied are spent."""
        batch = states[0].batch
        if len(states) == batch.size and all(
            state.batch is batch and state.row == row for row, state in enumerate(states)
        ):
            return batch
        gathered = self._batch(len(states))
        for spec in self._inputs:
            for row, state in enumerate(states):
                gathered.inputs[spec.name][row] = state.batch.inputs[spec.name][state.row]
        for state in states:
            state.batch.positions[state.row] = _SPENT
        return gathered

    def _batch(self, size: int) -> _Batch:
        inputs, outputs = _zeros(self._inputs, size), _zeros(self._outputs, size)
        return _Batch(self._network, inputs, outputs, self._results)

    def _checked_outputs(self, metadata: ModelMetadata) -> tuple[StateSpec, ...]:
        """Return the shapes of the network's output states, without the position, counted here.

        Raises:
            SerLiveError: its inputs, outputs or weights do not match the metadata.
        """
        lines = [state for state in metadata.states if state.name != _POSITION]
        names = [*metadata.results, *(f"next_{line.name}" for line in lines)]
        types = {spec.name: _TYPES[spec.dtype] for spec in self._inputs}
        yields = dict.fromkeys(metadata.results, _TYPES["float32"])
        yields |= {f"next_{state.name}": types[state.name] for state in metadata.states}
        session = self._network.variant(**ONE_STEP)
        if (
            types != {one.name: one.type for one in session.get_inputs()}
            or yields != {one.name: one.type for one in session.get_outputs()}
            or StateSpec(_POSITION, (), "int64") not in metadata.states
        ):
            raise SerLiveError("its network has other inputs or outputs than its metadata says")
        feeds = _zeros(self._inputs, 1)
        feeds["features"].fill(0.5)
        feeds["end"].fill(UNKNOWN_END)
        if HEARD in feeds:  # as for a stream that knows its voice and hears it
            feeds[HEARD].fill(1.0)
            feeds[VOICE].fill(1.0)
            feeds[_POSITION].fill(metadata.delay_timesteps)
        try:
            results = try_run(session, names, feeds)
        except Exception as error:  # onnxruntime raises a dozen unrelated types
            raise SerLiveError(
                "its network does not fit the shapes in its metadata, or takes too long or too "
                "much memory"
            ) from error
        shares, newest = results[: len(metadata.results)], results[len(metadata.results) :]
        shapes = [(1, 1, len(metadata.labels)), (1, 1, metadata.window_timesteps), (1, 1, 1)]
        fits = [one.shape for one in shares] == shapes[: len(shares)] and all(
            _is_part_of(*pair) for pair in zip(newest, lines, strict=True)
        )
        if not fits:
            raise SerLiveError("its network yields other shapes than its metadata says")
        if not all(np.all(np.isfinite(tensor)) for tensor in results):
            raise SerLiveError("its weights are damaged: the network yields NaN or infinity")
        if not all(_are_shares(one) for one in shares):
            raise SerLiveError("its network yields what is no probability")
        return tuple(
            StateSpec(name, tensor.shape[1:], str(tensor.dtype))
            for name, tensor in zip(names, results, strict=True)
        )


def _zeros(specs: Sequence[StateSpec], batch: int) -> dict[str, NDArray[Any]]:
    return {spec.name: np.zeros((batch, *spec.shape), spec.dtype) for spec in specs}


def _are_shares(values: NDArray[Any]) -> bool:
    """Return whether all lie in [0, 1], to float rounding; false for NaN too."""
    return bool(values.min() >= 0 and values.max() <= 1.0001)


def _is_part_of(newest: NDArray[Any], spec: StateSpec) -> bool:
    """Return whether these ``(1, rows, ...)`` can be added to such a delay line."""
    return (
        newest.ndim == 1 + len(spec.shape) > 1
        and newest.shape[2:] == spec.shape[1:]
        and min(1, spec.shape[0]) <= newest.shape[1] <= max(1, spec.shape[0])
        and newest.dtype == spec.dtype
    )
