"""Makes a profile from the ordinary speech of one voice."""

from __future__ import annotations

from math import floor

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from streamer.recognition.engine import Engine
from streamer.recognition.estimate import Estimate
from streamer.recognition.profile import ALL, Profile
from streamer.recognition.stream import Stream
from streamer.signal import SPEECH_THRESHOLD, TIMESTEP_S

Float32 = NDArray[np.float32]

#: Speech for a profile, in seconds: the least it needs, and enough for a good one.
LEAST_SPEECH_S, GOOD_SPEECH_S = 5.0, 20.0


class Enrolment:
    """Collects ordinary speech of one voice for its profile; takes in all speech.

    Attributes:
        speech_s: seconds of speech so far.
    """

    def __init__(self, recognizer: Engine) -> None:
        """Begin.

        Raises:
            SerLiveError: the model does not adapt to voices.
        """
        recognizer.check_knows_voices()
        self._stream = Stream(recognizer, takes_in=ALL)
        self._timesteps = 0

    @property
    def speech_s(self) -> float:
        return self._timesteps * TIMESTEP_S

    def accept(self, samples: Float32) -> None:
        """Add samples of the recording; raises as :meth:`Stream.accept` does."""
        self._count(self._stream.accept(samples))

    def end_recording(self) -> None:
        """End this recording of the voice; the next one starts afresh."""
        self._count(self._stream.flush())
        known = self._stream.profile() if self._timesteps else None
        self._stream = Stream(self._stream.recognizer, known, ALL)

    def profile(self) -> Profile:
        """Return the profile from all recordings so far.

        Raises:
            SerLiveError: there is too little speech.
            RunFailure: the model's values do not make a profile.
        """
        if self.speech_s < LEAST_SPEECH_S:
            raise SerLiveError(
                f"{floor(10 * self.speech_s) / 10} s of speech were heard; a profile takes "
                f"{LEAST_SPEECH_S:g} s at least, and {GOOD_SPEECH_S:g} s make a good one"
            )
        return self._stream.profile()

    def _count(self, estimates: list[Estimate]) -> None:
        self._timesteps += sum(one.speech >= SPEECH_THRESHOLD for one in estimates)
