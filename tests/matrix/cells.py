"""The cells of the matrix: kind, rate, channels, fault; each made, heard and judged."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from streamer.sound.files.recording import read_recording
from tests.helpers.places import CLIPS
from tests.matrix.faults import FAULTS, Fault, is_possible, knows_its_length
from tests.matrix.judging import (
    FALSE_ALARM,
    NO_WAY_OUT,
    PARTIAL,
    REFUSED,
    Sound,
    Truth,
    Verdict,
    decoded,
    joined,
    judge_both,
)
from tests.matrix.kinds import VOICE_RATE, Float32, Kind, NotMade, make, voiced

#: Greatest difference in length between encoded and decoded audio.
_ENCODER_S = 0.2
#: Length by which ffmpeg may extend a truncated file: it completes the last frame.
_LAST_FRAME_S = 0.1
#: Samples that an MPEG decoder gives before the first one of the audio.
_MPEG_DELAY = 529


@dataclass(frozen=True)
class Cell:
    """A file, and the verdict on how it was read.

    Attributes:
        kind: container and codec.
        rate: sample rate in Hz.
        channels: number of channels.
        fault: name of the fault; empty if there is none.
        with_media: whether PyAV was available.
        verdict: how the file was read.
    """

    kind: Kind
    rate: int
    channels: int
    fault: str
    with_media: bool
    verdict: Verdict

    @property
    def name(self) -> str:
        """Everything that identifies the cell."""
        media = "" if self.with_media else ", without the extra media"
        return f"{self.kind.name} {self.rate} Hz x{self.channels} {self.fault or 'whole'}{media}"


@dataclass(frozen=True)
class _Whole:
    """A whole file and its audio."""

    data: bytes
    sound: Sound


def voices() -> tuple[Float32, Float32]:
    """Two recordings of speech, of 2.1 s and 1.5 s."""
    first, *_, last = CLIPS
    return read_recording(first), read_recording(last)[: round(1.5 * VOICE_RATE)]


class Maker:
    """Makes whole files in a folder, and knows their audio."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._voices = voices()

    def whole(self, kind: Kind, rate: int, channels: int, which: int = 0) -> _Whole:
        """Make a file of one of the two voices.

        Raises:
            NotMade: it cannot be made.
        """
        voice = self._voices[which]
        path = self._folder / f"whole.{kind.suffix}"
        path.unlink(missing_ok=True)
        make(kind, voice, rate, channels, path)
        made = Sound(voiced(voice, rate, channels).mean(axis=1), rate)
        sound = decoded(path) or made
        if sound.rate == rate and sound.seconds < len(voice) / VOICE_RATE - _ENCODER_S:
            sound = made  # ffmpeg itself lost some
        return _Whole(path.read_bytes(), sound)

    def cells(
        self, kind: Kind, rate: int, channels: int, faults: Iterable[Fault] = FAULTS
    ) -> Iterator[Cell]:
        """Yield the whole file and every possible fault of it, read with PyAV and without."""
        try:
            whole = self.whole(kind, rate, channels)
            faults = tuple(faults)
            other = self.whole(kind, rate, channels, 1) if faults else whole
        except NotMade:
            return
        yield from self._judged(
            kind,
            rate,
            channels,
            "",
            whole.data,
            Truth(whole.sound, (whole.sound.seconds,), delay_s=_delay_s(kind, whole.sound.rate)),
        )
        for fault in faults:
            data = fault.change(whole.data, other.data)
            if data is None or not is_possible(fault, kind):
                continue
            truth = self._truth(kind, fault, data, whole, other)
            yield from self._judged(kind, rate, channels, fault.name, data, truth)

    @staticmethod
    def _truth(kind: Kind, fault: Fault, data: bytes, whole: _Whole, other: _Whole) -> Truth:
        """Return the audio that a file with a fault contains."""
        parts = [{"a": whole, "b": other}[one] for one in fault.order]
        is_told = knows_its_length(kind)
        added = max(0, len(data) - sum(len(one.data) for one in parts))
        may_add_s = added * whole.sound.seconds / len(whole.data)
        return Truth(
            joined([one.sound for one in parts]),
            tuple(one.sound.seconds for one in parts),
            fault.is_cut,
            is_told,
            may_lose_s=fault.may_lose_s,
            may_add_s=may_add_s if fault.is_noise or not is_told else 0.0,
            delay_s=_delay_s(kind, whole.sound.rate),
            ending=other.sound if fault.has_cut_beginning else None,
        )

    def _judged(
        self, kind: Kind, rate: int, channels: int, fault: str, data: bytes, truth: Truth
    ) -> Iterator[Cell]:
        folder = self._folder / "cell"
        folder.mkdir(exist_ok=True)
        path = folder / f"voice.{kind.suffix}"
        path.write_bytes(data)
        if truth.is_cut and truth.ending is None and (there := decoded(path)):
            truth = replace(truth, least_s=min(there.seconds - _LAST_FRAME_S, truth.sound.seconds))
        verdicts = judge_both(path, truth, kind.is_exact and not fault)
        for with_media, verdict in zip((True, False), verdicts, strict=True):
            if not fault and verdict.kind == PARTIAL:
                verdict = Verdict(FALSE_ALARM, verdict.line)
            if verdict.kind == NO_WAY_OUT and decoded(path) is None:
                verdict = Verdict(REFUSED, verdict.line)  # there is nothing to be heard
            yield Cell(kind, rate, channels, fault, with_media, verdict)
        shutil.rmtree(folder)


def _delay_s(kind: Kind, rate: int) -> float:
    """Return how much of an MPEG decoder's delay ffmpeg keeps if no index states the delay."""
    return _MPEG_DELAY / rate if kind.container in ("mp3", "mp2") else 0.0
