"""Recordings: sound files of any kind -> blocks of samples at the file's own rate."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import soxr

from streamer.errors import SerLiveError
from streamer.level import clipped_samples
from streamer.resampler import Resampler
from streamer.sound import media
from streamer.sound.channels import MIX, Channels, Mixer
from streamer.sound.containers import look_through
from streamer.sound.parts import Layout, Part, PartFile
from streamer.sound.source import (
    RATES,
    Damaged,
    Float32,
    audible,
    block_ends,
    keep_quiet,
    no_audio,
)

#: Endings that soundfile reads and that seldom mean anything but sound.
SOUND_SUFFIXES = frozenset(
    {
        *(".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
        *(".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".sph", ".voc"),
    }
)

#: Block of a recording that is read whole.
_READ_MS = 1_000
#: Frames decoded at a time.
_CHUNK_FRAMES = 1024
#: How far ahead of the first block the channels are looked at.
_FORESEEN_S = 10.0
#: Audio that may be missing of what a header promises: a few odd bytes, an encoder's padding.
_TOLERATED_S = 0.05
_PADDED_S = 0.2


class _SoundFile:
    """Soundfile's decoder of a part."""

    def __init__(self, path: Path, part: Part | None) -> None:
        import soundfile

        self._errors = soundfile.SoundFileError
        self._bytes: PartFile | None = None
        opened: Any
        if part is None:
            # As bytes: soundfile cannot encode a name that is no valid text.
            opened = os.fsencode(path) if os.name == "posix" else path
        else:
            opened = self._bytes = PartFile(path, part)
        try:
            self._file = soundfile.SoundFile(opened)
            self._check_bytes()
        except BaseException:
            self._close_bytes()
            raise
        # soundfile seeks to where it is after every read, upon which an mp3 decoder forgets the
        # bits that the next frame needs.
        self._file.seekable = lambda: False
        self.samplerate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.frames = int(self._file.frames)
        is_mpeg = "MPEG" in self._file.subtype or self._file.format == "MP3"
        self.promised_s = self.frames / max(self.samplerate, 1)
        self.tolerated_s = _PADDED_S if is_mpeg else _TOLERATED_S

    def read(self, frames: int) -> Float32:
        try:
            found: Float32 = self._file.read(frames, dtype="float32", always_2d=True)
        except self._errors as error:
            self._check_bytes()
            raise Damaged(_reason(error)) from error
        self._check_bytes()
        return found

    def close(self) -> None:
        self._file.close()
        self._close_bytes()

    def _check_bytes(self) -> None:
        """Let out what happened while the decoder read: a signal, or a disk that failed."""
        if self._bytes is not None and (failure := self._bytes.failure) is not None:
            self._bytes.failure = None
            raise failure

    def _close_bytes(self) -> None:
        if self._bytes is not None:
            self._bytes.close()


class Recording:
    """A sound file, decoded block by block."""

    def __init__(
        self,
        path: Path,
        wanted: Channels = MIX,
        say: Callable[[str], None] = keep_quiet,
    ) -> None:
        """Open the file.

        Args:
            path: of the file.
            wanted: what is heard of its channels.
            say: takes a line for the person: what is odd about the file and is made up for.

        Raises:
            SerLiveError: missing, unreadable, no sound file, without audio or the wanted channel.
        """
        self.name = str(path)
        self.clipped = self.overflows = 0
        self._path = path
        self._layout = self._look_through()
        self._decoder = self._open(0)
        try:
            self.sample_rate = self._decoder.samplerate
            if self.sample_rate not in RATES:
                raise SerLiveError(f"{path}: impossible sample rate {self.sample_rate} Hz")
            if self._decoder.frames == 0:
                raise SerLiveError(f"{path}: holds no audio")
            self._channels = self._decoder.channels
            self._mixer = self._make_mixer(wanted, say)
        except BaseException:
            self._decoder.close()
            raise
        self.streams = self._mixer.streams
        self._tell_oddities(say)

    def _look_through(self) -> Layout:
        path = self._path
        try:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                raise SerLiveError(f"{path}: a directory; name the files in it")
            if not stat.S_ISREG(status.st_mode):
                raise SerLiveError(f"{path}: no regular file; pipe raw PCM into: ser-live replay -")
            if status.st_size == 0:
                raise SerLiveError(f"{path}: the file is empty")
            return look_through(path)  # says why where it may not be read
        except OSError as error:
            raise SerLiveError(f"{path}: {error.strerror or error}") from error

    def _open(self, index: int) -> _SoundFile | media.MediaFile:
        """Decoder of a part.

        Raises:
            SerLiveError: nothing at hand reads it.
        """
        import soundfile

        path, layout = self._path, self._layout
        try:
            return _SoundFile(path, None if layout.is_plain else layout.parts[index])
        except OSError as error:
            raise SerLiveError(f"{path}: {error.strerror or error}") from error
        except soundfile.SoundFileError as error:
            reason = _reason(error)
            if index:
                raise SerLiveError(
                    f"{path}: part {index + 1} of {len(layout.parts)} cannot be read ({reason})"
                ) from error
        except TypeError as error:  # soundfile's way to say so of .raw
            raise SerLiveError(
                f"{path}: raw PCM has no header; pipe it into: ser-live replay -"
            ) from error
        if not media.is_at_hand():
            raise SerLiveError(
                f"{path}: no sound file that can be read ({reason}); {media.way_out(path)}"
            )
        self._layout = Layout(layout.parts[:1])
        try:
            return media.MediaFile(
                path, None if layout.is_plain else PartFile(path, layout.parts[0])
            )
        except SerLiveError as error:
            if str(error).startswith(media.UNREADABLE):  # whose reasons say less
                raise SerLiveError(f"{path}: {media.UNREADABLE} ({reason})") from error
            raise SerLiveError(f"{path}: {error}") from error

    def _make_mixer(self, wanted: Channels, say: Callable[[str], None]) -> Mixer:
        try:
            mixer = Mixer(
                self._channels, self.sample_rate, wanted, lambda line: say(f"{self._path}: {line}")
            )
        except SerLiveError as error:
            raise SerLiveError(f"{self._path}: {error}") from error
        if self._channels > 1 and wanted == MIX:
            ahead = self._open(0)
            try:
                mixer.foresee(ahead.read(round(_FORESEEN_S * self.sample_rate)))
            except Damaged:  # the person is told where it is heard
                pass
            finally:
                ahead.close()
        return mixer

    def _tell_oddities(self, say: Callable[[str], None]) -> None:
        layout = self._layout
        if len(layout.parts) > 1:
            say(f"{self._path}: {len(layout.parts)} recordings joined in one file; all are heard")
        promised = min(part.promised for part in layout.parts)
        if promised < 1:
            say(
                f"{self._path}: its header speaks of {promised:.1%} of the audio that is "
                "there; all of it is heard"
            )
        if layout.is_open_ended and not layout.is_cut:
            say(
                f"{self._path}: its last page is not marked as the last: it may have been cut short"
            )
        if isinstance(self._decoder, media.MediaFile) and self._decoder.tracks > 1:
            say(f"{self._path}: {self._decoder.tracks} sound tracks; the first one is heard")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoder.close()

    def unheard(self, position: int) -> None:
        """Nothing: a recording waits."""

    def blocks(self, block_ms: int) -> Iterator[Float32]:
        """Mono blocks, or ``(samples, channels)`` where each is a stream of its own.

        Raises:
            SerLiveError: damaged or truncated; what came before was handed over.
        """
        # Decoded in chunks of one size, so that even damage is met at the same place however the
        # blocks are cut; what was decoded before the damage is handed over first.
        waiting: list[Float32] = []
        held = given = 0
        ends = block_ends(self.sample_rate, block_ms)
        end = next(ends)
        damage: SerLiveError | None = None
        chunks = self._chunks()
        while True:
            try:
                chunk = next(chunks, None)
            except SerLiveError as error:
                chunk, damage = None, error
            if chunk is not None:
                waiting.append(chunk)
                held += len(chunk)
            if held and (held >= end - given or chunk is None):
                joined = np.concatenate(waiting)
                while len(joined) >= end - given or (chunk is None and len(joined)):
                    block, joined = joined[: end - given], joined[end - given :]
                    yield block
                    given += len(block)
                    end = next(ends)
                waiting, held = [joined], len(joined)
            if damage is not None:
                raise damage
            if chunk is None:
                return

    def _chunks(self) -> Iterator[Float32]:
        """What is heard, chunk by chunk as decoded.

        Raises:
            SerLiveError: damaged, truncated or no audio; after the chunk that comes before.
        """
        heard = 0
        damage: SerLiveError | None = None
        for index in range(len(self._layout.parts)):
            try:
                if index:
                    self._decoder.close()
                    self._decoder = self._open(index)
                for frames in self._of_part(self._layout.parts[index]):
                    good, is_audio = audible(frames)
                    self.clipped += clipped_samples(frames)
                    heard += len(good)
                    yield self._mixer.accept(good)
                    if not is_audio:
                        raise no_audio(self.name, heard, self.sample_rate)
            except SerLiveError as error:  # the other parts are heard all the same
                damage = damage or error
        if damage is None and self._layout.is_cut:
            damage = SerLiveError(
                f"{self.name}: truncated: its last page is cut after "
                f"{heard / self.sample_rate:.3f} s"
            )
        if damage is not None:
            raise damage

    def _of_part(self, part: Part) -> Iterator[Float32]:
        """Frames ``(n, channels)`` of the part that is open, as the first part has them."""
        decoder = self._decoder
        convert = None
        if decoder.samplerate != self.sample_rate:
            convert = soxr.ResampleStream(
                decoder.samplerate, self.sample_rate, self._channels, dtype="float32"
            )
        heard = 0
        while True:
            try:
                frames = decoder.read(_CHUNK_FRAMES)
            except Damaged as damage:
                at_s = heard / decoder.samplerate
                raise SerLiveError(
                    f"{self.name}: damaged after {at_s:.3f} s ({damage})"
                ) from damage
            heard += len(frames)
            is_last = not len(frames)
            if decoder.channels != self._channels:
                frames = np.repeat(frames.mean(axis=1, keepdims=True), self._channels, axis=1)
            if convert is not None:
                frames = convert.resample_chunk(frames, last=is_last)
            yield frames
            if is_last:
                break
        self._check_whole(part, heard)

    def _check_whole(self, part: Part, heard: int) -> None:
        """Hold what was heard of a part against what the file promises.

        Raises:
            SerLiveError: it is less.
        """
        decoder, missing = self._decoder, part.missing
        heard_s = heard / decoder.samplerate
        missing_s = max(decoder.promised_s, part.seconds) - heard_s
        if missing:
            missing_s = heard_s * missing / (1.0 - missing) if missing < 1 else np.inf
        if missing_s > decoder.tolerated_s:
            raise SerLiveError(
                f"{self.name}: truncated: the header promises more audio than the "
                f"{heard_s:.3f} s that are there"
            )


def _reason(error: Exception) -> str:
    return str(error).rpartition(": ")[2].rstrip(".")


def read_recording(path: Path, seconds: float | None = None) -> Float32:
    """A whole recording, or its first seconds, at 16 kHz: ``(samples,)``.

    Raises:
        SerLiveError: it cannot be read.
    """
    parts = []
    with Recording(path) as recording:
        resampler = Resampler(recording.sample_rate)
        heard = 0
        for block in recording.blocks(_READ_MS):
            parts.append(resampler.accept(block))
            heard += len(block)
            if seconds is not None and heard >= seconds * recording.sample_rate:
                break
        parts.append(resampler.flush())
    return np.concatenate(parts)
