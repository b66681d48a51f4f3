"""What every source of sound has in common, and how one block follows another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from streamer.signal import LARGEST_SAMPLE

Float32 = NDArray[np.float32]

RATES = range(1_000, 768_001)
BLOCK_MS = range(1, 10_001)

#: At most so much audio of a live source waits; when more comes, the oldest is lost.
MAX_LAG_S = 1.0
#: So much silence stands in for lost audio, the rest is left out. It is longer than the rolling
#: window of the shipped models: after such a loss the attention pools nothing from before. What the
#: normaliser knows of the speaker and the room still holds.
SILENCE_FOR_LOSS_S = 3.0


class Damaged(Exception):
    """A decoder cannot go on, or left something out; its text says why.

    Attributes:
        after_s: where, in seconds of what was decoded; None where it stopped.
    """

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Loss:
    """Audio that a live source could not hand over.

    Attributes:
        samples: lost, at the source's rate.
        filled: how many of them are to be heard as silence; the others are left out.
        reason: in words.
    """

    samples: int
    filled: int
    reason: str

    @classmethod
    def after(cls, samples: int, sample_rate: int, reason: str) -> Self:
        """A loss of which :data:`SILENCE_FOR_LOSS_S` are filled at most."""
        return cls(samples, min(samples, round(SILENCE_FOR_LOSS_S * sample_rate)), reason)


@dataclass(frozen=True, slots=True)
class Away:
    """A live source has nothing to hand over, and will say when it is back how much was lost."""


class Source(Protocol):
    """Something that hands over blocks of samples.

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
        """Mono float32 blocks of ``block_ms`` at ``sample_rate``, the last one shorter.

        Where each channel is a stream of its own, ``(samples, channels)``.

        A live source hands over an :class:`Away` when it stops giving audio, and a :class:`Loss`
        where audio is missing.

        Raises:
            SerLiveError: the audio turns out damaged; what came before it was handed over.
        """
        ...

    def unheard(self, position: int) -> Loss | None:
        """What a live source had beyond ``position`` samples of stream time, at a session's end."""
        ...


def block_ends(sample_rate: int, block_ms: int) -> Iterator[int]:
    """Ends of consecutive blocks in samples; rounding does not add up."""
    block = 1
    while True:
        yield max(block, round(block * block_ms * sample_rate / 1000))
        block += 1


def audible(frames: Float32) -> tuple[Float32, bool]:
    """Frames ``(n, channels)`` up to the first that is no audio.

    Returns:
        these frames, and whether all were audio.
    """
    possible = (np.abs(frames) <= LARGEST_SAMPLE).all(axis=1)  # false for NaN too
    good = len(frames) if possible.all() else int(np.argmin(possible))
    return frames[:good], good == len(frames)


def no_audio(name: str, samples: int, sample_rate: int) -> SerLiveError:
    """The error of a source that holds something else than audio."""
    at_s = samples / sample_rate
    return SerLiveError(f"{name}: a sample at {at_s:.3f} s is NaN, infinite or beyond all scale")


def keep_quiet(_: str) -> None:
    """Takes a line for the person, where there is none."""
