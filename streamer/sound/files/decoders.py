"""Decoders for a part of a sound file: soundfile, or ffmpeg's libraries where it fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from streamer.errors import SerLiveError
from streamer.own_files import LONGEST_START, Kind, kind_of
from streamer.signal import RATES
from streamer.sound.files import media
from streamer.sound.files.parts import Layout, Part, PartFile
from streamer.sound.source import CHUNK_MS, Damaged, Float32

#: Audio that may be missing from what a header promises: a few odd bytes, and the delay and
#: padding of an MPEG audio encoder.
_TOLERATED_S = 0.05
_PADDED_FRAMES = 2_880
#: Frame count of a file that does not state one, such as FLAC written to a pipe.
_UNCOUNTED = 2**62
#: Subtypes without compression, except in FLAC, and what to read of them at once.
_PLAIN = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_PLAIN_CHUNK_MS = 1_024

#: What is said of a file that ser-live wrote, with the command that takes it.
_NOT_SOUND = {
    Kind.SESSION: "holds a session, not sound; ser-live report draws it",
    Kind.SESSION_TABLE: "holds a session as a table, not sound; ser-live report draws sessions, "
    "of JSON lines",
    Kind.ROWS: "holds results of ser-live score, not sound; ser-live score --output {name} goes on "
    "with them",
    Kind.TRUTH: "holds labels, not sound; ser-live score --labels {name} takes it",
    Kind.PROFILE: "holds the profile of a voice, not sound; --profile {name} takes it",
    Kind.TIMELINE: "holds labels for another program, not sound; name the recording",
}


class SoundFile:
    """Decodes a part with soundfile."""

    def __init__(self, path: Path, part: Part | None) -> None:
        import soundfile

        self._errors = soundfile.SoundFileError
        self._bytes: PartFile | None = None
        opened: Any
        if part is None:
            # As bytes: soundfile cannot encode a name that is not valid text.
            opened = os.fsencode(path) if os.name == "posix" else path
        else:
            opened = self._bytes = PartFile(path, part)
        self._file: Any = None
        try:
            try:
                self._file = soundfile.SoundFile(opened)
            finally:
                self._check_bytes()
            if (self._file.format, self._file.subtype) == ("RAW", "ULAW"):
                # Its guess at anything without a header that ends in .au or .snd, even text.
                raise soundfile.SoundFileRuntimeError("no header")
        except BaseException:
            self.close()
            raise
        # soundfile seeks to its position after every read, and an mp3 decoder then forgets the
        # bits that the next frame needs.
        self._file.seekable = lambda: False
        self.samplerate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.frames = int(self._file.frames)
        is_mpeg = "MPEG" in self._file.subtype or self._file.format == "MP3"
        is_counted = self.frames < _UNCOUNTED
        self.promised_s = self.frames / max(self.samplerate, 1) if is_counted else 0.0
        # Without compression nothing can be damaged in the middle of a chunk.
        is_plain = self._file.format != "FLAC" and self._file.subtype.startswith(_PLAIN)
        self.chunk_ms = _PLAIN_CHUNK_MS if is_plain else CHUNK_MS
        padded_s = _PADDED_FRAMES / max(self.samplerate, 1) if is_mpeg else 0.0
        self.tolerated_s = _TOLERATED_S + padded_s

    def read(self, frames: int) -> Float32:
        try:
            found: Float32 = self._file.read(frames, dtype="float32", always_2d=True)
        except self._errors as error:
            self._check_bytes()
            raise Damaged(_reason(error)) from error
        self._check_bytes()
        return found

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._close_bytes()

    def _check_bytes(self) -> None:
        if self._bytes is not None:
            self._bytes.check()

    def _close_bytes(self) -> None:
        if self._bytes is not None:
            self._bytes.close()


def open_part(path: Path, layout: Layout, index: int) -> SoundFile | media.MediaFile:
    """Return the decoder of a part.

    Raises:
        SerLiveError: no available decoder reads it, or it has no audio.
    """
    try:
        decoder = _opened(path, layout, index)
    except OSError as error:
        raise SerLiveError(f"{path}: {error.strerror or error}") from error
    fault = ""
    if decoder.samplerate not in RATES:
        fault = f"impossible sample rate {decoder.samplerate} Hz"
    elif decoder.frames == 0:
        fault = "holds no audio"
        if layout.is_cut or layout.parts[index].missing:
            fault = "is cut short before its first piece of audio ends"
    if fault:
        decoder.close()
        raise SerLiveError(f"{path}: {_where(layout, index)}{fault}")
    return decoder


def _where(layout: Layout, index: int) -> str:
    return f"part {index + 1} of {len(layout.parts)}: " if len(layout.parts) > 1 else ""


def _opened(path: Path, layout: Layout, index: int) -> SoundFile | media.MediaFile:
    import soundfile

    part = layout.parts[index]
    try:
        return SoundFile(path, None if layout.is_plain else part)
    except soundfile.SoundFileError as error:
        reason = _reason(error)
    except TypeError as error:  # soundfile raises this for .raw
        raise SerLiveError(
            f"{path}: raw PCM has no header; pipe it into: ser-live replay -"
        ) from error
    with path.open("rb") as file:
        kind = kind_of(file.read(LONGEST_START))
    if kind is not None:
        raise SerLiveError(f"{path}: {_NOT_SOUND[kind].format(name=path)}")
    refusal = media.UNREADABLE
    if media.is_at_hand():
        try:
            return media.MediaFile(path, None if layout.is_plain else part)
        except SerLiveError as error:
            refusal = str(error)
    if refusal.startswith(media.UNREADABLE):  # its reasons are less specific
        refusal = f"{media.UNREADABLE} ({reason}); {media.way_out(path)}"
    raise SerLiveError(f"{path}: {_where(layout, index)}{refusal}")


def _reason(error: Exception) -> str:
    reason = str(error).rpartition(": ")[2].rstrip(".")
    # libsndfile says so of an mp3 that its decoder cannot open, though the file is there.
    return "unknown format" if reason.startswith("File does not exist") else reason
