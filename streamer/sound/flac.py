"""FLAC (RFC 9639): a stated number of samples that is too small hides what follows."""

from __future__ import annotations

from typing import BinaryIO

from streamer.sound.parts import Part

_STREAMINFO_END = 42
#: Looked through at the end for the last frame; frames of high rates are long.
_TAIL = 1 << 18


def flac_parts(file: BinaryIO, size: int) -> tuple[Part, ...]:
    """A FLAC file that begins at 0, without the tags behind; none where it can be believed."""
    file.seek(0)
    head = file.read(_STREAMINFO_END)
    if len(head) < _STREAMINFO_END:
        return ()
    stop = _before_tags(file, size)
    stated = int.from_bytes(head[21:26], "big") & 0xF_FFFF_FFFF
    block = int.from_bytes(head[10:12], "big")
    last = _last_frame(file, max(_STREAMINFO_END, stop - _TAIL), stop, block)
    if stated and last >= stated:
        rate = int.from_bytes(head[18:21], "big") >> 4
        promised = stated / (last + block)
        patches = ((21, bytes((head[21] & 0xF0, 0, 0, 0, 0))),)  # nobody knows: to the end
        seconds = last / max(rate, 1)
        return (Part(0, stop, patches, seconds=seconds, promised=promised),)
    return (Part(0, stop),) if stop < size else ()


def _before_tags(file: BinaryIO, size: int) -> int:
    """Where the file ends without the tags that some programs put behind it."""
    if size > 128:
        file.seek(size - 128)
        if file.read(3) == b"TAG":
            size -= 128
    if size > 32:
        file.seek(size - 32)
        foot = file.read(32)
        if foot[:8] == b"APETAGEX":
            has_header = bool(foot[23] & 0x80)
            size -= int.from_bytes(foot[12:16], "little") + 32 * has_header
    return max(size, 0)


def _last_frame(file: BinaryIO, position: int, stop: int, block: int) -> int:
    """The first sample of the last frame, by its header; -1 if none is found."""
    file.seek(position)
    data = file.read(stop - position)
    at = len(data)
    while (at := data.rfind(b"\xff", 0, at)) >= 0:
        number = _frame_number(data[at : at + 16])
        if number is not None:
            is_variable = data[at + 1] & 1
            return number if is_variable else number * block
    return -1


def _frame_number(header: bytes) -> int | None:
    """The number that a frame's header gives it; None if it is none."""
    if len(header) < 16 or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    size_code, rate_code = header[2] >> 4, header[2] & 15
    if not size_code or rate_code == 15 or header[3] >> 4 > 10:
        return None
    ones = 8 - (header[4] ^ 0xFF).bit_length()
    if ones in (1, 8):
        return None
    more = max(0, ones - 1)
    number = header[4] & (0x7F >> ones)
    for byte in header[5 : 5 + more]:
        if byte >> 6 != 2:
            return None
        number = number << 6 | byte & 0x3F
    end = 5 + more
    end += {6: 1, 7: 2}.get(size_code, 0) + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    return number if _crc8(header[:end]) == header[end] else None


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
    return value
