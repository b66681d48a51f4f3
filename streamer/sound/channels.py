"""Reduces several channels to the input of a stream.

The mean of the channels is right for most recordings. It is wrong if they cancel each other (a
cable with one wire crossed, an effect of old recorders) and poor if one of them is dead. Two people
on two channels, as call centres record them, are two streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from streamer.sound.source import Float32, keep_quiet

CHANNELS = range(1, 65)

_MOST_DIGITS = 3
#: Interval at which channels are examined; it does not depend on block size.
_PIECE_S = 0.25
#: Seconds after which an earlier interval has half its weight.
_HALF_LIFE_S = 4.0
#: Mean power below which nothing is decided: -70 dBFS.
_QUIET = 1e-7
#: Power of the mean over that of unrelated channels: channels cancel each other below the first
#: value, and no longer do above the second, each for this many pieces.
_CANCELS, _HELPS = 0.1, 0.4
_CANCELS_FOR, _HELPS_FOR = 2, 8
#: Power of a dead channel over that of the loudest: -60 dB.
_DEAD = 1e-6
#: How long a channel must be heard while others are dead.
_DEAD_FOR_S = 1.0
#: Two people: each channel leads by this factor of power for this long, and is as loud as a voice.
_LEADS, _LEADS_FOR_S, _LOUD = 16.0, 1.5, 1e-5


@dataclass(frozen=True, slots=True)
class Channels:
    """The choice of a source's channels: ``mix``, ``split``, or a channel's number.

    Attributes:
        number: number of the single channel to use, from 1; None otherwise.
        is_split: whether each channel is a separate stream.
    """

    number: int | None = None
    is_split: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the option.

        Raises:
            SerLiveError: it is none of these three.
        """
        if text in ("mix", "split"):
            return cls(is_split=text == "split")
        if text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) in CHANNELS:
            return cls(int(text))
        raise SerLiveError(
            f"--channels must be mix, split or a channel's number from {CHANNELS[0]} to "
            f"{CHANNELS[-1]}, is {text!r}"
        )

    def __str__(self) -> str:
        if self.number is not None:
            return str(self.number)
        return "split" if self.is_split else "mix"


MIX = Channels()


class Mixer:
    """Converts frames ``(n, channels)`` to mono ``(n,)``, or keeps them if channels are split.

    The output depends only on the frames, not on their division into blocks.

    Attributes:
        streams: number of channels that are separate streams; None if they are one stream.
    """

    def __init__(
        self,
        channels: int,
        sample_rate: int,
        wanted: Channels = MIX,
        say: Callable[[str], None] = keep_quiet,
    ) -> None:
        """Prepare for frames with this many channels.

        Args:
            channels: number of channels in the source.
            sample_rate: in Hz.
            wanted: the channels to use.
            say: prints a line for the user.

        Raises:
            SerLiveError: the wanted channel does not exist.
        """
        if wanted.number is not None and wanted.number > channels:
            there = "is one channel" if channels == 1 else f"are {channels} channels"
            raise SerLiveError(f"no channel {wanted.number}: there {there}")
        self.streams = channels if wanted.is_split else None
        self._wanted = wanted
        self._say = say
        self._rate = sample_rate
        self._piece = max(1, round(_PIECE_S * sample_rate))
        self._keeps = 0.5 ** (_PIECE_S / _HALF_LIFE_S)
        self._at = 0
        self._sums = np.zeros(channels + 1)
        self._powers = np.zeros(channels + 1)
        self._lone_s = np.zeros(channels)
        self._leading_s = np.zeros(channels)
        self._cancelling = self._helping = 0
        self._is_cancelled = False
        self._said: set[str] = set()
        self._chosen: tuple[int, ...] = tuple(range(channels))

    def accept(self, frames: Float32) -> Float32:
        """Mix the next frames."""
        number = self._wanted.number
        if frames.shape[1] == 1 and not self._wanted.is_split:
            return frames[:, 0]
        if number is not None:
            return frames[:, number - 1]
        if not len(frames):
            return frames if self._wanted.is_split else self._mixed(frames)
        parts = []
        first = 0
        while first < len(frames):
            last = min(len(frames), first + self._piece - self._at)
            piece = frames[first:last]
            parts.append(piece if self._wanted.is_split else self._mixed(piece))
            self._look(piece)
            first = last
        return np.concatenate(parts)

    def foresee(self, frames: Float32) -> None:
        """Decide from frames still to come, and tell what is left out."""
        ahead = Mixer(frames.shape[1], self._rate, self._wanted)
        ahead.accept(frames)
        self._chosen, self._is_cancelled = ahead._chosen, ahead._is_cancelled
        self._powers, self._lone_s = ahead._powers, ahead._lone_s
        self._tell()

    def _mixed(self, frames: Float32) -> Float32:
        chosen = frames if len(self._chosen) == frames.shape[1] else frames[:, self._chosen]
        return np.asarray(chosen.mean(axis=1, dtype=np.float32))

    def _look(self, frames: Float32) -> None:
        """Add up the power of each channel and of their mean, and decide at the end of a piece."""
        wide = frames.astype(np.float64)
        self._sums[:-1] += np.square(wide).sum(axis=0)
        self._sums[-1] += np.square(wide.mean(axis=1)).sum()
        self._at += len(frames)
        if self._at < self._piece:
            return
        powers = self._sums / self._piece
        self._at, self._sums = 0, np.zeros_like(self._sums)
        self._powers = self._keeps * self._powers + (1 - self._keeps) * powers
        self._notice_people(powers[:-1])
        if not self._wanted.is_split:
            self._decide(powers)

    def _decide(self, newest: NDArray[np.float64]) -> None:
        powers = self._powers[:-1]
        sounds = newest[:-1].max() >= _QUIET
        if not sounds:
            return
        is_dead = powers < _DEAD * powers.max()
        self._lone_s = np.where(is_dead, self._lone_s + _PIECE_S, 0.0)
        dead = self._lone_s >= _DEAD_FOR_S
        # Use the newest pieces: earlier in-phase sound must not hide cancellation now.
        share = newest[-1] / (newest[:-1].mean() / len(powers))
        self._cancelling = self._cancelling + 1 if share < _CANCELS else 0
        self._helping = self._helping + 1 if share > _HELPS else 0
        if self._cancelling >= _CANCELS_FOR:
            self._is_cancelled = True
        elif self._helping >= _HELPS_FOR:
            self._is_cancelled = False
        if self._is_cancelled and not dead.any():
            if len(self._chosen) != 1:
                self._choose((int(powers.argmax()),))
            return
        self._choose(tuple(np.flatnonzero(~dead).tolist()))

    def _choose(self, chosen: tuple[int, ...]) -> None:
        if chosen != self._chosen:
            self._chosen = chosen
            self._tell()

    def _tell(self) -> None:
        """Print which channels are left out, and why."""
        count = len(self._powers) - 1
        if len(self._chosen) == count:
            return
        dead = [index + 1 for index in range(count) if self._lone_s[index] >= _DEAD_FOR_S]
        kept = _listed(index + 1 for index in self._chosen)
        if dead and len(dead) + len(self._chosen) == count:
            self._once(f"{_listed(dead)} dead ({count} in all): {kept} heard")
        else:
            self._once(
                f"the {count} channels cancel each other, as where one is turned over: {kept} "
                "heard alone"
            )

    def _notice_people(self, powers: NDArray[np.float64]) -> None:
        if len(powers) < 2:
            return
        order = np.argsort(powers)
        leader = int(order[-1])
        if powers[leader] < max(_LOUD, _LEADS * powers[order[-2]]):
            return
        self._leading_s[leader] += _PIECE_S
        leads = np.flatnonzero(self._leading_s >= _LEADS_FOR_S)
        if len(leads) >= 2 and not self._wanted.is_split:
            self._once(
                "the channels differ, as if a person spoke on each: --channels split hears each "
                "alone"
            )

    def _once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)


def _listed(numbers: Iterable[int]) -> str:
    """Return channels as the subject of a sentence, with its verb."""
    names = [str(number) for number in numbers]
    return f"channel {names[0]} is" if len(names) == 1 else f"channels {' and '.join(names)} are"
