"""Reads what soundfile cannot, through ffmpeg's libraries: m4a, webm, wma, amr, video.

PyAV's wheel includes these libraries; it is the extra ``media``.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from streamer.errors import SerLiveError
from streamer.sound.files.parts import Part, PartFile
from streamer.sound.source import CHUNK_MS, Damaged, Float32

UNREADABLE = "no sound file that can be read"
#: Suffixes of sound files that only this module reads; video is read if it is named.
MEDIA_SUFFIXES = frozenset(
    {
        *(".m4a", ".m4b", ".mp4", ".aac", ".adts", ".webm", ".weba", ".mka", ".mkv", ".mov"),
        *(".wma", ".amr", ".awb", ".3gp", ".3ga", ".mp2", ".mpa", ".ac3", ".eac3", ".dts"),
        *(".ape", ".wv", ".tta", ".spx", ".gsm", ".ra", ".rm", ".avi", ".mpg", ".mpeg", ".ogv"),
    }
)


#: Containers that state their length; for others ffmpeg guesses it from the bitrate.
_SAYS_LENGTH = frozenset(("mov", "mp4", "m4a", "matroska", "webm", "asf", "avi", "ogg", "wav"))
#: Audio that may be missing from that length: an encoder's delay and padding; more in a film.
_TOLERATED_S, _TOLERATED_SHARE = 0.3, 0.05
#: ASF written to a pipe includes the time to send ahead in its length.
_TOLERATED_OF_ASF_S = 0.6
#: Containers whose damage shows only in timestamps; silence that was not sent is shorter.
_SAYS_TIMES, _TOLERATED_GAP_S = frozenset(("matroska", "webm")), 0.5
#: Errors of a container in a row before reading stops.
_MOST_FAILURES = 3


def is_at_hand() -> bool:
    """Return whether PyAV can be imported."""
    from importlib.util import find_spec

    return find_spec("av") is not None


def way_out(path: Path) -> str:
    """Return advice for a user whose file nothing available reads."""
    quoted = shlex.quote(os.fsencode(path).decode(errors="replace"))
    command = (
        f"ffmpeg -v error -i {quoted} -ac 1 -ar 48000 -f s16le - | ser-live replay - --rate 48000"
    )
    if is_at_hand():
        return f"if your ffmpeg reads it: {command}"
    return f"pip install 'ser-live[media]' reads most others, or: {command}"


class MediaFile:
    """Decodes a file with ffmpeg's libraries, with the needed part of soundfile's interface.

    Attributes:
        samplerate: in Hz.
        channels: channels of its first sound track.
        frames: more than 0 if there is audio.
        promised_s: audio that its header promises; 0 if it promises nothing, or guesses.
        tolerated_s: how much of that may be missing.
        tracks: number of sound tracks.
    """

    def __init__(self, path: Path, part: Part | None = None) -> None:
        """Open the file, or a part of it, and decode its first piece.

        Raises:
            SerLiveError: it cannot be decoded, or has no sound.
            OSError: it cannot be read.
        """
        try:
            import av
        except ImportError as error:
            raise SerLiveError(f"takes PyAV, which does not start: {error}") from error

        self._errors: type[Exception] = av.error.FFmpegError
        self._bytes = None if part is None else PartFile(path, part)
        self._container: Any = None
        try:
            # Absolute, as ffmpeg takes text before a colon for a protocol.
            self._open(self._bytes or os.fsdecode(path.absolute()))
        except BaseException:
            self.close()
            raise

    def _open(self, opened: PartFile | str) -> None:
        import av

        try:
            self._container = av.open(opened, metadata_errors="replace")
        except (av.error.FFmpegError, UnicodeError) as error:
            self._check_bytes()
            raise SerLiveError(f"{UNREADABLE} ({_reason(error)})") from error
        tracks: Any = self._container.streams.audio
        self.tracks = len(tracks)
        if not tracks:
            raise SerLiveError("holds no sound track")
        self._track = tracks[0]
        if self._track.codec_context is None:
            raise SerLiveError("its sound track is of a kind that is not known")
        self._track.codec_context.thread_type = "NONE"  # the same result on every machine
        self._expected_s: float | None = None
        self._decoded = self._decode()
        self._next: Float32 | None = None
        self._damage: Damaged | None = None
        self._advance()
        if self._damage is not None:
            raise SerLiveError(f"{UNREADABLE} ({self._damage})")
        self.samplerate = int(self._track.codec_context.sample_rate or 0)
        self.chunk_ms = CHUNK_MS
        self.channels = 1 if self._next is None else self._next.shape[1]
        self.frames = 0 if self._next is None else len(self._next)
        self.promised_s = self._promised_s()
        has_others = any(  # these may be longer
            one.type != "audio" and not one.disposition & av.stream.Disposition.attached_pic
            for one in self._container.streams
        )
        self.tolerated_s = _TOLERATED_SHARE * self.promised_s if has_others else _TOLERATED_S
        if "asf" in self._container.format.name:
            self.tolerated_s = max(self.tolerated_s, _TOLERATED_OF_ASF_S)

    def _promised_s(self) -> float:
        track, container = self._track, self._container
        if not _SAYS_LENGTH & set(container.format.name.split(",")):
            return 0.0
        if track.duration and track.time_base:
            return float(track.duration * track.time_base)
        return (container.duration or 0) / 1e6

    def _decode(self) -> Iterator[Float32]:
        """Yield frames as decoded, ``(n, channels)``, at the rate of the first.

        Undecodable pieces are skipped, and reported at the end.

        Raises:
            Damaged: something was skipped.
        """
        import av

        kind: tuple[object, ...] | None = None
        convert: Any = None
        rate, given = 0, 0
        damage: Damaged | None = None
        for packet in self._packets():
            try:
                frames = [] if isinstance(packet, Exception) else packet.decode()
            except self._errors as error:
                frames = []
                if packet.size:  # an empty one ends the track, without loss
                    packet = error
            if isinstance(packet, Exception):
                # Before the first frame it may not be a sound file at all: the first reason counts.
                damage = damage or Damaged(_reason(packet), given / rate if rate else None)
            for frame in frames:
                rate = rate or frame.sample_rate
                if (gap_s := self._gap_s(frame)) > 0:
                    lacks = f"{gap_s:.1f} s are missing by its timestamps"
                    damage = damage or Damaged(lacks, given / rate)
                converted: list[Any] = []
                if kind != (kind := (frame.format.name, frame.layout.name, frame.sample_rate)):
                    converted = convert.resample(None) if convert is not None else []
                    convert = av.AudioResampler("fltp", frame.layout, rate)
                for one in (*converted, *convert.resample(frame)):
                    samples = np.ascontiguousarray(one.to_ndarray().T, np.float32)
                    given += len(samples)
                    yield samples
        for one in convert.resample(None) if convert is not None else ():
            yield np.ascontiguousarray(one.to_ndarray().T, np.float32)
        if damage is not None:
            raise damage

    def _gap_s(self, frame: Any) -> float:
        """Return the gap between a frame and the previous one; 0 if timestamps do not tell."""
        if frame.pts is None or not _SAYS_TIMES & set(self._container.format.name.split(",")):
            return 0.0
        begin, expected = float(frame.pts * frame.time_base), self._expected_s
        self._expected_s = begin + frame.samples / frame.sample_rate
        gap_s = 0.0 if expected is None else begin - expected
        return gap_s if gap_s > _TOLERATED_GAP_S else 0.0

    def _packets(self) -> Iterator[Any]:
        """Yield packets of the track, and errors for unreadable pieces of the container."""
        failures = 0
        while failures <= _MOST_FAILURES:
            try:
                for packet in self._container.demux(self._track):
                    failures = 0
                    yield packet
                return
            except self._errors as error:
                failures += 1
                yield error

    def read(self, frames: int) -> Float32:
        """Return the next frames ``(n, channels)``, fewer at the end.

        Raises:
            Damaged: the file is; everything before the damage has been returned.
            OSError: it cannot be read.
        """
        found: list[Float32] = []
        wanted = frames
        while wanted and self._next is not None:
            piece = self._next
            if piece.shape[1] != self.channels:
                piece = np.repeat(piece.mean(axis=1, keepdims=True), self.channels, axis=1)
            found.append(piece[:wanted])
            wanted -= len(found[-1])
            self._next = piece[len(found[-1]) :]
            if not len(self._next):
                self._advance()
        if not found and self._damage is not None:
            raise self._damage
        return np.concatenate(found) if found else np.zeros((0, self.channels), np.float32)

    def _advance(self) -> None:
        """Decode the next piece; report damage once everything before it was returned."""
        try:
            self._next = next(self._decoded, None)
        except Damaged as error:
            self._next, self._damage = None, error
        self._check_bytes()

    def _check_bytes(self) -> None:
        if self._bytes is not None:
            self._bytes.check()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        if self._bytes is not None:
            self._bytes.close()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
