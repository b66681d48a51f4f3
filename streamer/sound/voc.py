"""VOC (Creative Labs): blocks of sound one after the other, read as one WAVE file."""

from __future__ import annotations

import struct
from typing import BinaryIO

from streamer.sound.parts import Part

#: Types of blocks: of sound, of more of it, of silence, of what it is that follows, of new sound.
_END, _SOUND, _MORE, _EXTENDED, _NEW = 0, 1, 2, 8, 9
#: Codecs that a WAVE file has too, with its own name for each and the bits of a sample.
_CODECS = {0: (1, 8), 4: (1, 16), 6: (6, 8), 7: (7, 8)}
_MOST_BLOCKS = 1_000_000


def voc_parts(file: BinaryIO, size: int) -> tuple[Part, ...]:
    """The sound of a VOC file that begins at 0; none if it is of a kind that WAVE has not."""
    file.seek(20)
    position = struct.unpack("<H", file.read(2))[0]
    pieces: list[tuple[int, int]] = []
    kind: tuple[int, int, int] | None = None
    extended: tuple[int, int] | None = None
    lacks, is_ended = 0, False
    for _ in range(_MOST_BLOCKS):
        file.seek(position)
        head = file.read(16)
        is_ended = head[:1] == bytes((_END,))
        if len(head) < 4 or is_ended:
            break
        length = int.from_bytes(head[1:4], "little")
        first, end = position + 4, position + 4 + length
        own: tuple[int, int, int] | None = None
        if head[0] == _EXTENDED:
            divisor, _, mode = struct.unpack_from("<HBB", head, 4)
            channels = mode + 1
            extended = round(256_000_000 / (channels * max(65_536 - divisor, 1))), channels
        elif head[0] == _SOUND:
            rate, channels = extended or (round(1_000_000 / (256 - head[4])), 1)
            own, first = (rate, channels, head[5]), first + 2
        elif head[0] == _NEW and len(head) == 16:
            rate, _, channels, codec = struct.unpack_from("<IBBH", head, 4)
            own, first = (rate, channels, codec), first + 12
        if own is not None:
            if kind not in (None, own) or own[2] not in _CODECS:
                return ()
            kind = own
        if own is not None or head[0] == _MORE:
            pieces.append((first, min(end, size)))
            lacks += max(0, end - size)
        position = end
    if kind is None or not pieces:
        return ()
    prefix = _header(*kind, sum(last - begin for begin, last in pieces))
    there = sum(last - begin for begin, last in pieces)
    missing = lacks / (there + lacks) if lacks else 0.0
    return (Part(0, size, (), prefix, 0.0, missing, 1.0, not is_ended, tuple(pieces)),)


def _header(rate: int, channels: int, codec: int, length: int) -> bytes:
    tag, bits = _CODECS[codec]
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    riff = struct.pack("<I", min(length + 36, 0xFFFF_FFFF))
    return b"RIFF" + riff + b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", length)
