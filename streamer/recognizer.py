"""Samples in, estimates out: an immutable recognizer, and streams that are state and no more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamer.bundled import bundled
from streamer.decision import Decision, DecisionState
from streamer.errors import SerLiveError
from streamer.frontend import (
    FRAMES_PER_TIMESTEP,
    FREQUENCY_BINS,
    LARGEST_SAMPLE,
    TIMESTEP_S,
    NormaliserState,
    Spectra,
    SpectralAnalysis,
    SpectraState,
)
from streamer.inference import open_session
from streamer.metadata import METADATA_KEY, UNKNOWN_END, ModelMetadata
from streamer.speech import SpeechDetector

if TYPE_CHECKING:
    import onnxruntime

Float32 = NDArray[np.float32]
Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The result for one timestep.

    Attributes:
        time: end of the timestep in stream time, seconds.
        label: an emotion, `silence`, `uncertain` or `warming up`.
        probabilities: ``(labels,)`` calibrated, float32.
        speech: speech probability.
        attention: ``(T,)`` weights over the rolling window, newest timestep last.
    """

    time: float
    label: str
    probabilities: Float32
    speech: float
    attention: Float32


@dataclass(frozen=True, slots=True)
class StreamState:
    """Everything one stream carries from block to block; its size does not depend on time.

    Attributes:
        spectra: pending samples and the voice gate.
        normaliser: running reference of the features.
        network: the network's state tensors by name, ``(1, ...)`` each.
        decision: smoothing and hysteresis.
        speech: speech probability of timesteps whose estimate is still to come.
        emitted: number of estimates that went out.
    """

    spectra: SpectraState
    normaliser: NormaliserState
    network: Tensors
    decision: DecisionState
    speech: tuple[float, ...]
    emitted: int


def model_path(path: Path | str | None) -> Path:
    """The named model file, or the one that is shipped."""
    return bundled("ser-live.onnx") if path is None else Path(path)


def open_model(path: Path) -> tuple[onnxruntime.InferenceSession, ModelMetadata]:
    """Open a model file on one thread.

    Raises:
        SerLiveError: the file is missing, no model of ours, or of another schema.
    """
    if not os.path.isfile(path):  # noqa: PTH113 (Path raises on names that are too long)
        raise SerLiveError(f"model {path}: no such file")
    try:
        session = open_session(path)
        properties = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # onnxruntime raises a dozen unrelated types
        raise SerLiveError(f"model {path}: not an ONNX file that can be run") from error
    if METADATA_KEY not in properties:
        raise SerLiveError(f"model {path}: an ONNX file, but not a ser-live model")
    try:
        return session, ModelMetadata.from_json(properties[METADATA_KEY])
    except SerLiveError as error:
        raise SerLiveError(f"model {path}: {error}") from error


class Recognizer:
    """A model ready to run; immutable, one serves any number of streams."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        metadata: ModelMetadata,
        detector: SpeechDetector | None = None,
    ) -> None:
        """Join the parts; :meth:`load` is the usual way.

        Raises:
            SerLiveError: the network is not what the metadata says.
        """
        self.metadata = metadata
        self._session = session
        self._analysis = SpectralAnalysis(detector or SpeechDetector())
        self._normaliser = metadata.normaliser
        self._decision = Decision(metadata.labels, metadata.window_timesteps, metadata.decision)
        self._outputs = ["probabilities", "attention"]
        self._outputs += [f"next_{state.name}" for state in metadata.states]
        self._check()

    @classmethod
    def load(cls, path: Path | str | None = None) -> Recognizer:
        """Load a model file, or the one that is shipped.

        Raises:
            SerLiveError: the file is missing, no model of ours, damaged, or of another schema.
        """
        path = model_path(path)
        session, metadata = open_model(path)
        try:
            return cls(session, metadata)
        except SerLiveError as error:
            raise SerLiveError(f"model {path}: {error}") from error

    def stream(self) -> Stream:
        """A new stream that has heard nothing."""
        return Stream(self)

    def initial_state(self) -> StreamState:
        return StreamState(
            spectra=self._analysis.initial_state(),
            normaliser=self._normaliser.initial_state(),
            network={
                state.name: np.zeros((1, *state.shape), state.dtype)
                for state in self.metadata.states
            },
            decision=self._decision.initial_state(),
            speech=(),
            emitted=0,
        )

    def accept(self, samples: Float32, state: StreamState) -> tuple[list[Estimate], StreamState]:
        """Add samples ``(samples,)``, 16 kHz mono float32; return the estimates now complete."""
        spectra, spectra_state = self._analysis.accept(samples, state.spectra)
        return self._run(spectra, spectra_state, state)

    def flush(self, state: StreamState) -> tuple[list[Estimate], StreamState]:
        """End the stream: every estimate still owed, ``samples // 640`` in total."""
        spectra, spectra_state = self._analysis.flush(state.spectra)
        estimates, state = self._run(spectra, spectra_state, state)
        end = state.spectra.timesteps
        nothing = np.zeros((FRAMES_PER_TIMESTEP, FREQUENCY_BINS), np.float32)
        for _ in range(self.metadata.delay_timesteps if end else 0):
            new, state = self._step(nothing, end, state)
            estimates += new
        return estimates, state

    def _run(
        self, spectra: Spectra, spectra_state: SpectraState, state: StreamState
    ) -> tuple[list[Estimate], StreamState]:
        features, normaliser_state = self._normaliser.normalise(spectra, state.normaliser)
        state = replace(
            state,
            spectra=spectra_state,
            normaliser=normaliser_state,
            speech=(*state.speech, *spectra.speech.tolist()),
        )
        estimates: list[Estimate] = []
        for frames in features:
            new, state = self._step(frames, UNKNOWN_END, state)
            estimates += new
        return estimates, state

    def _step(
        self, frames: Float32, end: int, state: StreamState
    ) -> tuple[list[Estimate], StreamState]:
        """One timestep into the network, and one estimate out once its delay line is full."""
        probabilities, attention, network = self.step_network(frames[None], end, state.network)
        state = replace(state, network=network)
        if int(network["position"][0]) <= self.metadata.delay_timesteps:
            return [], state
        speech = state.speech[0]
        label, decision = self._decision.decide(probabilities[0], speech, state.decision)
        emitted = state.emitted + 1
        estimate = Estimate(emitted * TIMESTEP_S, label, probabilities[0], speech, attention[0])
        state = replace(state, decision=decision, speech=state.speech[1:], emitted=emitted)
        return [estimate], state

    def step_network(
        self, features: Float32, end: int, state: Tensors
    ) -> tuple[Float32, Float32, Tensors]:
        """The network alone, for one timestep of a batch of streams.

        Args:
            features: ``(batch, 4, 201)`` normalised.
            end: number of timesteps of the streams, ``UNKNOWN_END`` while they go on.
            state: tensors by name, ``(batch, ...)`` each.

        Returns:
            probabilities ``(batch, labels)``, attention ``(batch, T)`` and the new state.
        """
        feeds = {"features": features, "end": np.full(len(features), end, np.int64), **state}
        probabilities, attention, *rest = self._session.run(self._outputs, feeds)
        names = (spec.name for spec in self.metadata.states)
        return probabilities, attention, dict(zip(names, rest, strict=True))

    def _check(self) -> None:
        """Refuse a file whose network is not what its metadata says, before the first estimate."""
        inputs = {one.name for one in self._session.get_inputs()}
        expected = {"features", "end"} | {state.name for state in self.metadata.states}
        outputs = {one.name for one in self._session.get_outputs()}
        if inputs != expected or outputs != set(self._outputs) or "position" not in inputs:
            raise SerLiveError("its network has other inputs or outputs than its metadata says")
        frames = np.full((1, FRAMES_PER_TIMESTEP, FREQUENCY_BINS), 0.5, np.float32)
        try:
            state = self.initial_state().network
            probabilities, attention, after = self.step_network(frames, UNKNOWN_END, state)
        except Exception as error:  # onnxruntime raises a dozen unrelated types
            raise SerLiveError("its network does not fit the shapes in its metadata") from error
        fits = (
            probabilities.shape == (1, len(self.metadata.labels))
            and attention.shape == (1, self.metadata.window_timesteps)
            and int(after["position"][0]) == 1
            and all(
                after[name].shape == tensor.shape and after[name].dtype == tensor.dtype
                for name, tensor in state.items()
            )
        )
        if not fits:
            raise SerLiveError("its network yields other shapes than its metadata says")
        tensors: Iterator[NDArray[Any]] = iter((probabilities, *after.values()))
        if not all(np.all(np.isfinite(tensor)) for tensor in tensors):
            raise SerLiveError("its weights are damaged: the network yields NaN or infinity")


class Stream:
    """One stream: ``accept`` samples, ``flush`` at the end, ``reset`` to hear something else."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self.state = recognizer.initial_state()
        self.is_flushed = False

    def accept(self, samples: Float32) -> list[Estimate]:
        """Add any number of samples, 16 kHz mono float32 in [-1, 1]; estimates now complete.

        Raises:
            RuntimeError: the stream was flushed.
            ValueError: not a vector of float32, or with samples that are no audio; the stream
                is as it was.
        """
        if self.is_flushed:
            raise RuntimeError("the stream was flushed: reset it first")
        given = np.asarray(samples)
        if given.ndim != 1 or given.dtype != np.float32:
            raise ValueError(f"samples must be a float32 vector, are {given.dtype} {given.shape}")
        if not np.all(np.abs(samples) <= LARGEST_SAMPLE):  # false for NaN too
            raise ValueError(f"samples must be finite and within +-{LARGEST_SAMPLE:g}")
        estimates, self.state = self._recognizer.accept(samples, self.state)
        return estimates

    def flush(self) -> list[Estimate]:
        """End of the stream: the estimates still owed.

        Raises:
            RuntimeError: it was flushed already.
        """
        if self.is_flushed:
            raise RuntimeError("the stream was flushed: reset it first")
        estimates, self.state = self._recognizer.flush(self.state)
        self.is_flushed = True
        return estimates

    def reset(self) -> None:
        """Forget everything heard."""
        self.state = self._recognizer.initial_state()
        self.is_flushed = False
