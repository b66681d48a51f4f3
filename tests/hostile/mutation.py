"""Files of every kind that the program reads, and random changes of their bytes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import soundfile

#: Suffix -> format and encoding, as soundfile names them.
KINDS = {
    "16.wav": ("WAV", "PCM_16"),
    "24.wav": ("WAVEX", "PCM_24"),
    "float.wav": ("WAV", "FLOAT"),
    "adpcm.wav": ("WAV", "MS_ADPCM"),
    "gsm.wav": ("WAV", "GSM610"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "FLOAT"),
    "caf": ("CAF", "ALAC_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
#: Headers lie within this many bytes.
HEADER_BYTES = 160
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x400, 0x401, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF)
_NUMBERS += (0x8000_0000, 0xFFFF_FFFF, 0x3FFF_FFFF_FFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, 2**64 - 1)


def whole_files(folder: Path, speech: np.ndarray) -> dict[str, bytes]:
    """Make files of a sixth of a second of speech, in every kind, in stereo if possible."""
    files = {}
    for suffix, (container, encoding) in KINDS.items():
        path = folder / f"whole.{suffix}"
        channels = 1 if encoding == "GSM610" else 2
        samples = np.stack([speech[12_000:14_700]] * channels, axis=1)
        soundfile.write(path, samples, 16_000, format=container, subtype=encoding)
        files[suffix] = path.read_bytes()
    return files


def mutated(data: bytes, chance: random.Random, reach: int = HEADER_BYTES) -> bytes:
    """Return the file with one to four changes, most within its first ``reach`` bytes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        end = min(reach, len(changed)) if chance.random() < 0.8 else len(changed)
        chance.choice(_CHANGES)(changed, chance.randrange(max(end, 1)), chance)
    return bytes(changed)


def _flip(data: bytearray, at: int, chance: random.Random) -> None:
    if data:
        data[at] ^= 1 << chance.randrange(8)


def _set_number(data: bytearray, at: int, chance: random.Random) -> None:
    """Set a length, a rate or a count to an extreme value."""
    size = chance.choice((1, 2, 4, 8))
    number = chance.choice(_NUMBERS) % 2 ** (8 * size)
    data[at : at + size] = number.to_bytes(size, chance.choice(("little", "big")))


def _cut(data: bytearray, at: int, _chance: random.Random) -> None:
    del data[at:]


def _remove(data: bytearray, at: int, chance: random.Random) -> None:
    del data[at : at + chance.randint(1, 64)]


def _insert(data: bytearray, at: int, chance: random.Random) -> None:
    data[at:at] = chance.randbytes(chance.randint(1, 64))


def _repeat(data: bytearray, at: int, chance: random.Random) -> None:
    data[at:at] = data[at : at + chance.randint(1, 256)]


_CHANGES = (_flip, _flip, _set_number, _set_number, _set_number, _cut, _remove, _insert, _repeat)
