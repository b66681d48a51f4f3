"""Kinds of sound files that ffmpeg and sox write, with their rates and channels."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

#: Rate of the voice that every file is made from.
VOICE_RATE = 16_000
RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)
_UP_TO_48 = RATES[:7]
_UP_TO_96 = RATES[:8]
_MPEG = _UP_TO_48
_MPEG_2 = RATES[2:7]
_DVD = (32_000, 44_100, 48_000)
_OPUS = (8_000, 16_000, 48_000)
_FLASH = (11_025, 22_050, 44_100)
_ANY = (1, 2, 6)
_STEREO = (1, 2)
_MONO = (1,)


@dataclass(frozen=True, slots=True)
class Kind:
    """A container and a codec.

    Attributes:
        name: container and codec, as ``wav pcm_s16le``.
        suffix: suffix of the file's name.
        arguments: the program's arguments between input and output.
        rates: sample rates in Hz.
        channels: numbers of channels that the codec supports.
        program: program that writes it.
        is_exact: whether the codec is lossless.
        is_piped: whether it is written to a pipe, so that the header is not updated at the end.
    """

    name: str
    suffix: str
    arguments: tuple[str, ...]
    rates: tuple[int, ...] = RATES
    channels: tuple[int, ...] = _ANY
    program: str = "ffmpeg"
    is_exact: bool = False
    is_piped: bool = False

    @property
    def container(self) -> str:
        """The first word of its name."""
        return self.name.split()[0]


def _ffmpeg(
    container: str,
    suffix: str,
    codecs: str,
    rates: tuple[int, ...] = RATES,
    channels: tuple[int, ...] = _ANY,
    muxer: str = "",
    more: str = "",
    note: str = "",
    is_piped: bool = False,
) -> list[Kind]:
    kinds = []
    for codec in codecs.split():
        arguments = ("-c:a", codec, *more.split(), "-f", muxer or container)
        name = " ".join(filter(None, (container, codec, note)))
        is_exact = codec.startswith(("pcm_s16", "pcm_s24", "pcm_s32", "pcm_f")) or codec in (
            *("flac", "alac", "tta", "wavpack"),
        )
        kinds.append(Kind(name, suffix, arguments, rates, channels, "ffmpeg", is_exact, is_piped))
    return kinds


def _sox(
    container: str,
    suffix: str,
    arguments: str,
    rates: tuple[int, ...] = RATES,
    channels: tuple[int, ...] = _MONO,
    note: str = "",
    is_piped: bool = False,
) -> Kind:
    name = " ".join(filter(None, (container, note or "sox")))
    given = tuple(arguments.split())
    return Kind(name, suffix, given, rates, channels, "sox", False, is_piped)


_PCM_LE = "pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_f64le"
_PCM_BE = "pcm_s16be pcm_s24be pcm_s32be pcm_f32be"

KINDS: tuple[Kind, ...] = (
    *_ffmpeg("wav", "wav", f"{_PCM_LE} pcm_u8 pcm_mulaw pcm_alaw adpcm_ima_wav adpcm_ms"),
    *_ffmpeg("wav", "wav", "libgsm_ms", (8_000,), _MONO),
    *_ffmpeg("wav", "wav", "libmp3lame", _MPEG, _STEREO),
    *_ffmpeg("wav", "wav", "mp2", _MPEG_2, _STEREO),
    *_ffmpeg("wav", "wav", "ac3", _DVD),
    *_ffmpeg("wav", "wav", "g722", (16_000,), _MONO),
    *_ffmpeg("wav", "wav", "g726", (8_000,), _MONO),
    *_ffmpeg("wav", "wav", "wmav2", (44_100,), _STEREO),
    *_ffmpeg("wav", "wav", "pcm_s16le", (16_000, 48_000), more="-write_bext 1", note="bext"),
    *_ffmpeg("wav", "wav", "pcm_s16le pcm_u8", (16_000,), note="piped", is_piped=True),
    _sox("wav", "wav", "-t wav -B", (16_000, 48_000), _STEREO, "rifx"),
    _sox("wav", "wav", "-t wav", (16_000,), _STEREO, "sox piped", is_piped=True),
    _sox("wav", "wav", "-t wav -e gsm-full-rate", (8_000, 16_000), note="gsm sox"),
    *_ffmpeg("rf64", "rf64", "pcm_s16le pcm_f32le", muxer="wav", more="-rf64 always"),
    *_ffmpeg("w64", "w64", f"{_PCM_LE} pcm_u8 pcm_mulaw adpcm_ms"),
    *_ffmpeg("w64", "w64", "pcm_s16le", (16_000,), note="piped", is_piped=True),
    *_ffmpeg("aiff", "aiff", f"{_PCM_BE} pcm_f64be pcm_s8 pcm_mulaw pcm_alaw"),
    *_ffmpeg("aifc", "aifc", "pcm_s16le", muxer="aiff"),
    *_ffmpeg("aifc", "aifc", "adpcm_ima_qt", RATES, _STEREO, "aiff"),
    *_ffmpeg("aiff", "aiff", "pcm_s16be", (16_000,), note="piped", is_piped=True),
    *_ffmpeg("au", "au", f"{_PCM_BE} pcm_f64be pcm_s8 pcm_mulaw pcm_alaw"),
    *_ffmpeg("au", "au", "pcm_s16be pcm_mulaw", (8_000, 16_000), note="piped", is_piped=True),
    *_ffmpeg("caf", "caf", f"{_PCM_BE} pcm_s16le pcm_f64be pcm_mulaw pcm_alaw alac"),
    *_ffmpeg("caf", "caf", "adpcm_ima_qt", RATES, _STEREO),
    *_ffmpeg("caf", "caf", "pcm_s16be", (16_000,), note="piped", is_piped=True),
    *_ffmpeg("flac", "flac", "flac"),
    *_ffmpeg("flac", "flac", "flac", more="-sample_fmt s32", note="24 bit"),
    *_ffmpeg("flac", "flac", "flac", (16_000, 48_000), note="piped", is_piped=True),
    *_ffmpeg("ogg", "ogg", "libvorbis"),
    *_ffmpeg("ogg", "ogg", "flac"),
    *_ffmpeg("ogg", "opus", "libopus", _OPUS),
    *_ffmpeg("ogg", "spx", "libspeex", (8_000, 16_000, 32_000), _STEREO),
    *_ffmpeg("mp3", "mp3", "libmp3lame", _MPEG, _STEREO, more="-b:a 64k"),
    *_ffmpeg("mp3", "mp3", "libmp3lame", _MPEG, _STEREO, more="-q:a 4", note="vbr"),
    *_ffmpeg(
        *("mp3", "mp3", "libmp3lame", _MPEG, _STEREO),
        more="-q:a 4 -write_xing 0 -id3v2_version 0",
        note="vbr without an index",
    ),
    *_ffmpeg(
        *("mp3", "mp3", "libmp3lame", _MPEG, _STEREO),
        more="-write_id3v1 1 -metadata title=voice",
        note="id3v1 and id3v2",
    ),
    *_ffmpeg("mp3", "mp3", "libmp3lame", _MPEG, _STEREO, note="piped", is_piped=True),
    *_ffmpeg("mp2", "mp2", "mp2", _MPEG_2, _STEREO),
    *_ffmpeg("mp4", "m4a", "aac", _UP_TO_96, muxer="ipod"),
    *_ffmpeg("mp4", "m4a", "alac", muxer="ipod"),
    *_ffmpeg(
        *("mp4", "m4a", "aac", _UP_TO_96),
        muxer="ipod",
        more="-movflags +faststart",
        note="header first",
    ),
    *_ffmpeg(
        *("mp4", "mp4", "aac", _UP_TO_96),
        more="-movflags +frag_keyframe+empty_moov -frag_duration 500000",
        note="in fragments",
    ),
    *_ffmpeg("mp4", "mp4", "libmp3lame", _MPEG_2, _STEREO),
    *_ffmpeg("mp4", "mp4", "ac3", _DVD),
    *_ffmpeg("mp4", "mp4", "libopus", _OPUS),
    *_ffmpeg("mp4", "mp4", "flac", more="-strict -2"),
    *_ffmpeg("mov", "mov", "pcm_s16le pcm_s24be pcm_f32le alac", _UP_TO_48),
    *_ffmpeg("mov", "mov", "pcm_mulaw aac", _UP_TO_48),
    *_ffmpeg("mov", "mov", "adpcm_ima_qt", _UP_TO_48, _STEREO),
    *_ffmpeg("webm", "webm", "libopus", _OPUS),
    *_ffmpeg("webm", "webm", "libvorbis"),
    *_ffmpeg("webm", "webm", "libopus", _OPUS, note="piped", is_piped=True),
    *_ffmpeg("mkv", "mkv", "pcm_s16le flac libvorbis", muxer="matroska"),
    *_ffmpeg("mkv", "mka", "aac", _UP_TO_96, muxer="matroska"),
    *_ffmpeg("mkv", "mka", "ac3", _DVD, muxer="matroska"),
    *_ffmpeg("mkv", "mka", "libmp3lame", _MPEG, _STEREO, "matroska"),
    *_ffmpeg("wma", "wma", "wmav1 wmav2", (22_050, 44_100, 48_000), _STEREO, "asf"),
    *_ffmpeg("wma", "wma", "wmav2", (44_100,), _STEREO, "asf", note="piped", is_piped=True),
    *_ffmpeg("aac", "aac", "aac", _UP_TO_96, muxer="adts"),
    *_ffmpeg("latm", "latm", "aac", (16_000, 48_000)),
    *_ffmpeg("ts", "ts", "mp2", _DVD, _STEREO, "mpegts"),
    *_ffmpeg("ts", "ts", "ac3", _DVD, muxer="mpegts"),
    *_ffmpeg("ts", "ts", "aac", (16_000, 44_100, 48_000), muxer="mpegts"),
    *_ffmpeg("mpeg", "mpg", "mp2", _DVD, _STEREO),
    *_ffmpeg("avi", "avi", "pcm_s16le"),
    *_ffmpeg("avi", "avi", "libmp3lame", _DVD, _STEREO),
    *_ffmpeg("avi", "avi", "ac3", _DVD),
    *_ffmpeg("flv", "flv", "libmp3lame adpcm_swf", _FLASH, _STEREO),
    *_ffmpeg("flv", "flv", "aac", (16_000, 44_100, 48_000)),
    *_ffmpeg("ac3", "ac3", "ac3", _DVD),
    *_ffmpeg("ac3", "eac3", "eac3", _DVD, muxer="eac3"),
    *_ffmpeg("dts", "dts", "dca", _DVD, more="-strict -2"),
    *_ffmpeg("tta", "tta", "tta"),
    *_ffmpeg("wv", "wv", "wavpack"),
    *_ffmpeg("truehd", "thd", "truehd", (48_000, 96_000), more="-strict -2"),
    *_ffmpeg("gsm", "gsm", "libgsm", (8_000,), _MONO),
    *_ffmpeg("g722", "g722", "g722", (16_000,), _MONO),
    *_ffmpeg("rm", "rm", "ac3", _DVD),
    *_ffmpeg("nut", "nut", "pcm_s16le flac", (16_000, 48_000)),
    *_ffmpeg("voc", "voc", "pcm_u8", _UP_TO_48, _STEREO),
    *_ffmpeg("voc", "voc", "pcm_s16le", _UP_TO_48, _STEREO),
    *_ffmpeg("ircam", "sf", "pcm_s16le pcm_f32le"),
    _sox("3gp", "3gp", "amr-nb", (8_000,), note="amr_nb"),
    _sox("amr", "amr", "-t amr-nb", (8_000,), note="amr_nb"),
    _sox("voc", "voc", "-t voc", _UP_TO_48, _STEREO),
    _sox("sph", "sph", "-t sph", RATES, _STEREO),
    _sox("sph", "sph", "-t sph -e mu-law", (8_000, 16_000), _STEREO, "mu-law"),
    _sox("au", "au", "-t au", (8_000, 16_000), _STEREO, "sox piped", is_piped=True),
    _sox("aiff", "aiff", "-t aiff", (16_000,), _STEREO, "sox piped", is_piped=True),
    _sox("8svx", "8svx", "-t 8svx", _UP_TO_48),
    _sox("avr", "avr", "-t avr", _UP_TO_48, _STEREO),
    _sox("htk", "htk", "-t htk", (8_000, 16_000)),  # of which a sample lasts whole 100 ns
    _sox("paf", "paf", "-t paf", RATES, _STEREO),
    _sox("pvf", "pvf", "-t pvf", RATES, _STEREO),
    _sox("sndt", "snd", "-t sndt", _UP_TO_48),
    _sox("maud", "maud", "-t maud", _UP_TO_48, _STEREO),
)


class NotMade(Exception):
    """The program cannot write this."""


def are_at_hand() -> bool:
    """Return whether both programs are installed."""
    return bool(shutil.which("ffmpeg") and shutil.which("sox"))


def voiced(voice: Float32, rate: int, channels: int) -> Float32:
    """Resample a voice ``(n,)``, to channels of different level: ``(m, c)``."""
    mono = soxr.resample(voice, VOICE_RATE, rate) if rate != VOICE_RATE else voice
    gains = np.linspace(0.95, 0.6, channels, dtype=np.float32)
    return np.clip(mono[:, None] * gains, -0.99, 0.99)


def make(kind: Kind, voice: Float32, rate: int, channels: int, path: Path) -> None:
    """Write a file of the kind.

    Raises:
        NotMade: the program refuses.
    """
    source = path.with_name(f"source-{rate}-{channels}-{len(voice)}.wav")
    if not source.exists():
        subtype = "PCM_24" if rate > 48_000 else "FLOAT"
        soundfile.write(source, voiced(voice, rate, channels), rate, subtype=subtype)
    if kind.container == "3gp":
        return _make_3gp(source, path)
    if kind.program == "ffmpeg":
        head = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-y", "-i", str(source)]
        command = [*head, "-threads", "1", *kind.arguments]
        command.append("pipe:1" if kind.is_piped else str(path))
    else:
        out = "-" if kind.is_piped else str(path)
        command = ["sox", "-D", "-V1", str(source), *kind.arguments, out]
    done = subprocess.run(command, capture_output=True)
    if kind.is_piped:
        path.write_bytes(done.stdout)
    if done.returncode or not path.exists() or not path.stat().st_size:
        raise NotMade(done.stderr.decode(errors="replace")[:200])
    return None


def _make_3gp(source: Path, path: Path) -> None:
    narrow = path.with_suffix(".amr")
    subprocess.run(["sox", "-D", "-V1", source, "-t", "amr-nb", narrow], check=True)
    copy = ["ffmpeg", "-v", "error", "-y", "-i", narrow, "-c", "copy", "-f", "3gp", path]
    if subprocess.run(copy, capture_output=True).returncode:
        raise NotMade("amr in 3gp")
