"""FLAC (RFC 9639): if the stated number of samples is too small, it hides the rest."""

from __future__ import annotations

from typing import BinaryIO, cast

from streamer.sound.files.behind import TAGS, begins_at, next_file
from streamer.sound.files.parts import Part, View

_STREAMINFO_END = 42
#: Bytes to search at the end for the last frame; frames of high rates are long.
_TAIL = 1 << 18
#: Frames with a wrong checksum at the end, after which the search stops.
_MOST_CUT = 8
#: Bytes of the checksum that ends a frame; they may be zero.
_CHECKSUM_BYTES = 2
#: Fewer bytes than this after the last frame are not another one.
_FEWEST_BYTES = 256
#: Values of the codes in a frame's header: samples, Hz, channels, bits; 0 means the file's value,
#: and -1 an invalid code.
_BLOCKS = (-1, 192, *(576 << n for n in range(4)), -1, -1, *(256 << n for n in range(8)))
_RATES = (
    *(0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000),
    *(44_100, 48_000, 96_000, -1, -1, -1, -1),
)
_CHANNELS = (*range(1, 9), 2, 2, 2, -1, -1, -1, -1, -1)
_BITS = (0, 8, 12, -1, 16, 20, 24, 32)


def _crc16_of(byte: int) -> int:
    value = byte << 8
    for _ in range(8):
        value = (value << 1 ^ (0x8005 if value & 0x8000 else 0)) & 0xFFFF
    return value


_CRC16 = tuple(map(_crc16_of, range(256)))


def flac_parts(file: BinaryIO, size: int) -> tuple[tuple[Part, ...], int]:
    """Return a FLAC file that begins at 0, without what is appended to it, and where it ends.

    That is the end of the file, or where one of another kind begins. There is no part if the header
    is fine and nothing is appended.
    """
    file.seek(0)
    head = file.read(_STREAMINFO_END)
    if len(head) < _STREAMINFO_END:
        return (), size
    stop = _before_tags(file, size)
    frames_at, sync = _first_frame(file, stop)
    last, end = _last_frame(file, stop, head, sync)
    if end < stop:
        other = next_file(file, max(end, min(frames_at, stop)), size, most=size)
        if other is not None:
            parts, _ = flac_parts(cast(BinaryIO, View(file, 0, other)), other)
            return parts or (Part(0, other),), other
        file.seek(max(end, 0))
        if end > 0 and file.read(2) != sync:  # that would be a frame that is cut short
            stop = end
    stated = int.from_bytes(head[21:26], "big") & 0xF_FFFF_FFFF
    block = int.from_bytes(head[10:12], "big")
    if stated and last >= stated:
        rate = int.from_bytes(head[18:21], "big") >> 4
        promised = stated / (last + block)
        patches = ((21, bytes((head[21] & 0xF0, 0, 0, 0, 0))),)  # unknown: to the end
        seconds = last / max(rate, 1)
        return (Part(0, stop, patches, seconds=seconds, promised=promised),), size
    return (Part(0, stop),) if stop < size else (), size


def _before_tags(file: BinaryIO, size: int) -> int:
    """Return where the file ends, without the tags that some programs append."""
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


def _first_frame(file: BinaryIO, size: int) -> tuple[int, bytes]:
    """Return where the frames begin, and the two bytes that each begins with; empty if unknown."""
    position = 4
    while position < size:
        file.seek(position)
        head = file.read(4)
        if len(head) < 4:
            break
        position += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            file.seek(position)
            sync = file.read(2)
            return position, sync if sync in (b"\xff\xf8", b"\xff\xf9") else b""
    return position, b""


def _last_frame(file: BinaryIO, stop: int, info: bytes, sync: bytes) -> tuple[int, int]:
    """Return the first sample of the last whole frame, and its end; -1 for both without one."""
    position = max(_STREAMINFO_END, stop - _TAIL)
    file.seek(position)
    data = file.read(max(0, stop - position))
    at = len(data)
    # Zeros change no checksum: of an end before the padding and an end after it, take the first.
    bare = len(data.rstrip(b"\0"))
    ends = sorted({min(bare + more, at) for more in range(_CHECKSUM_BYTES + 1)} | {at})
    most = len(ends) + _MOST_CUT
    is_last = True
    while (at := data.rfind(sync or b"\xff", 0, at)) >= 0 and len(ends) < most:
        number = _frame_number(data[at : at + 16].ljust(16, b"\0"), info)
        if number is None:
            continue
        end = _whole_until(data, at, ends)
        if end is None and is_last:
            end = _appended_at(file, position, data, at)
        is_last = False
        if end is not None:
            block = 1 if data[at + 1] & 1 else int.from_bytes(info[10:12], "big")
            return number * block, position + end
        ends.insert(0, at)
    return -1, -1


def _frame_number(header: bytes, info: bytes) -> int | None:
    """Return the number in a frame's header; None if the frame is not of this file."""
    if len(header) < 16 or header[1] & 0xFE != 0xF8 or header[3] & 1:
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
    size_code, rate_code = header[2] >> 4, header[2] & 15
    at = 5 + more
    end = at + {6: 1, 7: 2}.get(size_code, 0)
    block = int.from_bytes(header[at:end], "big") + 1 if end > at else _BLOCKS[size_code]
    at, end = end, end + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    coded = int.from_bytes(header[at:end], "big") * {12: 1000, 14: 10}.get(rate_code, 1)
    stated = int.from_bytes(info[18:22], "big")
    rate, channels, bits = stated >> 12, (stated >> 9 & 7) + 1, (stated >> 4 & 31) + 1
    agrees = (
        0 < block <= int.from_bytes(info[10:12], "big")
        and (coded if end > at else _RATES[rate_code] or rate) == rate
        and _CHANNELS[header[3] >> 4] == channels
        and (_BITS[header[3] >> 1 & 7] or bits) == bits
    )
    return number if agrees and _crc8(header[:end]) == header[end] else None


def _whole_until(data: bytes, at: int, ends: list[int]) -> int | None:
    """Return the possible end up to which the frame there has the right checksum."""
    value = 0
    for end in ends:
        for byte in data[at:end]:
            value = (value << 8 & 0xFFFF) ^ _CRC16[value >> 8 ^ byte]
        if not value:
            return end
        at = end
    return None


def _appended_at(file: BinaryIO, position: int, data: bytes, at: int) -> int | None:
    """Return where the last frame ends, if no audio follows it, only padding, a tag or a file.

    Args:
        file: the file.
        position: position of ``data`` in the file.
        data: the last bytes of the file.
        at: where the frame begins in ``data``.
    """
    value = 0
    for end, byte in enumerate(data[at:], at + 1):
        value = (value << 8 & 0xFFFF) ^ _CRC16[value >> 8 ^ byte]
        if value:
            continue
        rest = data[end:]
        if (
            len(rest) < _FEWEST_BYTES
            or not rest.strip(b"\0")
            or rest.startswith(TAGS)
            or begins_at(file, position + end, position + len(data))
        ):
            return end
    return None


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
    return value
