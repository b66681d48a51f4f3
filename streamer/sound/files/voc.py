"""VOC (Creative Labs): blocks of sound, read as one WAVE file."""

from __future__ import annotations

import struct
from typing import BinaryIO

from streamer.sound.files.parts import Part

#: Types of blocks: end, sound, more sound, silence, start and end of a repeat, format of the next
#: sound, new sound.
_END, _SOUND, _MORE, _SILENCE, _REPEAT, _REPEATED, _EXTENDED, _NEW = 0, 1, 2, 3, 6, 7, 8, 9
#: Codecs that WAVE has too: WAVE's number, bits per sample, and the byte for silence.
_CODECS = {0: (1, 8, 0x80), 4: (1, 16, 0), 6: (6, 8, 0xD5), 7: (7, 8, 0xFF)}
_MOST_BLOCKS = 1_000_000
#: Repeat count for endless blocks: they are played once.
_ENDLESS = 0xFFFF


def voc_parts(file: BinaryIO, size: int) -> tuple[Part, ...]:
    """Return the sound of a VOC file that begins at 0; nothing if WAVE does not have its codec."""
    file.seek(20)
    position = struct.unpack("<H", file.read(2))[0]
    #: First byte and end of a sound; for silence 0, and its length in microseconds.
    found: list[tuple[int, int]] = []
    kind: tuple[int, int, int] | None = None
    extended: tuple[int, int] | None = None
    lacks, is_ended, again, repeated = 0, False, 0, 0
    for _ in range(_MOST_BLOCKS):
        file.seek(position)
        head = file.read(16)
        is_ended = head[:1] == bytes((_END,))
        if len(head) < 4 or is_ended:
            break
        length = int.from_bytes(head[1:4], "little")
        first, end = position + 4, position + 4 + length
        body = head[4:].ljust(12, b"\0")
        own: tuple[int, int, int] | None = None
        if head[0] == _EXTENDED:
            divisor, _, mode = struct.unpack_from("<HBB", body)
            channels = mode + 1
            extended = round(256_000_000 / (channels * max(65_536 - divisor, 1))), channels
        elif head[0] == _SOUND and len(head) >= 6:
            rate, channels = extended or (round(1_000_000 / (256 - body[0])), 1)
            own, first = (rate, channels, body[1]), first + 2
        elif head[0] == _NEW and len(head) == 16:
            rate, _, channels, codec = struct.unpack_from("<IBBH", body)
            own, first = (rate, channels, codec), first + 12
        elif head[0] == _SILENCE:
            found.append((0, (int.from_bytes(body[:2], "little") + 1) * (256 - body[2])))
        elif head[0] == _REPEAT:
            again, repeated = int.from_bytes(body[:2], "little"), len(found)
        elif head[0] == _REPEATED and again not in (0, _ENDLESS):
            found += found[repeated:] * min(again, _MOST_BLOCKS // max(len(found), 1))
            again = 0
        if own is not None:
            if kind not in (None, own) or own[2] not in _CODECS:
                return ()
            kind = own
        if own is not None or head[0] == _MORE:
            found.append((first, max(first, min(end, size))))
            lacks += max(0, end - max(first, size))
        position = end
    if kind is None or not found:
        return ()
    rate, channels, codec = kind
    _, bits, silence = _CODECS[codec]
    block = channels * bits // 8
    pieces = tuple(
        (first, last) if first else (-round(last * rate / 1e6) * block, 0) for first, last in found
    )
    there = sum(last - first for first, last in pieces)
    prefix = _header(*kind, there)
    missing = lacks / (there + lacks) if lacks else 0.0
    fill = bytes((silence,))
    return (Part(0, size, (), prefix, 0.0, missing, 1.0, not is_ended, pieces, fill),)


def _header(rate: int, channels: int, codec: int, length: int) -> bytes:
    tag, bits, _ = _CODECS[codec]
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    riff = struct.pack("<I", min(length + 36, 0xFFFF_FFFF))
    return b"RIFF" + riff + b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", length)
