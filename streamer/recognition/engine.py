"""Computes estimates from samples and stream states; it does not know streams."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RunFailure, SerLiveError
from streamer.modelfile.runtime import NetworkFile
from streamer.recognition.decision import SILENCE, WARMING_UP, Decision
from streamer.recognition.estimate import Estimate, StreamState
from streamer.recognition.level import UNKNOWN_DB, LevelState, levels_of
from streamer.recognition.metadata import UNKNOWN_END, ModelMetadata
from streamer.recognition.network import StepNetwork, in_batches
from streamer.recognition.prior import BALANCED, EVERYDAY, Prior, under_prior
from streamer.recognition.profile import NOTHING, ORDINARY, Profile, check_type
from streamer.recognition.spectra import Spectra, SpectralAnalysis, SpectraState
from streamer.recognition.voice_gate import SpeechDetector
from streamer.signal import FRAMES_PER_TIMESTEP, FREQUENCY_BINS, SPEECH_THRESHOLD, TIMESTEP_S

Float32 = NDArray[np.float32]

#: Timesteps that a stream may give to the network at once.
AT_ONCE = range(1, 257)
#: Least timesteps in the mean of a voice that is known; fewer may be rounding alone.
LEAST_KNOWN = 0.5
_NO_FEATURES = np.zeros((0, FRAMES_PER_TIMESTEP, FREQUENCY_BINS), np.float32)


class StateRun:
    """A stream's state during a call, and the estimates that come out."""

    def __init__(self, state: StreamState) -> None:
        """Continue a stream.

        Raises:
            RuntimeError: the state has been used up.
        """
        state.network.check()
        self.spectra = state.spectra
        self.normaliser = state.normaliser
        self.network = state.network
        self.decision = state.decision
        self.speech = deque(state.speech)
        self.level = state.level
        self.emitted = state.emitted
        self.takes_in = state.takes_in
        self.at_once = state.at_once
        self._features = _NO_FEATURES
        self._taken = 0
        self.estimates: list[Estimate] = []

    def state(self) -> StreamState:
        return StreamState(
            self.spectra,
            self.normaliser,
            self.network,
            self.decision,
            tuple(self.speech),
            self.level,
            self.emitted,
            self.takes_in,
            self.at_once,
        )

    def add(self, features: Float32) -> None:
        """Add timesteps for the network."""
        if self.waiting:
            features = np.concatenate([self._features[self._taken :], features])
        self._features, self._taken = features, 0

    @property
    def waiting(self) -> int:
        """The number of timesteps that the network has not taken."""
        return len(self._features) - self._taken

    def take(self, timesteps: int) -> Float32:
        """Return the next timesteps for the network."""
        self._taken += timesteps
        return self._features[self._taken - timesteps : self._taken]

    def heard(self, delay_timesteps: int, timesteps: int) -> list[tuple[float, float]]:
        """Return what the voice memory is told at each of the next timesteps' estimates.

        Returns:
            how much it takes in, and the level of the speech in dB.
        """
        before = min(max(delay_timesteps - self.network.position, 0), timesteps)
        told = [
            (self.takes_in if speech >= SPEECH_THRESHOLD else NOTHING, level)
            for speech, level in islice(self.speech, timesteps - before)
        ]
        return [(NOTHING, UNKNOWN_DB)] * before + told


class Engine:
    """A model that steps stream states; immutable, for any number of streams and threads.

    Attributes:
        metadata: labels, look-ahead, and what the model was trained on.
        prior: the assumed frequency of each label.
        digest: SHA-256 of the model's file, in hexadecimal digits; empty if it was not loaded.
    """

    def __init__(
        self,
        network: NetworkFile,
        metadata: ModelMetadata,
        detector: SpeechDetector | None = None,
    ) -> None:
        """Combine the parts; usually called by :meth:`Recognizer.load`.

        Raises:
            SerLiveError: the network does not match the metadata.
        """
        self.metadata = metadata
        self.prior: Prior = BALANCED
        self.digest = ""
        self._network = StepNetwork(network, metadata)
        self._analysis = SpectralAnalysis(detector or SpeechDetector())
        self._normaliser = metadata.normaliser
        self._decision = Decision(metadata.labels, metadata.window_timesteps, metadata.decision)
        self._shares = np.array(metadata.everyday_prior, np.float64)

    def check_knows_voices(self) -> None:
        """Check that the model can make and use profiles.

        Raises:
            SerLiveError: it does not adapt to voices.
        """
        if not self.metadata.knows_voices:
            raise SerLiveError(
                f"the model {self.metadata.name} knows no voices: it makes and takes no profile"
            )

    def check_profile(self, profile: Profile) -> None:
        """Check that a profile fits the model.

        Raises:
            SerLiveError: another model made it, or the model does not adapt to voices.
            ValueError: it is not a profile.
        """
        check_type(profile)
        self.check_knows_voices()
        profile.check(self.metadata, self.digest)

    def initial_state(
        self, profile: Profile | None = None, takes_in: float = ORDINARY, at_once: int = 1
    ) -> StreamState:
        """Return the state of a new stream.

        Args:
            profile: as in :meth:`Recognizer.stream`.
            takes_in: how much of its voice it takes in, see
                :data:`streamer.recognition.profile.ORDINARY`.
            at_once: as in :meth:`Recognizer.stream`.

        Raises:
            SerLiveError: as in :meth:`check_profile`.
            ValueError: ``at_once`` is out of range.
        """
        if type(at_once) is not int or at_once not in AT_ONCE:
            raise ValueError(f"at_once must lie in {AT_ONCE[0]}..{AT_ONCE[-1]}, is {at_once}")
        if profile is not None:
            self.check_profile(profile)
        return StreamState(
            spectra=self._analysis.initial_state(),
            normaliser=self._normaliser.initial_state(),
            network=self._network.initial_state(None if profile is None else profile.voice),
            decision=self._decision.initial_state(),
            speech=(),
            level=LevelState(),
            emitted=0,
            takes_in=takes_in,
            at_once=at_once,
        )

    def profile_of(self, state: StreamState) -> Profile:
        """Return what a stream knows of its voice so far; this does not use up the state.

        Raises:
            SerLiveError: the model does not adapt to voices, or knows nothing of this one yet.
            RunFailure: the model's values do not make a profile.
            RuntimeError: the state has been used up.
        """
        self.check_knows_voices()
        voice = self._network.voice_of(state.network)
        if voice[-1] < LEAST_KNOWN:
            raise SerLiveError("no ordinary speech was taken in: nothing is known of the voice")
        name = self.metadata.name
        try:
            return Profile.of_voice(voice, name, self.digest, datetime.now(UTC))
        except ValueError as error:
            raise RunFailure(f"the model {name} has made no profile: {error}") from error

    def accept(self, samples: Float32, state: StreamState) -> tuple[list[Estimate], StreamState]:
        """Add samples ``(samples,)``, 16 kHz mono float32; return the estimates now complete.

        This uses up the state passed in.

        Raises:
            RuntimeError: that state has already been used up.
        """
        [result] = self.accept_states([samples], [StateRun(state)])
        return result

    def flush(self, state: StreamState) -> tuple[list[Estimate], StreamState]:
        """End the stream; return the remaining estimates, for ``samples // 640`` in total.

        This uses up the state passed in.

        Raises:
            RuntimeError: that state has already been used up.
        """
        run = StateRun(state)
        self._hear([run], [self._analysis.flush(state.spectra, state.at_once)])
        end = run.network.position + run.waiting
        if end:
            delay = self.metadata.delay_timesteps
            run.add(np.zeros((delay, FRAMES_PER_TIMESTEP, FREQUENCY_BINS), np.float32))
            while run.waiting:
                self._step(min(run.at_once, run.waiting), end, [run])
        return run.estimates, run.state()

    def accept_states(
        self, blocks: Sequence[Float32], runs: list[StateRun]
    ) -> list[tuple[list[Estimate], StreamState]]:
        for at_once in {run.at_once for run in runs}:
            pairs = [one for one in zip(blocks, runs, strict=True) if one[1].at_once == at_once]
            heard, alike = [block for block, _ in pairs], [run for _, run in pairs]
            spectra = [run.spectra for run in alike]
            self._hear(alike, self._analysis.accept_many(heard, spectra, at_once))
            self._estimate(alike, at_once)
        return [(run.estimates, run.state()) for run in runs]

    def _hear(self, runs: list[StateRun], analysed: list[tuple[Spectra, SpectraState]]) -> None:
        """Add the front end's output for new samples of streams alike."""
        normalised = self._normaliser.normalise_many(
            [spectra for spectra, _ in analysed],
            [run.normaliser for run in runs],
            runs[0].at_once,
        )
        for run, (spectra, after), (features, normaliser) in zip(
            runs, analysed, normalised, strict=True
        ):
            run.spectra, run.normaliser = after, normaliser
            run.add(features)
            if self.metadata.hears_level:
                levels, run.level = levels_of(spectra, run.level)
            else:
                levels = [UNKNOWN_DB] * len(spectra.speech)
            run.speech.extend(zip(spectra.speech.tolist(), levels, strict=True))

    def _estimate(self, runs: list[StateRun], at_once: int) -> None:
        """Take all timesteps."""
        while ready := [run for run in runs if run.waiting]:
            for batch in in_batches([run.network for run in ready]):
                self._step(at_once, UNKNOWN_END, [ready[i] for i in batch])

    def _step(self, timesteps: int, end: int, runs: list[StateRun]) -> None:
        """Feed timesteps to the network; keep the estimates once the delay lines are full."""
        delay = self.metadata.delay_timesteps
        heard = None
        if self.metadata.knows_voices:
            heard = np.array([run.heard(delay, timesteps) for run in runs], np.float32)
            if not self.metadata.hears_level:
                heard = heard[..., 0]
        features = np.array([run.take(timesteps) for run in runs])
        probabilities, attention, ordinary, states = self._network.step(
            features, end, [run.network for run in runs], heard
        )
        if self.prior == EVERYDAY:
            share = self.metadata.ordinary_share
            rows = None if ordinary is None else ordinary.reshape(-1, 1)
            balanced = probabilities.reshape(-1, probabilities.shape[-1])
            probabilities = under_prior(balanced, self._shares, rows, share).reshape(
                probabilities.shape
            )
        for index, (run, state) in enumerate(zip(runs, states, strict=True)):
            first = max(delay - run.network.position, 0)
            run.network = state
            likely = None if ordinary is None else ordinary[index, first:, 0].tolist()
            self._decide(run, probabilities[index, first:], attention[index, first:], likely)

    def _decide(
        self, run: StateRun, probabilities: Float32, attention: Float32, likely: list[float] | None
    ) -> None:
        """Make the estimates of a stream's next timesteps."""
        shares = probabilities.tolist()
        for index, (row, weights) in enumerate(zip(probabilities, attention, strict=True)):
            speech, _ = run.speech.popleft()
            label, run.decision = self._decision.decide(shares[index], speech, run.decision)
            run.emitted += 1
            time = run.emitted * TIMESTEP_S
            weighed = None
            if label not in (SILENCE, WARMING_UP):
                weighed = self._decision.weighed(run.decision)
            ordinary = None if likely is None else likely[index]
            run.estimates.append(Estimate(time, label, row, speech, weights, ordinary, weighed))
