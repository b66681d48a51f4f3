"""Recognizes emotions in samples: an immutable recognizer, and streams that hold only state."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from streamer.modelfile.shipped import model_path
from streamer.recognition.engine import Engine, StateRun
from streamer.recognition.enrolment import Enrolment
from streamer.recognition.estimate import Estimate
from streamer.recognition.opening import opened, read_model
from streamer.recognition.prior import BALANCED, EVERYDAY, PRIORS, Prior
from streamer.recognition.profile import NOTHING, ORDINARY, Profile
from streamer.recognition.stream import Stream

Float32 = NDArray[np.float32]


class Recognizer(Engine):
    """A model ready to run; immutable, for any number of streams and threads.

    >>> recognizer = Recognizer.load()  # the shipped model, or a file: load("mine.onnx")
    >>> recognizer.metadata.labels
    ('angry', 'happy', 'neutral', 'sad')
    >>> two = [recognizer.stream(), recognizer.stream()]
    >>> blocks = [np.zeros(8_000, np.float32), np.zeros(100, np.float32)]
    >>> [len(estimates) for estimates in recognizer.accept_many(two, blocks)]
    [8, 0]

    Most callers need only :meth:`stream`. :meth:`initial_state`, :meth:`accept` and :meth:`flush`
    do the same, but the caller keeps the state.

    Attributes:
        metadata: labels, look-ahead, and what the model was trained on.
        prior: the assumed frequency of each label.
        digest: SHA-256 of the model's file, in hexadecimal digits; empty if it was not loaded.
    """

    @classmethod
    def load(cls, path: Path | str | None = None, prior: Prior = BALANCED) -> Self:
        """Load a model file, or the one that is shipped.

        Args:
            path: path of the file, or name of a shipped model; None for the default.
            prior: as in :meth:`with_prior`.

        Raises:
            SerLiveError: the file is missing, not a model of ours, damaged, of another schema, or
                without the prior.
        """
        path = model_path(path)
        data = read_model(path)
        network, metadata = opened(path, data)
        try:
            recognizer = cls(network, metadata).with_prior(prior)
            recognizer.digest = hashlib.sha256(data).hexdigest()
            return recognizer
        except SerLiveError as error:
            raise SerLiveError(f"model {path}: {error}", option=error.option) from error

    def with_prior(self, prior: Prior) -> Self:
        """Return the same model under another prior: `balanced`, all labels alike, or `everyday`.

        Raises:
            SerLiveError: the model has no everyday frequencies of its labels.
            ValueError: there is no such prior.
        """
        if prior not in PRIORS:
            raise ValueError(f"prior must be one of {', '.join(PRIORS)}, is {prior!r}")
        if prior == EVERYDAY and not self.metadata.everyday_prior:
            raise SerLiveError(
                "it does not know how often its labels are met every day, so its prior is balanced",
                option="say --prior balanced",
            )
        other = copy.copy(self)
        other.prior = prior
        return other

    def load_profile(self, path: Path | str) -> Profile:
        """Load a profile for this model; the file need not be trusted.

        Raises:
            SerLiveError: it cannot be read, is not a profile, or belongs to another model.
        """
        profile = Profile.load(path)
        try:
            self.check_profile(profile)
        except SerLiveError as error:
            raise SerLiveError(f"profile {path}: {error}") from error
        return profile

    def stream(
        self, profile: Profile | None = None, adapts: bool = True, at_once: int = 1
    ) -> Stream:
        """Return a new stream.

        A model that adapts to voices (``metadata.knows_voices``) compares speech with the usual
        sound of its voice.

        Args:
            profile: prior knowledge of the voice; None for nothing.
            adapts: whether the stream learns the voice further as it hears it.
            at_once: number of timesteps that the network takes at once, 1 to 256. With 1, every
                estimate comes as soon as it can; with more, estimates come in groups of that size.
                With 32, a timestep takes less than a third of the time. The estimates are
                the same to float rounding.

        Raises:
            SerLiveError: as in :meth:`check_profile`.
            ValueError: ``at_once`` is out of range.
        """
        return Stream(self, profile, ORDINARY if adapts else NOTHING, at_once)

    def enrol(self, samples: Float32 | Iterable[Float32]) -> Profile:
        """Return the profile of a voice, from 20 s or more of its ordinary speech.

        Args:
            samples: one recording as :meth:`Stream.accept` takes it, whole or in blocks.

        Raises:
            SerLiveError: the model does not adapt to voices, or there are less than 5 s of speech.
            RunFailure: the model's values do not make a profile.
            ValueError: the input is not audio.
        """
        enrolment = Enrolment(self)
        if not isinstance(samples, Iterable):
            raise ValueError(f"samples must be an array or blocks of them, are {samples!r}")
        for block in [samples] if isinstance(samples, np.ndarray) else samples:
            enrolment.accept(block)
        enrolment.end_recording()
        return enrolment.profile()

    def accept_many(
        self, streams: Sequence[Stream], blocks: Sequence[Float32]
    ) -> list[list[Estimate]]:
        """Add a block to each of many streams at once, for a fraction of the cost of single calls.

        The set of streams may change with every call; to float rounding, a stream's estimates do
        not depend on the others.

        Args:
            streams: streams of this recognizer, each once.
            blocks: one per stream, as in :meth:`Stream.accept`, of any sizes.

        Returns:
            the estimates now complete, by stream.

        Raises:
            RuntimeError: a stream was flushed, or its state was used up.
            ValueError: a block is not audio, a stream or its state comes twice, or one belongs to
                another recognizer. Refused input leaves all streams unchanged; after any other
                exception reset the streams.
        """
        if len(streams) != len(blocks):
            raise ValueError(f"{len(streams)} streams need as many blocks, there are {len(blocks)}")
        if not streams:
            return []
        runs, given = [], []
        for index, (stream, samples) in enumerate(zip(streams, blocks, strict=True)):
            if stream.recognizer is not self:
                raise ValueError(f"stream {index} is of another recognizer")
            try:
                given.append(stream.checked(samples))
                runs.append(StateRun(stream.state))
            except (RuntimeError, ValueError) as error:
                raise type(error)(f"stream {index}: {error}") from error
        if len({run.network for run in runs}) != len(runs):
            raise ValueError("a stream can take only one block at a time")
        results = self.accept_states(given, runs)
        for stream, (_, state) in zip(streams, results, strict=True):
            stream.state = state
        return [estimates for estimates, _ in results]
