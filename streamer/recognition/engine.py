"""Computes estimates from samples and stream states; it does not know streams."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RunFailure, SerLiveError
from streamer.recognition.decision import SILENCE, WARMING_UP, Decision
from streamer.recognition.estimate import Estimate, StreamState
from streamer.recognition.metadata import UNKNOWN_END, ModelMetadata
from streamer.recognition.network import StepNetwork, in_batches
from streamer.recognition.prior import BALANCED, EVERYDAY, Prior, under_prior
from streamer.recognition.profile import NOTHING, ORDINARY, Profile
from streamer.recognition.spectra import Spectra, SpectralAnalysis, SpectraState
from streamer.recognition.voice_gate import SpeechDetector
from streamer.signal import FRAMES_PER_TIMESTEP, FREQUENCY_BINS, SPEECH_THRESHOLD, TIMESTEP_S

if TYPE_CHECKING:
    import onnxruntime

Float32 = NDArray[np.float32]


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
        self.emitted = state.emitted
        self.takes_in = state.takes_in
        self.features: Float32
        self.estimates: list[Estimate] = []

    def state(self) -> StreamState:
        return StreamState(
            self.spectra,
            self.normaliser,
            self.network,
            self.decision,
            tuple(self.speech),
            self.emitted,
            self.takes_in,
        )

    def heard(self, delay_timesteps: int) -> float:
        """Return how much of the voice the next step takes in, at its estimate's timestep."""
        if self.network.position < delay_timesteps or self.speech[0] < SPEECH_THRESHOLD:
            return NOTHING
        return self.takes_in


class Engine:
    """A model that steps stream states; immutable, for any number of streams and threads.

    Attributes:
        metadata: labels, look-ahead, and what the model was trained on.
        prior: the assumed frequency of each label.
        digest: SHA-256 of the model's file, in hexadecimal digits; empty if it was not loaded.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        metadata: ModelMetadata,
        detector: SpeechDetector | None = None,
    ) -> None:
        """Combine the parts; usually called by :meth:`load`.

        Raises:
            SerLiveError: the network does not match the metadata.
        """
        self.metadata = metadata
        self.prior: Prior = BALANCED
        self.digest = ""
        self._network = StepNetwork(session, metadata)
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
        """
        self.check_knows_voices()
        profile.check(self.metadata, self.digest)

    def initial_state(
        self, profile: Profile | None = None, takes_in: float = ORDINARY
    ) -> StreamState:
        """Return the state of a new stream.

        Args:
            profile: as in :meth:`stream`.
            takes_in: how much of its voice it takes in, see
                :data:`streamer.recognition.profile.ORDINARY`.

        Raises:
            SerLiveError: as in :meth:`check_profile`.
        """
        if profile is not None:
            self.check_profile(profile)
        return StreamState(
            spectra=self._analysis.initial_state(),
            normaliser=self._normaliser.initial_state(),
            network=self._network.initial_state(None if profile is None else profile.voice),
            decision=self._decision.initial_state(),
            speech=(),
            emitted=0,
            takes_in=takes_in,
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
        if not voice[-1]:
            raise SerLiveError("no speech was heard, so nothing is known of the voice")
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
        self._hear([run], [self._analysis.flush(state.spectra)])
        self._estimate([run])
        end = run.network.position
        nothing = np.zeros((FRAMES_PER_TIMESTEP, FREQUENCY_BINS), np.float32)
        for _ in range(self.metadata.delay_timesteps if end else 0):
            self._step([nothing], end, [run])
        return run.estimates, run.state()

    def accept_states(
        self, blocks: Sequence[Float32], runs: list[StateRun]
    ) -> list[tuple[list[Estimate], StreamState]]:
        spectra = [run.spectra for run in runs]
        self._hear(runs, self._analysis.accept_many(blocks, spectra))
        self._estimate(runs)
        return [(run.estimates, run.state()) for run in runs]

    def _hear(self, runs: list[StateRun], analysed: list[tuple[Spectra, SpectraState]]) -> None:
        """Add the front end's output for new samples."""
        normalised = self._normaliser.normalise_many(
            [spectra for spectra, _ in analysed], [run.normaliser for run in runs]
        )
        for run, (spectra, after), (features, normaliser) in zip(
            runs, analysed, normalised, strict=True
        ):
            run.spectra, run.normaliser, run.features = after, normaliser, features
            run.speech.extend(spectra.speech.tolist())

    def _estimate(self, runs: list[StateRun]) -> None:
        """Step through every complete timestep."""
        for step in range(max(len(run.features) for run in runs)):
            ready = [run for run in runs if len(run.features) > step]
            for batch in in_batches([run.network for run in ready]):
                together = [ready[i] for i in batch]
                self._step([run.features[step] for run in together], UNKNOWN_END, together)

    def _step(self, frames: list[Float32], end: int, runs: list[StateRun]) -> None:
        """Feed one timestep to the network and take one estimate from each full delay line."""
        heard = None
        if self.metadata.knows_voices:
            delay = self.metadata.delay_timesteps
            heard = np.array([run.heard(delay) for run in runs], np.float32)
        probabilities, attention, ordinary, states = self._network.step(
            np.array(frames), end, [run.network for run in runs], heard
        )
        if self.prior == EVERYDAY:
            share = self.metadata.ordinary_share
            probabilities = under_prior(probabilities, self._shares, ordinary, share)
        likely = [None] * len(runs) if ordinary is None else ordinary[:, 0].tolist()
        rows = zip(runs, states, probabilities, attention, likely, strict=True)
        for run, network, row, weights, is_ordinary in rows:
            run.network = network
            if network.position > self.metadata.delay_timesteps:
                speech = run.speech.popleft()
                label, run.decision = self._decision.decide(row, speech, run.decision)
                run.emitted += 1
                time = run.emitted * TIMESTEP_S
                weighed = None
                if label not in (SILENCE, WARMING_UP):
                    weighed = self._decision.weighed(run.decision)
                run.estimates.append(
                    Estimate(time, label, row, speech, weights, is_ordinary, weighed)
                )
