"""The interface of all sound sources, and helpers for their blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from streamer.signal import LARGEST_SAMPLE

Float32 = NDArray[np.float32]

#: Length of a decoded chunk: in time, so that the cost per chunk does not grow with the rate.
CHUNK_MS = 64

#: Most audio of a live source that waits; when more comes, the oldest is lost.
MAX_LAG_S = 1.0
#: Most silence in place of lost audio; the rest is skipped. It is longer than the rolling window of
#: the shipped models, so after such a loss the attention pools nothing from before. The
#: normaliser's knowledge of the speaker and the room still holds.
SILENCE_FOR_LOSS_S = 3.0


class Damaged(Exception):
    """A decoder cannot go on, or skipped something; the text says why.

    Attributes:
        after_s: where, in seconds of decoded audio; None if it stopped.
    """

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Loss:
    """Audio that a live source could not deliver.

    Attributes:
        samples: number of samples lost, at the source's rate.
        filled: how many of them become silence; the others are skipped.
        reason: in words.
    """

    samples: int
    filled: int
    reason: str

    @classmethod
    def after(cls, samples: int, sample_rate: int, reason: str) -> Self:
        """Make a loss of which at most :data:`SILENCE_FOR_LOSS_S` are filled."""
        return cls(samples, min(samples, round(SILENCE_FOR_LOSS_S * sample_rate)), reason)


@dataclass(frozen=True, slots=True)
class Away:
    """A live source has nothing to deliver for now; once it is back, a :class:`Loss` follows."""


class Source(Protocol):
    """Delivers blocks of samples.

    Attributes:
        name: file, device or ``-``.
        sample_rate: in Hz.
        clipped: samples so far that were clipped on any channel.
        overflows: losses so far that a device flagged.
    """

    @property
    def name(self) -> str: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def clipped(self) -> int: ...
    @property
    def overflows(self) -> int: ...

    def blocks(self, block_ms: int) -> Iterator[Float32 | Loss | Away]:
        """Yield mono float32 blocks of ``block_ms`` at ``sample_rate``, the last one shorter.

        If each channel is a separate stream, they are ``(samples, channels)``.

        A live source yields an :class:`Away` when its audio stops, and a :class:`Loss` where audio
        is missing.

        Raises:
            SerLiveError: the audio is damaged; everything before the damage has been yielded.
        """
        ...

    def unheard(self, position: int) -> Loss | None:
        """Return what a live source had beyond ``position`` samples when the session ends."""
        ...


class Signals(Protocol):
    """What ends a wait for audio from outside, as ``streamer.session.interrupts`` does."""

    def check(self) -> None:
        """Raise if a signal came."""
        ...

    def waiting(self) -> AbstractContextManager[None]:
        """Return a context for a wait, which is broken off when a signal comes."""
        ...


class _NoSignals:
    def check(self) -> None:
        """Raise nothing."""

    def waiting(self) -> AbstractContextManager[None]:
        return nullcontext()


#: For waits that nothing from outside ends.
NO_SIGNALS: Signals = _NoSignals()


def block_ends(sample_rate: int, block_ms: int) -> Iterator[int]:
    """Yield the ends of consecutive blocks in samples; rounding errors do not add up."""
    block = 1
    while True:
        yield max(block, round(block * block_ms * sample_rate / 1000))
        block += 1


def audible(frames: Float32) -> tuple[Float32, bool]:
    """Return frames ``(n, channels)`` up to the first that is not audio.

    Returns:
        these frames, and whether all of them were audio.
    """
    possible = (np.abs(frames) <= LARGEST_SAMPLE).all(axis=1)  # false for NaN too
    good = len(frames) if possible.all() else int(np.argmin(possible))
    return frames[:good], good == len(frames)


def no_audio(name: str, samples: int, sample_rate: int) -> SerLiveError:
    """Return the error for a source that holds something other than audio."""
    at_s = samples / sample_rate
    return SerLiveError(
        f"{name}: a sample at {at_s:.3f} s is NaN, infinite or beyond all scale; "
        "nothing after it was heard"
    )


def keep_quiet(_: str) -> None:
    """Ignore a line, if there is no user to read it."""
