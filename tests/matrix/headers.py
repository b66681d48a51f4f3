"""The sizes and counts in the headers of sound files, and how to change them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_RIFF = (b"RIFF", b"RIFX")


@dataclass(frozen=True, slots=True)
class Size:
    """A number in a header that states the length of the audio.

    Attributes:
        at: position of the number.
        form: its :mod:`struct` format.
        first: position of the audio.
        more: bytes besides the audio that the number counts.
    """

    at: int
    form: str
    first: int
    more: int

    def stated(self, data: bytes) -> int:
        """Return the bytes of audio that the header states."""
        return int(struct.unpack_from(self.form, data, self.at)[0]) - self.more

    def set(self, data: bytes, stated: int) -> bytes:
        """Return the file with another number."""
        changed = bytearray(data)
        largest = 2 ** (8 * struct.calcsize(self.form)) - 1
        signed = stated + self.more if self.form[1] == "q" else min(stated + self.more, largest)
        struct.pack_into(self.form, changed, self.at, signed)
        return bytes(changed)


def sizes(data: bytes) -> Size | None:
    """Find the lengths in a header; None for unknown containers."""
    if data[:4] in _RIFF and data[8:12] == b"WAVE":
        at = data.index(b"data", 36) + 4
        return Size(at, "<I" if data[:4] == b"RIFF" else ">I", at + 4, 0)
    if data[:4] == b"RF64":
        return Size(data.index(b"ds64") + 16, "<Q", data.index(b"data", 36) + 8, 0)
    if data[:4] == b"riff":
        at = data.index(b"data\xf3\xac") + 16
        return Size(at, "<q", at + 8, 24)
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        at = data.index(b"SSND") + 4
        return Size(at, ">I", at + 12, 8)
    if data[:4] == b".snd":
        return Size(8, ">I", struct.unpack(">I", data[4:8])[0], 0)
    if data[:4] == b"caff":
        at = data.index(b"data") + 4
        return Size(at, ">q", at + 12, 4)
    return None


def without_trailer(data: bytes) -> bytes:
    """Return the file up to the end of its audio, without later chunks."""
    size = sizes(data)
    assert size is not None
    stated = size.stated(data)
    return data if stated <= 0 else data[: size.first + stated]


def riff_chunk(name: bytes, body: bytes) -> bytes:
    """Make a chunk of a RIFF file."""
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def id3v2(length: int = 300) -> bytes:
    """Make the ID3 tag at the start of a file, with a title and padding."""
    title = b"TIT2" + struct.pack(">IH", 6, 0) + b"\x00voice"
    body = title.ljust(length, b"\0")
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + size + body


def id3v1() -> bytes:
    """Make the ID3 tag at the end of a file."""
    return b"TAG" + b"voice".ljust(125, b"\0")


def ape_tag() -> bytes:
    """Make an APE tag with header and footer."""
    item = struct.pack("<II", 5, 0) + b"Title\0voice"
    size = struct.pack("<IIII", 2000, len(item) + 32, 1, 0xA000_0000) + bytes(8)
    foot = struct.pack("<IIII", 2000, len(item) + 32, 1, 0x8000_0000) + bytes(8)
    return b"APETAGEX" + size + item + b"APETAGEX" + foot
