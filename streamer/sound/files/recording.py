"""Recordings: sound files of any kind -> blocks of samples at the file's own rate."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import soxr

from streamer.counting import counted_are
from streamer.errors import SerLiveError
from streamer.sound.channels import MIX, Channels, Mixer
from streamer.sound.files import media
from streamer.sound.files.containers import look_through
from streamer.sound.files.decoders import SoundFile, open_part
from streamer.sound.files.parts import MOST_UNREADABLE, Layout, Part
from streamer.sound.level import FULL_SCALE, clipped_samples
from streamer.sound.resampler import Resampler
from streamer.sound.source import (
    Damaged,
    Float32,
    audible,
    block_ends,
    keep_quiet,
    no_audio,
)

#: Suffixes that soundfile reads and that seldom mean anything but sound.
SOUND_SUFFIXES = frozenset(
    {
        *(".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
        *(".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".sph", ".voc"),
    }
)

#: Block size for reading a recording whole.
_READ_MS = 1_000
#: How far ahead of the first block the channels are examined.
_FORESEEN_S = 10.0


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
            path: path of the file.
            wanted: channels to use.
            say: prints a line for the user, on oddities of the file that were corrected.

        Raises:
            SerLiveError: it is missing, unreadable, not a sound file, or without audio or the
                wanted channel.
        """
        self.name = str(path)
        self.clipped = self.overflows = 0
        self._path = path
        self._layout = self._look_through()
        self._damage: SerLiveError | None = None
        self._first, self._decoder = self._open_first()
        try:
            self.sample_rate = self._decoder.samplerate
            self._channels = self._decoder.channels
            self._mixer = self._make_mixer(wanted, say)
        except BaseException:
            self._decoder.close()
            raise
        self.streams = self._mixer.streams
        self._tell_oddities(say)

    def _look_through(self) -> Layout:
        path = self._path
        if str(path) == "-" and not path.exists():
            raise SerLiveError("-: name a file; ser-live replay - hears a pipe")
        try:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                raise SerLiveError(f"{path}: a directory; name the files in it")
            if not stat.S_ISREG(status.st_mode):
                raise SerLiveError(f"{path}: no regular file; pipe raw PCM into: ser-live replay -")
            if status.st_size == 0:
                raise SerLiveError(f"{path}: the file is empty")
            return look_through(path)  # raises with the reason if it may not be read
        except OSError as error:
            raise SerLiveError(f"{path}: {error.strerror or error}") from error

    def _open_first(self) -> tuple[int, SoundFile | media.MediaFile]:
        """Return the first readable part's number and decoder.

        Raises:
            SerLiveError: there is none.
        """
        for index in range(min(len(self._layout.parts), MOST_UNREADABLE)):
            try:
                return index, open_part(self._path, self._layout, index)
            except SerLiveError as error:  # reported at the end if another part is read
                self._damage = self._damage or error
        assert self._damage is not None
        raise self._damage

    def _make_mixer(self, wanted: Channels, say: Callable[[str], None]) -> Mixer:
        try:
            mixer = Mixer(
                self._channels, self.sample_rate, wanted, lambda line: say(f"{self._path}: {line}")
            )
        except SerLiveError as error:
            raise SerLiveError(f"{self._path}: {error}") from error
        if self._channels > 1 and wanted == MIX:
            ahead = open_part(self._path, self._layout, self._first)
            try:
                frames = ahead.read(round(_FORESEEN_S * self.sample_rate))
                mixer.foresee(audible(frames)[0])
            except (Damaged, OSError):  # reported when that part is played
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
        if any(part.is_open_ended for part in layout.parts):
            say(f"{self._path}: nothing marks its end: it may have been cut short")
        if layout.junk:
            say(
                f"{self._path}: {counted_are(layout.junk, 'byte')} before its sound, which is heard"
            )
        if isinstance(self._decoder, media.MediaFile) and self._decoder.tracks > 1:
            say(f"{self._path}: {self._decoder.tracks} sound tracks; the first one is heard")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoder.close()

    def unheard(self, position: int) -> None:
        """Return None: a recording waits."""

    def blocks(self, block_ms: int) -> Iterator[Float32]:
        """Yield mono blocks, or ``(samples, channels)`` if each channel is a separate stream.

        Raises:
            SerLiveError: it is damaged or truncated; everything before that has been yielded.
        """
        # Chunks have one size, so that damage occurs at the same place whatever the block size;
        # audio decoded before the damage is yielded first.
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
        """Yield the wanted channels, chunk by chunk as decoded.

        Raises:
            SerLiveError: it is damaged, truncated or not audio; after the chunk before.
        """
        heard = 0
        damage = self._damage
        for index in range(self._first, len(self._layout.parts)):
            try:
                if index > self._first:
                    self._decoder.close()
                    self._decoder = open_part(self._path, self._layout, index)
                for frames in self._of_part(self._layout.parts[index]):
                    good, is_audio = frames, True
                    if not _is_quiet(frames):  # this is false for NaN too
                        good, is_audio = audible(frames)
                        self.clipped += clipped_samples(frames)
                    heard += len(good)
                    yield self._mixer.accept(good)
                    if not is_audio:
                        raise no_audio(self.name, heard, self.sample_rate)
            except SerLiveError as error:  # the other parts are still played
                damage = damage or error
        layout = self._layout
        if damage is None and layout.is_cut:
            damage = SerLiveError(
                f"{self.name}: truncated: its last page is cut after "
                f"{heard / self.sample_rate:.3f} s"
            )
        if layout.damaged_pages:  # this says more than the missing length
            damage = SerLiveError(
                f"{self.name}: damaged: {layout.damaged_pages} of its pages have a wrong checksum "
                "and may be missing; the others were heard"
            )
        if damage is not None:
            raise damage

    def _of_part(self, part: Part) -> Iterator[Float32]:
        """Yield the open part's frames ``(n, channels)``, in the format of the first part."""
        decoder = self._decoder
        convert = None
        if decoder.samplerate != self.sample_rate:
            convert = soxr.ResampleStream(
                decoder.samplerate, self.sample_rate, self._channels, dtype="float32"
            )
        heard = 0
        chunk = max(1, decoder.samplerate * decoder.chunk_ms // 1000)
        while True:
            try:
                frames = decoder.read(chunk)
            except Damaged as damage:
                at_s, behind = damage.after_s, "; what could be decoded behind it was heard"
                if at_s is None:
                    at_s, behind = heard / decoder.samplerate, "; nothing after that was heard"
                raise SerLiveError(
                    f"{self.name}: damaged after {at_s:.3f} s ({damage}){behind}"
                ) from damage
            except OSError as error:
                raise SerLiveError(f"{self.name}: {error.strerror or error}") from error
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
        """Check that a part had as much audio as the file promises.

        Raises:
            SerLiveError: it had less.
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


def _is_quiet(frames: Float32) -> bool:
    """Return whether no sample reaches full scale; false for NaN."""
    return not frames.size or max(frames.max(), -frames.min()) < FULL_SCALE


def read_recording(path: Path, seconds: float | None = None) -> Float32:
    """Read a whole recording, or its first seconds, at 16 kHz: ``(samples,)``.

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
