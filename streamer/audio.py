"""Sources: recordings and raw PCM -> blocks of mono samples at the source's own rate."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RunFailure, SerLiveError
from streamer.frontend import LARGEST_SAMPLE
from streamer.level import clipped_samples
from streamer.resampler import Resampler

Float32 = NDArray[np.float32]

RATES = range(1_000, 768_001)
CHANNELS = range(1, 65)
BLOCK_MS = range(1, 10_001)

#: Encoding of raw PCM -> (NumPy type, bytes a sample, full scale, offset). "s24le" has no type.
SAMPLE_FORMATS: dict[str, tuple[str | None, int, float, float]] = {
    "u8": ("u1", 1, 2.0**7, 2.0**7),
    "s16le": ("<i2", 2, 2.0**15, 0.0),
    "s16be": (">i2", 2, 2.0**15, 0.0),
    "s24le": (None, 3, 2.0**23, 0.0),
    "s32le": ("<i4", 4, 2.0**31, 0.0),
    "f32le": ("<f4", 4, 1.0, 0.0),
}

#: Endings that soundfile reads and that seldom mean anything but sound.
SOUND_SUFFIXES = frozenset(
    {
        *(".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
        *(".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".sph", ".voc"),
    }
)

#: Block of a recording that is read whole.
_READ_MS = 1_000

#: First bytes of sound files, which would be heard as a click.
_CONTAINERS = frozenset({b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS"})

#: Frames decoded at a time.
_CHUNK_FRAMES = 1024

#: Programs that write to a pipe cannot know the length and put the largest number instead.
_STREAMED_BYTES = 0x7FFF_0000
_CORRECTED_SIZES = re.compile(
    r"^ *(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)", re.MULTILINE
)


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


@dataclass(frozen=True, slots=True)
class Away:
    """A live source has nothing to hand over, and will say when it is back how much was lost."""


class Source(Protocol):
    """Something that hands over blocks of mono samples.

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

        A live source hands over an :class:`Away` when it stops giving audio, and a
        :class:`Loss` where audio is missing.

        Raises:
            SerLiveError: the audio turns out damaged; what came before it was handed over.
        """
        ...

    def unheard(self, position: int) -> Loss | None:
        """What a live source had beyond ``position`` samples of stream time, at a session's end."""
        ...


def _block_ends(sample_rate: int, block_ms: int) -> Iterator[int]:
    """Ends of consecutive blocks in samples; rounding does not add up."""
    block = 1
    while True:
        yield max(block, round(block * block_ms * sample_rate / 1000))
        block += 1


def _mono(samples: Float32) -> tuple[Float32, bool]:
    """Average the channels of ``(samples, channels)`` up to the first sample that is no audio.

    Returns:
        the mono samples, and whether all were audio.
    """
    possible = (np.abs(samples) <= LARGEST_SAMPLE).all(axis=1)  # false for NaN too
    good = len(samples) if possible.all() else int(np.argmin(possible))
    return np.asarray(samples[:good].mean(axis=1, dtype=np.float32)), good == len(samples)


def _no_audio(name: str, samples: int, sample_rate: int) -> SerLiveError:
    at_s = samples / sample_rate
    return SerLiveError(f"{name}: a sample at {at_s:.3f} s is NaN, infinite or beyond all scale")


class Recording:
    """A sound file, decoded block by block."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            SerLiveError: missing, unreadable, no sound file, or without audio.
        """
        import soundfile

        self.name = str(path)
        self.clipped = self.overflows = 0
        try:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                raise SerLiveError(f"{path}: a directory; name the files in it")
            if not stat.S_ISREG(status.st_mode):
                raise SerLiveError(f"{path}: no regular file; pipe raw PCM into: ser-live replay -")
            if status.st_size == 0:
                raise SerLiveError(f"{path}: the file is empty")
            path.open("rb").close()  # says why where it may not be read
            # As bytes: soundfile cannot encode a name that is no valid text.
            name = os.fsencode(path) if os.name == "posix" else path
            self._file = soundfile.SoundFile(name)
        except OSError as error:
            raise SerLiveError(f"{path}: {error.strerror or error}") from error
        except soundfile.SoundFileError as error:
            raise SerLiveError(
                f"{path}: no sound file that can be read ({_reason(error)})"
            ) from error
        except TypeError as error:  # soundfile's way to say so of .raw
            raise SerLiveError(
                f"{path}: raw PCM has no header; pipe it into: ser-live replay -"
            ) from error
        # soundfile seeks to where it is after every read, upon which an mp3 decoder forgets the
        # bits that the next frame needs.
        self._file.seekable = lambda: False
        self.sample_rate = int(self._file.samplerate)
        if self.sample_rate not in RATES:
            self._file.close()
            raise SerLiveError(f"{path}: impossible sample rate {self.sample_rate} Hz")
        if self._file.frames == 0:
            self._file.close()
            raise SerLiveError(f"{path}: holds no audio")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def unheard(self, position: int) -> None:
        """Nothing: a recording waits."""

    def blocks(self, block_ms: int) -> Iterator[Float32]:
        # Decoded in chunks of one size, so that even damage is met at the same place however the
        # blocks are cut; what was decoded before the damage is handed over first.
        pending = np.zeros(0, np.float32)
        ends = _block_ends(self.sample_rate, block_ms)
        end, given = next(ends), 0
        damage: SerLiveError | None = None
        chunks = self._chunks()
        while True:
            try:
                chunk = next(chunks, None)
            except SerLiveError as error:
                chunk, damage = None, error
            if chunk is not None:
                pending = np.concatenate([pending, chunk])
            while len(pending) >= end - given or (chunk is None and len(pending)):
                block, pending = pending[: end - given], pending[end - given :]
                yield block
                given += len(block)
                end = next(ends)
            if damage is not None:
                raise damage
            if chunk is None:
                return

    def _chunks(self) -> Iterator[Float32]:
        """Mono chunks as decoded.

        Raises:
            SerLiveError: damaged, truncated or no audio; after the chunk that comes before.
        """
        import soundfile

        heard = 0
        while True:
            try:
                samples = self._file.read(_CHUNK_FRAMES, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                at_s = heard / self.sample_rate
                reason = _reason(error)
                raise SerLiveError(f"{self.name}: damaged after {at_s:.3f} s ({reason})") from error
            mono, is_audio = _mono(samples)
            self.clipped += clipped_samples(samples)
            heard += len(mono)
            yield mono
            if not is_audio:
                raise _no_audio(self.name, heard, self.sample_rate)
            if len(samples) < _CHUNK_FRAMES:
                break
        if self._is_truncated(heard):
            raise SerLiveError(
                f"{self.name}: truncated: the header promises more audio than the "
                f"{heard / self.sample_rate:.3f} s that are there"
            )

    def _is_truncated(self, heard: int) -> bool:
        # libsndfile corrects the sizes in the header silently, and tells in its log.
        for stated, there in _CORRECTED_SIZES.findall(self._file.extra_info):
            if int(there) < int(stated) < _STREAMED_BYTES:
                return True
        # The length of an mp3 without an index is an estimate.
        share = 0.95 if self._file.format == "MP3" else 1.0
        frames: int = self._file.frames
        return heard < share * frames


def _reason(error: Exception) -> str:
    return str(error).rpartition(": ")[2].rstrip(".")


class RawPcm:
    """Raw interleaved PCM from a pipe; it comes at whatever pace the writer has."""

    def __init__(self, stream: BinaryIO, sample_rate: int, channels: int, encoding: str) -> None:
        """Describe the pipe.

        Args:
            stream: binary, for instance ``sys.stdin.buffer``.
            sample_rate: in Hz.
            channels: interleaved.
            encoding: a key of :data:`SAMPLE_FORMATS`.

        Raises:
            SerLiveError: an impossible rate, channel count or encoding.
        """
        if sample_rate not in RATES:
            raise SerLiveError(f"--rate must lie in {RATES[0]}..{RATES[-1]}, is {sample_rate}")
        if channels not in CHANNELS:
            raise SerLiveError(
                f"--channels must lie in {CHANNELS[0]}..{CHANNELS[-1]}, is {channels}"
            )
        if encoding not in SAMPLE_FORMATS:
            raise SerLiveError(f"--sample-format must be one of {', '.join(SAMPLE_FORMATS)}")
        self.name = "-"
        self.sample_rate = sample_rate
        self.clipped = self.overflows = 0
        self._stream = stream
        self._channels = channels
        self._encoding = encoding
        self._sample_bytes = SAMPLE_FORMATS[encoding][1] * channels

    def unheard(self, position: int) -> None:
        """Nothing: a pipe waits."""

    def blocks(self, block_ms: int) -> Iterator[Float32]:
        heard = 0
        for end in _block_ends(self.sample_rate, block_ms):
            try:
                data = self._stream.read((end - heard) * self._sample_bytes)
            except OSError as error:
                raise RunFailure(f"standard input: {error.strerror}") from error
            if heard == 0 and data[:4] in _CONTAINERS:
                raise SerLiveError(
                    "standard input: a sound file, not raw PCM; give its name, or have the writer "
                    "leave the header out (arecord -t raw, ffmpeg -f s16le)"
                )
            whole = len(data) // self._sample_bytes
            samples = self._decode(data[: whole * self._sample_bytes])
            mono, is_audio = _mono(samples)
            self.clipped += clipped_samples(samples)
            heard += len(mono)
            if len(mono):
                yield mono
            if not is_audio:
                raise _no_audio("standard input", heard, self.sample_rate)
            if odd := len(data) % self._sample_bytes:
                raise SerLiveError(
                    f"standard input: ends {odd} bytes into a sample of {self._sample_bytes}; "
                    "check --channels and --sample-format"
                )
            if heard < end:
                break
        if heard == 0:
            raise SerLiveError("standard input: holds no audio")

    def _decode(self, data: bytes) -> Float32:
        """Bytes -> ``(samples, channels)`` float32."""
        kind, _, scale, offset = SAMPLE_FORMATS[self._encoding]
        if kind is None:  # three bytes become the upper three of four
            padded = np.zeros((len(data) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            values = (padded.view("<i4")[:, 0] >> 8).astype(np.float32)
        else:
            values = np.frombuffer(data, kind).astype(np.float32)
        with np.errstate(invalid="ignore"):  # what is no number is refused where it is heard
            values = (values - np.float32(offset)) / np.float32(scale)
        return values.reshape(-1, self._channels)


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
