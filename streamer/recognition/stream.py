"""A stream of audio for callers: it takes samples and returns estimates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.engine import Engine
from streamer.recognition.estimate import Estimate
from streamer.recognition.profile import ORDINARY, Profile
from streamer.samples import checked_samples
from streamer.signal import LARGEST_SAMPLE

Float32 = NDArray[np.float32]


class Stream:
    """A stream: ``accept`` samples, ``flush`` at the end, ``reset`` to start on other audio.

    Use it from one thread at a time. Half a second of audio gives fewer estimates than it has
    timesteps: the others come after the look-ahead, or with the flush.

    >>> stream = Recognizer.load().stream()
    >>> half_a_second = np.zeros(8_000, np.float32)
    >>> len(stream.accept(half_a_second)), len(stream.flush())
    (8, 4)

    Attributes:
        recognizer: the recognizer that runs it.
        state: everything that it carries; opaque, and of constant size.
        is_flushed: whether it needs a reset before it accepts more.
    """

    def __init__(
        self,
        recognizer: Engine,
        profile: Profile | None = None,
        takes_in: float = ORDINARY,
        at_once: int = 1,
    ) -> None:
        """Begin; usually called by :meth:`Recognizer.stream`.

        Raises:
            SerLiveError: as in :meth:`Recognizer.check_profile`.
            ValueError: ``at_once`` is out of range.
        """
        self.recognizer = recognizer
        self._profile = profile
        self._takes_in = takes_in
        self._at_once = at_once
        self.reset()

    def reset(self) -> None:
        """Forget everything heard, but not the profile that it began with."""
        self.state = self.recognizer.initial_state(self._profile, self._takes_in, self._at_once)
        self.is_flushed = False

    def profile(self) -> Profile:
        """Return what it knows of its voice so far, without timesteps that wait for later ones.

        Raises:
            SerLiveError: the model does not adapt to voices, or knows nothing of this one yet.
            RunFailure: the model's values do not make a profile.
        """
        return self.recognizer.profile_of(self.state)

    def checked(self, samples: Float32) -> Float32:
        """Return the samples as an array, if the stream would accept them.

        Raises:
            RuntimeError: the stream was flushed.
            ValueError: they are not a float32 vector, or some are not audio.
        """
        if self.is_flushed:
            raise RuntimeError("the stream was flushed: reset it first")
        given = checked_samples(samples)
        if not np.abs(given).max(initial=0.0) <= LARGEST_SAMPLE:  # false for NaN too
            raise ValueError(f"samples must be finite and within +-{LARGEST_SAMPLE:g}")
        return given

    def accept(self, samples: Float32) -> list[Estimate]:
        """Add any number of samples, 16 kHz mono float32 in [-1, 1]; return estimates now complete.

        Raises:
            RuntimeError: the stream was flushed.
            ValueError: they are not a float32 vector, or some are not audio; the stream is
                unchanged.
        """
        estimates, self.state = self.recognizer.accept(self.checked(samples), self.state)
        return estimates

    def flush(self) -> list[Estimate]:
        """End the stream; return the remaining estimates.

        Raises:
            RuntimeError: it has already been flushed.
        """
        if self.is_flushed:
            raise RuntimeError("the stream was flushed: reset it first")
        estimates, self.state = self.recognizer.flush(self.state)
        self.is_flushed = True
        return estimates
