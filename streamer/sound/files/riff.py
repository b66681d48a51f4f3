"""RIFF and RF64 (Microsoft, EBU 3306): finds the audio of a WAVE file or an AVI file."""

from __future__ import annotations

import struct
from typing import BinaryIO

from streamer.sound.files.chunks import FARTHEST, Data, chunks, follows, is_unknown
from streamer.sound.files.parts import Part

#: Formats with blocks of samples, whose length in samples the header gives too.
_ADPCM_MS, _ADPCM_IMA, _GSM = 0x02, 0x11, 0x31
_GSM_BLOCK = 65
#: The longest format chunk that is read.
_LONGEST_FORMAT = 1 << 12


def find_riff(file: BinaryIO, size: int) -> Data | Part | None:
    """Find the audio of a WAVE file that begins at 0; return a part if it is in several chunks."""
    file.seek(0)
    order = ">" if file.read(4) == b"RIFX" else "<"
    form = f"{order}4sI"
    large: tuple[int, int] | None = None
    patches: tuple[tuple[int, bytes], ...] = ()
    fmt, fmt_at = b"", 0
    for name, first, length in chunks(file, 12, form, 2):
        if name == b"ds64":
            file.seek(first + 8)
            large = first, struct.unpack("<Q", file.read(8))[0]
        if name == b"fmt " and length <= _LONGEST_FORMAT:
            file.seek(first)
            fmt, fmt_at = file.read(length), first
            patches = _mended(fmt, first, order)
        if name == b"data":
            sizes = ((4, f"{order}I", first - 8), (first - 4, f"{order}I", 0))
            if large is not None and length == 0xFFFF_FFFF:
                length = large[1]
                sizes = ((large[0], "<Q", first - 8), (large[0] + 8, "<Q", 0))
            more = _more_data(file, first + length, form, size)
            if more and fmt:
                for at, new in patches:
                    fmt = fmt[: at - fmt_at] + new + fmt[at - fmt_at + len(new) :]
                return _of_pieces(fmt, order, ((first, first + length), *more), size)
            behind = follows(file, first + length, size, form, 2)
            return Data(first, length, behind, sizes, patches=patches)
    return None


def _more_data(file: BinaryIO, position: int, form: str, size: int) -> list[tuple[int, int]]:
    """Return further chunks of audio, which decoders skip: first byte and stated end of each."""
    found: list[tuple[int, int]] = []
    if not 0 <= position < FARTHEST:
        return found
    for name, first, length in chunks(file, position + position % 2, form, 2):
        if not all(0x20 <= one < 0x7F for one in name) or first > size:
            break
        if name == b"data":
            found.append((first, size if is_unknown(length) else first + length))
    return found


def _of_pieces(fmt: bytes, order: str, pieces: tuple[tuple[int, int], ...], size: int) -> Part:
    """Return a file with one chunk of audio, made of pieces of another file."""
    stated = sum(last - first for first, last in pieces)
    pieces = tuple((first, min(last, size)) for first, last in pieces)
    there = sum(last - first for first, last in pieces)
    missing = 1.0 - there / stated if there < stated else 0.0
    total = min(there, 0xFFFF_FFFF)
    fmt += bytes(len(fmt) % 2)
    riff = b"RIFX" if order == ">" else b"RIFF"
    prefix = riff + struct.pack(f"{order}I", min(total + 28 + len(fmt), 0xFFFF_FFFF)) + b"WAVE"
    prefix += b"fmt " + struct.pack(f"{order}I", len(fmt)) + fmt
    prefix += b"data" + struct.pack(f"{order}I", total)
    return Part(0, size, prefix=prefix, missing=missing, pieces=pieces)


def _mended(fmt: bytes, position: int, order: str) -> tuple[tuple[int, bytes], ...]:
    """Return a patch for the block's size in bytes, if it does not match its samples."""
    if len(fmt) < 20:
        return ()
    tag, channels = struct.unpack_from(f"{order}HH", fmt)
    block, samples = struct.unpack_from(f"{order}H4xH", fmt, 12)
    if tag == _ADPCM_IMA:
        right = (samples - 1) * channels // 2 + 4 * channels
    elif tag == _ADPCM_MS:
        right = (samples - 2) * channels // 2 + 7 * channels
    else:
        right = _GSM_BLOCK if tag == _GSM and channels == 1 else block
    if right == block or not 0 < right <= 0xFFFF:
        return ()
    return ((position + 12, struct.pack(f"{order}H", right)),)


def avi_parts(file: BinaryIO, size: int) -> tuple[Part, ...]:
    """Return an AVI file that begins at 0 as one part, with the share that it lacks."""
    stated = 0
    while stated + 12 <= size:  # one after the other, each of a gigabyte at most
        file.seek(stated)
        name, length, kind = struct.unpack("<4sI4s", file.read(12))
        if name != b"RIFF" or kind not in (b"AVI ", b"AVIX"):
            break
        stated += 8 + length + length % 2
    missing = 1.0 - size / stated if stated > size + 8 and stated < 2**32 - 2**16 else 0.0
    return (Part(0, size, missing=missing),)
