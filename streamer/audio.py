"""Sources: recordings and raw PCM -> blocks of mono samples at the source's own rate."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

import numpy as np
import soxr
from numpy.typing import NDArray

from streamer.errors import RunFailure, SerLiveError
from streamer.frontend import LARGEST_SAMPLE, SAMPLE_RATE

Float32 = NDArray[np.float32]

RATES = range(1_000, 768_001)
CHANNELS = range(1, 65)
BLOCK_MS = range(1, 10_001)

#: Keeps what is below 7.5 kHz; training resamples with it too. "LQ" would hold back 17 ms less at
#: 48 kHz and lose what is above 6 kHz.
RESAMPLER_QUALITY = "HQ"

#: Encoding of raw PCM -> (NumPy type, bytes a sample, full scale, offset). "s24le" has no type.
SAMPLE_FORMATS: dict[str, tuple[str | None, int, float, float]] = {
    "u8": ("u1", 1, 2.0**7, 2.0**7),
    "s16le": ("<i2", 2, 2.0**15, 0.0),
    "s16be": (">i2", 2, 2.0**15, 0.0),
    "s24le": (None, 3, 2.0**23, 0.0),
    "s32le": ("<i4", 4, 2.0**31, 0.0),
    "f32le": ("<f4", 4, 1.0, 0.0),
}

#: Programs that write to a pipe cannot know the length and put the largest number instead.
_STREAMED_DATA_BYTES = 0x7FFF_0000


@dataclass(frozen=True, slots=True)
class Loss:
    """Audio that a live source could not hand over.

    Attributes:
        samples: lost, at the source's rate.
        filled: how many of them the source replaces with silence, handed over next.
        reason: in words.
    """

    samples: int
    filled: int
    reason: str


class Source(Protocol):
    """Something that hands over blocks of mono samples."""

    name: str
    sample_rate: int

    def blocks(self, block_ms: int) -> Iterator[Float32 | Loss]:
        """Mono float32 blocks of ``block_ms`` at ``sample_rate``, the last one shorter.

        A live source hands over a :class:`Loss` where audio is missing.

        Raises:
            SerLiveError: the audio turns out damaged; what came before it was handed over.
        """
        ...


def _block_ends(sample_rate: int, block_ms: int) -> Iterator[int]:
    """Ends of consecutive blocks in samples; rounding does not add up."""
    block = 1
    while True:
        yield max(block, round(block * block_ms * sample_rate / 1000))
        block += 1


def _mono(samples: Float32, name: str, first: int, sample_rate: int) -> Float32:
    """Average the channels of ``(samples, channels)``, refusing what is no audio."""
    possible = (np.abs(samples) <= LARGEST_SAMPLE).all(axis=1)  # false for NaN too
    if not possible.all():
        at_s = (first + int(np.argmin(possible))) / sample_rate
        raise SerLiveError(f"{name}: a sample at {at_s:.3f} s is NaN, infinite or beyond all scale")
    return np.asarray(samples.mean(axis=1, dtype=np.float32))


class Recording:
    """A sound file, decoded block by block."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            SerLiveError: missing, unreadable, no sound file, or without audio.
        """
        import soundfile

        self.name = str(path)
        if path.is_dir():
            raise SerLiveError(f"{path}: a directory; name the files in it")
        if path.exists() and not path.is_file():
            raise SerLiveError(f"{path}: no regular file; pipe raw PCM into: ser-live replay -")
        try:
            with path.open("rb") as file:
                if not file.read(1):
                    raise SerLiveError(f"{path}: the file is empty")
            with _quiet_decoder():
                # As bytes: soundfile cannot encode a name that is no valid text.
                name = os.fsencode(path) if os.name == "posix" else path
                self._file = soundfile.SoundFile(name)
        except OSError as error:
            raise SerLiveError(f"{path}: {error.strerror or error}") from error
        except soundfile.SoundFileError as error:
            raise SerLiveError(
                f"{path}: no sound file that can be read ({_reason(error)})"
            ) from error
        self.sample_rate = int(self._file.samplerate)
        if self.sample_rate not in RATES:
            self._file.close()
            raise SerLiveError(f"{path}: impossible sample rate {self.sample_rate} Hz")
        if self._file.frames == 0:
            self._file.close()
            raise SerLiveError(f"{path}: holds no audio")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def blocks(self, block_ms: int) -> Iterator[Float32]:
        import soundfile

        heard = 0
        for end in _block_ends(self.sample_rate, block_ms):
            try:
                with _quiet_decoder():
                    samples = self._file.read(end - heard, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                at_s = heard / self.sample_rate
                raise SerLiveError(
                    f"{self.name}: damaged after {at_s:.3f} s ({_reason(error)})"
                ) from error
            if len(samples):
                yield _mono(samples, self.name, heard, self.sample_rate)
            heard += len(samples)
            if heard < end:
                break
        if self._is_truncated(heard):
            raise SerLiveError(
                f"{self.name}: truncated: the header promises more audio than the "
                f"{heard / self.sample_rate:.3f} s that are there"
            )

    def _is_truncated(self, heard: int) -> bool:
        sizes = re.search(r"^data : (\d+) \(should be (\d+)\)", self._file.extra_info, re.MULTILINE)
        if sizes:  # libsndfile notices, and reads what is there without an error
            promised, there = int(sizes[1]), int(sizes[2])
            return there < promised < _STREAMED_DATA_BYTES
        # The length of a file without an index (mp3) is an estimate.
        promised_frames: int = self._file.frames
        return heard < 0.95 * promised_frames


def _reason(error: Exception) -> str:
    return str(error).rpartition(": ")[2].rstrip(".")


@contextmanager
def _quiet_decoder() -> Iterator[None]:
    """Keep what the mp3 decoder prints about damaged frames off the person's screen."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed: nothing to keep clean
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


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
        self._stream = stream
        self._channels = channels
        self._encoding = encoding
        self._sample_bytes = SAMPLE_FORMATS[encoding][1] * channels

    def blocks(self, block_ms: int) -> Iterator[Float32]:
        heard = 0
        for end in _block_ends(self.sample_rate, block_ms):
            try:
                data = self._stream.read((end - heard) * self._sample_bytes)
            except OSError as error:
                raise RunFailure(f"standard input: {error.strerror}") from error
            whole = len(data) // self._sample_bytes
            if whole:
                samples = self._decode(data[: whole * self._sample_bytes])
                yield _mono(samples, "standard input", heard, self.sample_rate)
            heard += whole
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
        values = (values - np.float32(offset)) / np.float32(scale)
        return values.reshape(-1, self._channels)


class Resampler:
    """The source's rate -> 16 kHz, statefully; the result does not depend on the block size."""

    def __init__(self, sample_rate: int) -> None:
        self._is_needed = sample_rate != SAMPLE_RATE
        self._soxr = _soxr_stream(sample_rate)
        self.look_ahead_s = resampler_look_ahead_s(sample_rate)

    def accept(self, samples: Float32) -> Float32:
        """Add samples ``(n,)``; return those at 16 kHz that are ready."""
        return self._soxr.resample_chunk(samples) if self._is_needed else samples

    def flush(self) -> Float32:
        """The samples held back."""
        nothing = np.zeros(0, np.float32)
        return self._soxr.resample_chunk(nothing, last=True) if self._is_needed else nothing


def _soxr_stream(sample_rate: int) -> soxr.ResampleStream:
    return soxr.ResampleStream(
        sample_rate, SAMPLE_RATE, 1, dtype="float32", quality=RESAMPLER_QUALITY
    )


@cache
def resampler_look_ahead_s(sample_rate: int) -> float:
    """Most audio that the resampler takes in before it gives out the sample of a moment, in s.

    It works in blocks, so this varies over time; the greatest over four seconds is measured by
    feeding it silence, to 1 ms.
    """
    if sample_rate == SAMPLE_RATE:
        return 0.0
    stream = _soxr_stream(sample_rate)
    step = max(1, sample_rate // 1000)
    silence = np.zeros(step, np.float32)
    worst, given = 0.0, 0
    for taken in range(step, 4 * sample_rate, step):
        if new := len(stream.resample_chunk(silence)):
            worst = max(worst, taken / sample_rate - (given + 1) / SAMPLE_RATE)
            given += new
    return worst
