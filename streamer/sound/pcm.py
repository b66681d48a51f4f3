"""Raw PCM from a pipe, in the encodings of ALSA, ffmpeg and telephone lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from streamer.counting import counted
from streamer.errors import RunFailure, SerLiveError
from streamer.signal import RATES
from streamer.sound.channels import CHANNELS, MIX, Channels, Mixer
from streamer.sound.level import clipped_samples
from streamer.sound.source import (
    NO_SIGNALS,
    Float32,
    Signals,
    audible,
    block_ends,
    keep_quiet,
    no_audio,
)

#: First bytes of sound files, which would sound like a click or noise.
CONTAINERS = (
    *(b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3", b".snd", b"caff"),
    b"\x1aE\xdf\xa3",  # webm, mkv
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of a sample.

    Attributes:
        kind: its NumPy type; for three bytes, the type they are unpacked to.
        size: bytes per sample.
        scale: full scale.
        offset: value of silence.
        low_bits: number of low bits used in a wider word; 0 for all.
        table: value of each byte, for non-linear encodings.
    """

    kind: str
    size: int
    scale: float
    offset: float = 0.0
    low_bits: int = 0
    table: Callable[[], Float32] | None = None

    def decode(self, data: bytes) -> Float32:
        """Decode the bytes of whole samples to ``(samples,)`` float32."""
        if self.table is not None:
            return self.table()[np.frombuffer(data, np.uint8)]
        values: NDArray[np.generic]
        if self.size == 3:  # three bytes become the upper three of four
            padded = np.zeros((len(data) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            if self.kind[0] == ">":
                padded[:, 1:] = padded[:, :0:-1].copy()
            values = padded.view("<i4")[:, 0] >> 8
        else:
            values = np.frombuffer(data, self.kind)
        if self.low_bits:
            values = (values.astype(np.int32) << (32 - self.low_bits)) >> (32 - self.low_bits)
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity are refused later
            scaled = (values.astype(np.float32) - np.float32(self.offset)) / np.float32(self.scale)
        return np.asarray(scaled, np.float32)


def _mu_law() -> Float32:
    """ITU-T G.711."""
    code = ~np.arange(256, dtype=np.uint8) & 0xFF
    exponent, mantissa = (code >> 4) & 7, code & 15
    value = (((mantissa.astype(np.int32) << 3) + 132) << exponent) - 132
    return np.asarray(np.where(code & 0x80, -value, value) / 32768.0, np.float32)


def _a_law() -> Float32:
    """ITU-T G.711."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = ((code >> 4) & 7).astype(np.int32), (code & 15).astype(np.int32)
    value = np.where(
        exponent == 0,
        (mantissa << 4) + 8,
        ((mantissa << 4) + 264) << np.maximum(exponent - 1, 0),
    )
    return np.asarray(np.where(code & 0x80, value, -value) / 32768.0, np.float32)


_WORD24 = Encoding("<i4", 4, 2.0**23, low_bits=24)
_WORD24_BE = Encoding(">i4", 4, 2.0**23, low_bits=24)
_THREE, _THREE_BE = Encoding("<i4", 3, 2.0**23), Encoding(">i4", 3, 2.0**23)

#: By ffmpeg's names; and by PulseAudio's for 24 bits in words of four bytes.
ENCODINGS: dict[str, Encoding] = {
    "u8": Encoding("u1", 1, 2.0**7, 2.0**7),
    "s8": Encoding("i1", 1, 2.0**7),
    "s16le": Encoding("<i2", 2, 2.0**15),
    "s16be": Encoding(">i2", 2, 2.0**15),
    "s24le": _THREE,
    "s24be": _THREE_BE,
    "s24_32le": _WORD24,
    "s24_32be": _WORD24_BE,
    "s32le": Encoding("<i4", 4, 2.0**31),
    "s32be": Encoding(">i4", 4, 2.0**31),
    "f32le": Encoding("<f4", 4, 1.0),
    "f32be": Encoding(">f4", 4, 1.0),
    "f64le": Encoding("<f8", 8, 1.0),
    "f64be": Encoding(">f8", 8, 1.0),
    "mulaw": Encoding("u1", 1, 1.0, table=_mu_law),
    "alaw": Encoding("u1", 1, 1.0, table=_a_law),
}
#: Other names for these: ALSA's (its S24_LE has four bytes), SoX's, GStreamer's, RTP's.
ALIASES: dict[str, str] = {
    "s16_le": "s16le",
    "s16_be": "s16be",
    "s24_le": "s24_32le",
    "s24_be": "s24_32be",
    "s24_3le": "s24le",
    "s24_3be": "s24be",
    "s32_le": "s32le",
    "s32_be": "s32be",
    "float_le": "f32le",
    "float_be": "f32be",
    "float64_le": "f64le",
    "float64_be": "f64be",
    "float32le": "f32le",
    "float32be": "f32be",
    "float64le": "f64le",
    "float64be": "f64be",
    "mu_law": "mulaw",
    "ulaw": "mulaw",
    "pcmu": "mulaw",
    "a_law": "alaw",
    "pcma": "alaw",
    "s16": "s16le",
    "s32": "s32le",
    "f32": "f32le",
    "f64": "f64le",
}


def encoding_of(name: str) -> Encoding:
    """Return the encoding of a name, in any case, with - or _.

    Raises:
        SerLiveError: there is none.
    """
    plain = name.lower().replace("-", "_").removeprefix("pcm_")
    plain = ALIASES.get(plain, plain)
    if plain not in ENCODINGS:
        raise SerLiveError(
            f"--sample-format must be one of {', '.join(ENCODINGS)}, or as ALSA calls them "
            f"(S24_LE has four bytes, S24_3LE three); is {name!r}"
        )
    return ENCODINGS[plain]


class RawPcm:
    """Raw interleaved PCM from a pipe, at the writer's pace.

    Attributes:
        frame_bytes: bytes of one sample of each channel.
    """

    def __init__(
        self,
        stream: BinaryIO,
        sample_rate: int,
        channels: int,
        encoding: str,
        *,
        wanted: Channels = MIX,
        say: Callable[[str], None] = keep_quiet,
        signals: Signals = NO_SIGNALS,
    ) -> None:
        """Describe the pipe.

        Args:
            stream: binary stream, for instance ``sys.stdin.buffer``.
            sample_rate: in Hz.
            channels: number of interleaved channels.
            encoding: a name that :func:`encoding_of` accepts.
            wanted: channels to use.
            say: prints a line for the user.
            signals: end a wait for the writer.

        Raises:
            SerLiveError: the rate, channel count or encoding is impossible.
        """
        if sample_rate not in RATES:
            raise SerLiveError(f"--rate must lie in {RATES[0]}..{RATES[-1]}, is {sample_rate}")
        if channels not in CHANNELS:
            raise SerLiveError(
                f"--channels must lie in {CHANNELS[0]}..{CHANNELS[-1]}, is {channels}"
            )
        self.name = "-"
        self.sample_rate = sample_rate
        self.clipped = self.overflows = 0
        self._stream = stream
        self._signals = signals
        self._read: Callable[[int], bytes] = self._wait_for
        self._channels = channels
        self._encoding = encoding_of(encoding)
        self.frame_bytes = self._encoding.size * channels
        self._mixer = Mixer(
            channels, sample_rate, wanted, lambda line: say(f"standard input: {line}")
        )
        self.streams = self._mixer.streams

    def read_from(self, read: Callable[[int], bytes]) -> None:
        """Read from ``read`` instead; it returns as many bytes as requested, fewer at the end."""
        self._read = read

    def _wait_for(self, count: int) -> bytes:
        with self._signals.waiting():
            return self._stream.read(count)

    def unheard(self, position: int) -> None:
        """Return None: a pipe waits."""

    def blocks(self, block_ms: int) -> Iterator[Float32]:
        """Yield mono blocks, or ``(samples, channels)`` if each channel is a separate stream.

        Raises:
            SerLiveError: it is not PCM, or ends within a sample.
            RunFailure: it cannot be read.
        """
        heard = 0
        for end in block_ends(self.sample_rate, block_ms):
            try:
                data = self._read((end - heard) * self.frame_bytes)
            except OSError as error:
                raise RunFailure(f"standard input: {error.strerror}") from error
            if heard == 0 and (data.startswith(CONTAINERS) or data[4:8] == b"ftyp"):
                raise SerLiveError(
                    "standard input: a sound file, not raw PCM; give its name, or have the writer "
                    "leave the header out (arecord -t raw, ffmpeg -f s16le)"
                )
            whole = len(data) // self.frame_bytes * self.frame_bytes
            values = self._encoding.decode(data[:whole]).reshape(-1, self._channels)
            frames, is_audio = audible(values)
            self.clipped += clipped_samples(values)
            heard += len(frames)
            if len(frames):
                yield self._mixer.accept(frames)
            if not is_audio:
                raise no_audio("standard input", heard, self.sample_rate)
            if odd := len(data) - whole:
                raise SerLiveError(
                    f"standard input: ends {counted(odd, 'byte')} into a sample of "
                    f"{self.frame_bytes}; check --channels and --sample-format"
                )
            if heard < end:
                break
        if heard == 0:
            raise SerLiveError("standard input: holds no audio")
