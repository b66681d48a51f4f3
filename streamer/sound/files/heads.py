"""Recognizes the beginnings of sound files: their kind, their header, and files that follow.

A download joined from parts is several files in one, and a header that is cut short or has no size
does not tell where the next file begins. So this module searches for beginnings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from streamer.sound.files.parts import check_number

#: Most bytes to search for a header; with more before it, the file is of another kind.
MOST_JUNK = 1 << 16
#: Bytes read at a time.
_BLOCK = 1 << 20
#: No header needs more bytes to be distinguished from chance.
_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of files of a kind.

    Attributes:
        name: name of the kind.
        anchor: bytes that are quick to search for.
        offset: their offset from the file's beginning.
        pattern: pattern that the beginning must match as well.
    """

    name: str
    anchor: bytes
    offset: int
    pattern: re.Pattern[bytes]


def _head(name: str, anchor: bytes, pattern: bytes, offset: int = 0) -> Head:
    return Head(name, anchor, offset, re.compile(pattern, re.DOTALL))


_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
#: Second byte of WavPack's flags if the block is the first of those for one moment.
_FIRST_BLOCK = re.escape(bytes(byte for byte in range(256) if byte & 8))

#: Each has eight or more bytes that do not occur by chance, as far as the kind has them.
_HEADS = (
    _head("riff", b"WAVE", rb"(?:RIFF|RIFX|RF64|BW64).{4}WAVE[ -~]{4}", 8),
    _head("aiff", b"AIF", rb"FORM.{4}AIF[FC][ -~]{4}", 8),
    _head("wave64", _W64, re.escape(_W64)),
    _head(
        "au",
        b".snd",
        rb"\.snd\0\0[\0-\x10].{5}\0\0\0[\x01-\x1b]\0[\0-\x0b]..\0\0\0[\x01-\x40]",
    ),
    _head(
        "au", b"dns.", rb"dns\..[\0-\x10]\0\0.{4}[\x01-\x1b]\0\0\0..[\0-\x0b]\0[\x01-\x40]\0\0\0"
    ),
    _head("caf", b"caff\0\x01", rb"caff\0\x01..desc"),
    _head("flac", b"fLaC", rb"fLaC[\0\x80]\0\0\x22"),
    _head("ogg", b"OggS", rb"OggS\0[\x02\x03\x06\x07]\0{8}"),
    _head("voc", b"Creative Voice File\x1a", rb"Creative Voice File\x1a"),
    _head("nist", b"NIST_1A\n", rb"NIST_1A\n"),
    _head("mp4", b"ftyp", rb"\0\0\0[\x0c-\xff]ftyp[ -~]{4}", 4),
    _head("matroska", b"\x1a\x45\xdf\xa3", rb"\x1a\x45\xdf\xa3.{1,12}\x42[\x86\x82\xf7\xf2]"),
    _head("asf", _ASF, re.escape(_ASF)),
    _head("avi", b"AVI LIST", rb"RIFF.{4}AVI LIST", 8),
    _head("iff", b"8SVX", rb"FORM.{4}8SVX[ -~]{4}", 8),
    _head("iff", b"MAUD", rb"FORM.{4}MAUD[ -~]{4}", 8),
    _head("flv", b"FLV\x01", rb"FLV\x01[\x01\x04\x05]\0\0\0\x09\0{4}"),
    _head("amr", b"#!AMR", rb"#!AMR(?:-WB)?\n"),
    _head("tta", b"TTA1", rb"TTA1[\x01\x02]\0[\x01-\x40]\0"),
    _head("wavpack", b"wvpk", rb"wvpk.{4}[\x02-\x10]\x04.{6}\0{4}.{5}[" + _FIRST_BLOCK + rb"]"),
    _head("realmedia", b".RMF\0\0\0", rb"\.RMF\0\0\0"),
    _head("nut", b"nut/multimedia container\0", rb"nut/multimedia container\0"),
    _head("pvf", b"PVF1\n", rb"PVF1\n[0-9]+ [0-9]+ "),
    _head("sounder", b"SOUND\x1a", rb"SOUND\x1a"),
)
#: Kinds whose first four bytes prove little: only files with the same beginning count as more.
_SHORT = re.compile(rb"\x64\xa3[\x01-\x04]\0|\0[\x01-\x04]\xa3\x64|2BIT| paf|fap ", re.DOTALL)
_SHORT_BYTES = 16
#: Name of those kinds.
SHORT = "short"


def head_at(file: BinaryIO, position: int) -> Head | None:
    """Return the head of the file that begins there; None if it is of no known kind."""
    file.seek(position)
    data = file.read(_LONGEST)
    for head in _HEADS:
        if head.pattern.match(data):
            return head
    if _SHORT.match(data):
        alike = data[:_SHORT_BYTES]
        return _head(SHORT, alike, re.escape(alike))
    return None


def first_head(file: BinaryIO, position: int, size: int) -> tuple[int, Head] | None:
    """Return the first header after other bytes, if it is not too far away."""
    file.seek(position)
    data = file.read(min(MOST_JUNK, size - position))
    found = [
        (position + match.start(), head)
        for head in _HEADS
        if (match := head.pattern.search(data)) is not None
    ]
    return min(found, key=lambda one: one[0], default=None)


def heads_behind(file: BinaryIO, head: Head, position: int, size: int) -> list[int]:
    """Return where more files of the kind begin, after the first one at ``position``."""
    return list(_found(file, head, position + 1, size))


def any_head(file: BinaryIO, position: int, size: int) -> int | None:
    """Return where the first file of any kind begins, from ``position`` on."""
    first = None
    for head in _HEADS:
        found = next(_found(file, head, position, size if first is None else first), None)
        first = first if found is None else found
    return first


def _found(file: BinaryIO, head: Head, at: int, size: int) -> Iterator[int]:
    """Yield where files of a kind begin from ``at`` on.

    Raises:
        SerLiveError: there are too many.
    """
    number, kept = 0, b""
    while at < size:
        file.seek(at + len(kept))
        block = file.read(min(_BLOCK, size - at - len(kept)))
        data = kept + block
        found = -1
        last = len(data) if len(block) < _BLOCK else len(data) - _LONGEST
        while (found := data.find(head.anchor, found + 1)) >= 0:
            first = found - head.offset
            if 0 <= first < last and head.pattern.match(data, first):
                yield at + first
                number += 1
                check_number(number)
        if len(block) < _BLOCK:
            break
        at, kept = at + len(data) - _LONGEST, data[-_LONGEST:]


def tag_bytes(file: BinaryIO, size: int) -> int:
    """Return the bytes of the ID3 tags before the file itself."""
    position = 0
    while position + 10 <= size:
        file.seek(position)
        read = file.read(10)
        if read[:3] != b"ID3" or any(one & 0x80 for one in read[6:10]):
            break
        length = read[6] << 21 | read[7] << 14 | read[8] << 7 | read[9]
        position += 10 + length + (10 if read[5] & 0x10 else 0)
    return min(position, size)
