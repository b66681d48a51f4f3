"""The network of a model file, one timestep of a batch of streams at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamer.delay import DelayLine
from streamer.errors import SerLiveError
from streamer.frontend import FRAMES_PER_TIMESTEP, FREQUENCY_BINS
from streamer.inference import LARGEST_BATCH
from streamer.metadata import UNKNOWN_END, ModelMetadata, StateSpec

if TYPE_CHECKING:
    import onnxruntime

Float32 = NDArray[np.float32]

#: The state tensor that counts the timesteps that came in.
_POSITION = "position"


class _Batch:
    """What the network remembers of streams that stepped together.

    Attributes:
        size: number of streams.
        positions: ``(size,)`` int64, timesteps that came in.
        lines: the other state tensors, in the order of the metadata.
    """

    __slots__ = ("lines", "positions", "size")

    def __init__(self, positions: NDArray[np.int64], lines: tuple[DelayLine, ...]) -> None:
        self.size = len(positions)
        self.positions = positions
        self.lines = lines


@dataclass(frozen=True, slots=True)
class NetworkState:
    """What the network remembers of one stream: its row of the batch in which it last stepped.

    Streams that step together again need not be gathered.
    """

    batch: _Batch
    row: int

    @property
    def position(self) -> int:
        """Timesteps that came in."""
        return int(self.batch.positions[self.row])


def in_batches(states: Sequence[NetworkState]) -> list[list[int]]:
    """Which states to step together, as indices: those that last did, the others as they come."""
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
    """An exported network; immutable, the state is passed through."""

    def __init__(self, session: onnxruntime.InferenceSession, metadata: ModelMetadata) -> None:
        """Join the parts.

        Raises:
            SerLiveError: the network is not what the metadata says.
        """
        self._session = session
        self._lines = [state for state in metadata.states if state.name != _POSITION]
        self._outputs = ["probabilities", "attention", *(f"next_{s.name}" for s in self._lines)]
        self._check(metadata)

    def initial_state(self) -> NetworkState:
        lines = [DelayLine(np.zeros((1, *one.shape), one.dtype)) for one in self._lines]
        return NetworkState(_Batch(np.zeros(1, np.int64), tuple(lines)), 0)

    def step(
        self, features: Float32, end: int, states: Sequence[NetworkState]
    ) -> tuple[Float32, Float32, list[NetworkState]]:
        """One timestep of each stream.

        Args:
            features: ``(batch, 4, 201)`` normalised.
            end: number of timesteps of the streams, ``UNKNOWN_END`` while they go on.
            states: of the streams.

        Returns:
            probabilities ``(batch, labels)``, attention ``(batch, T)`` and the new states.
        """
        batch = self._gather(states)
        probabilities, attention, *newest = self._run(features, end, batch)
        pairs = zip(batch.lines, newest, strict=True)
        after = _Batch(batch.positions + 1, tuple([line.pushed(rows) for line, rows in pairs]))
        return probabilities, attention, [NetworkState(after, row) for row in range(after.size)]

    def _gather(self, states: Sequence[NetworkState]) -> _Batch:
        batch = states[0].batch
        if len(states) == batch.size and all(
            state.batch is batch and state.row == row for row, state in enumerate(states)
        ):
            return batch
        positions = np.array([state.position for state in states], np.int64)
        windows = (
            np.array([state.batch.lines[index].window[state.row] for state in states])
            for index in range(len(self._lines))
        )
        return _Batch(positions, tuple(DelayLine(window) for window in windows))

    def _run(self, features: Float32, end: int, batch: _Batch) -> list[Any]:
        feeds = {
            "features": features,
            "end": np.full(batch.size, end, np.int64),
            _POSITION: batch.positions,
        }
        for spec, line in zip(self._lines, batch.lines, strict=True):
            feeds[spec.name] = line.window
        outputs: list[Any] = self._session.run(self._outputs, feeds)
        return outputs

    def _check(self, metadata: ModelMetadata) -> None:
        """Refuse a file whose network is not what its metadata says, before the first estimate."""
        names = {state.name for state in metadata.states}
        inputs = {one.name for one in self._session.get_inputs()}
        outputs = {one.name for one in self._session.get_outputs()}
        if (
            inputs != {"features", "end"} | names
            or outputs != {*self._outputs, f"next_{_POSITION}"}
            or _POSITION not in names
        ):
            raise SerLiveError("its network has other inputs or outputs than its metadata says")
        frames = np.full((1, FRAMES_PER_TIMESTEP, FREQUENCY_BINS), 0.5, np.float32)
        try:
            results = self._run(frames, UNKNOWN_END, self.initial_state().batch)
        except Exception as error:  # onnxruntime raises a dozen unrelated types
            raise SerLiveError("its network does not fit the shapes in its metadata") from error
        probabilities, attention, *newest = results
        fits = (
            probabilities.shape == (1, len(metadata.labels))
            and attention.shape == (1, metadata.window_timesteps)
            and all(_adds_to(*pair) for pair in zip(newest, self._lines, strict=True))
        )
        if not fits:
            raise SerLiveError("its network yields other shapes than its metadata says")
        if not all(np.all(np.isfinite(tensor)) for tensor in results):
            raise SerLiveError("its weights are damaged: the network yields NaN or infinity")


def _adds_to(newest: NDArray[Any], spec: StateSpec) -> bool:
    """Whether these ``(1, rows, ...)`` can be added to such a line."""
    rows, *row = newest.shape[1:]
    return (
        tuple(row) == spec.shape[1:]
        and 1 <= rows <= max(1, spec.shape[0])
        and newest.dtype == spec.dtype
    )
