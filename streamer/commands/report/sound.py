"""The sound of sessions: its file, its outline, and its playable form in a page."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from streamer.commands.report.drawing.waveform import Outliner, Waveform
from streamer.counting import counted
from streamer.errors import SerLiveError
from streamer.formats.reader import RecordedSession
from streamer.signal import SAMPLE_RATE
from streamer.sound.channels import MIX, Channels
from streamer.sound.files.recording import Recording
from streamer.sound.resampler import Resampler
from streamer.sound.source import NO_SIGNALS, Signals

Say = Callable[[str], None]

#: Most bytes of sound in a page, for all its recordings together.
MOST_EMBEDDED = 20_000_000
#: Most bytes of it as FLAC, which every browser plays: about 9 minutes.
_MOST_FLAC = 5_000_000
_BLOCK_MS = 1_000
#: A sound that differs more in length from its session is hardly its sound.
_TOLERATED_S = 0.5


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound that a page plays.

    Attributes:
        media_type: type of the data, empty for a link.
        data: the encoded sound; None if the page links to the file.
        link: link to the file, relative to the page's folder.
    """

    media_type: str = ""
    data: bytes | None = None
    link: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """The sound of a session; ``audio`` is None if it cannot be played, as in a picture."""

    waveform: Waveform
    audio: Audio | None = None


def choose_sounds(
    sessions: Sequence[tuple[Path, RecordedSession]], wanted: Sequence[str | None]
) -> list[Path | None]:
    """Return the file of each session's sound.

    Args:
        sessions: sessions, each with the file it was read from.
        wanted: names of sound files in the order of the recordings, or of the sessions if channels
            are separate sessions. None stands for the file that the session names; a single None
            does so for every session.

    Raises:
        SerLiveError: their number is not that of the recordings, or a session's file is missing.
    """
    if not wanted:
        return [None] * len(sessions)
    recordings = _recordings(sessions)
    if list(wanted) == [None]:
        wanted = [None] * (recordings[-1] + 1)
    if len(wanted) == recordings[-1] + 1:
        wanted = [wanted[number] for number in recordings]
    if len(wanted) != len(sessions):
        named = counted(len(wanted), "file")
        raise SerLiveError(
            f"{counted(recordings[-1] + 1, 'recording')} and {named} for --sound: name one for "
            "each recording in turn, or say --sound alone to take the files that were replayed"
        )
    return [
        _own_sound(path, session) if name is None else Path(name)
        for (path, session), name in zip(sessions, wanted, strict=True)
    ]


def _recordings(sessions: Sequence[tuple[Path, RecordedSession]]) -> list[int]:
    """Return the number of each session's recording; its channels share one number."""
    numbers: list[int] = []
    for index, (path, session) in enumerate(sessions):
        before = sessions[index - 1] if index else None
        is_new = (
            before is None
            or session.header.channel is None
            or (path, session.header.source) != (before[0], before[1].header.source)
            or before[1].header.channel is None
            or session.header.channel <= before[1].header.channel
        )
        numbers.append(numbers[-1] + is_new if numbers else 0)
    return numbers


def _own_sound(path: Path, session: RecordedSession) -> Path:
    """Find the file that a session names: at that path, or beside the session's file.

    Raises:
        SerLiveError: there is none.
    """
    source = Path(session.header.source)
    for one in (source, path.parent / source, path.parent / source.name):
        with suppress(OSError, ValueError):  # a name that is not valid for a file
            if one.is_file():
                return one
    raise SerLiveError(
        f"{path}: no file {session.header.source} to take the sound from; name it: --sound FILE"
    )


class SoundReader:
    """Reads the sounds of a page one after another, with a limit on the total embedded."""

    def __init__(self, page: Path | None, say: Say, signals: Signals = NO_SIGNALS) -> None:
        """Read for a page that plays them, or for a picture if ``page`` is None.

        Signals end it between two blocks: raised while an encoder writes, they would be lost.
        """
        self._page = page
        self._signals = signals
        self._say = say
        self._left = MOST_EMBEDDED

    def read(self, path: Path, session: RecordedSession) -> Sound:
        """Read the sound of a session.

        Raises:
            SerLiveError: it cannot be read. The good part of a damaged one is used.
        """
        outliner = Outliner()
        encoders: list[_Encoder] = []
        if self._page is not None:
            encoders = [
                _Encoder("audio/flac", "FLAC", "PCM_16", min(_MOST_FLAC, self._left)),
                _Encoder("audio/ogg", "OGG", "VORBIS", self._left),
            ]
        for samples in self._samples(path, session.header.channel):
            self._signals.check()
            outliner.accept(samples)
            for encoder in encoders:
                encoder.accept(samples)
        if abs(outliner.duration_s - session.duration_s) > _TOLERATED_S:
            self._say(
                f"{path} lasts {outliner.duration_s:.1f} s, but the session of {session.title} "
                f"lasts {session.duration_s:.1f} s: is this the right sound?"
            )
        return Sound(outliner.finish(), self._audio(path, encoders) if self._page else None)

    def _audio(self, path: Path, encoders: Sequence[_Encoder]) -> Audio:
        for encoder in encoders:
            if (data := encoder.finish()) is not None:
                self._left -= len(data)
                return Audio(encoder.media_type, data)
        link = link_to(path, self._page or path)
        self._say(f"{path} is too long for the page to hold; the page links to it, as {link}")
        return Audio(link=link)

    def _samples(self, path: Path, channel: int | None) -> Iterator[NDArray[np.float32]]:
        """Yield the session's audio, at 16 kHz, in blocks."""
        with self._open(path, channel) as recording:
            resampler = Resampler(recording.sample_rate)
            is_empty = True
            try:
                for block in recording.blocks(_BLOCK_MS):
                    is_empty = False
                    yield resampler.accept(block)
            except SerLiveError as error:
                if is_empty:
                    raise
                self._say(str(error))
            yield resampler.flush()

    def _open(self, path: Path, channel: int | None) -> Recording:
        if channel is None:
            return Recording(path, MIX, self._say)
        try:
            return Recording(path, Channels(channel), self._say)
        except SerLiveError:
            mix = Recording(path, MIX, self._say)
            self._say(f"{path} has no channel {channel}: what it has is taken for that channel")
            return mix


class _Encoder:
    """Encodes a sound to a file in memory, and gives up once it is too large."""

    def __init__(self, media_type: str, container: str, subtype: str, most_bytes: int) -> None:
        import soundfile

        self.media_type = media_type
        self._most_bytes = most_bytes
        self._bytes = io.BytesIO()
        self._file: Any = soundfile.SoundFile(
            self._bytes, "w", SAMPLE_RATE, 1, format=container, subtype=subtype
        )

    def accept(self, samples: NDArray[np.float32]) -> None:
        if self._file is None:
            return
        self._file.write(samples)
        if self._bytes.tell() > self._most_bytes:
            self._give_up()

    def finish(self) -> bytes | None:
        """Return the file; None if it is too large."""
        if self._file is None:
            return None
        self._file.close()
        data = self._bytes.getvalue()
        return data if len(data) <= self._most_bytes else None

    def _give_up(self) -> None:
        self._file.close()
        self._file, self._bytes = None, io.BytesIO()


def link_to(path: Path, page: Path) -> str:
    """Return a file's address, relative to the page's folder."""
    try:
        relative = os.path.relpath(path.absolute(), page.absolute().parent)
    except ValueError:  # another drive
        return path.absolute().as_uri()
    # A colon in the first part would make it look like a scheme.
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))
