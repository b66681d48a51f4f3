"""Faults of sound files: changes of their bytes, and the audio that remains."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.matrix import headers
from tests.matrix.headers import riff_chunk, sizes, without_trailer
from tests.matrix.kinds import Kind

#: Share of a file that remains after a cut.
_KEPT = 0.6
#: Containers whose header does not state the length of the audio, or loses it with a cut: if cut,
#: they are read to the end without an error.
_KNOWS_NO_LENGTH = frozenset(
    {"aac", "latm", "ac3", "amr", "gsm", "g722", "ts", "mpeg", "dts", "truehd", "mp2", "rm"}
    | {"ircam", "flv", "nut"}
    # ... or does, and no decoder here looks at it.
    | {"avr", "htk", "paf", "pvf", "sndt"}
)


_HEADERLESS = frozenset({"gsm", "g722"})


@dataclass(frozen=True, slots=True)
class Fault:
    """A change of a file.

    Attributes:
        name: name of the fault.
        change: makes the faulty bytes from a whole file and another of its kind; None if the fault
            is not possible in this container.
        order: which of the two can be heard: ``a`` unless files are joined.
        is_cut: whether audio is missing.
        may_lose_s: audio that the fault destroys.
        is_noise: whether bytes were added that a decoder may take for sound.
    """

    name: str
    change: Callable[[bytes, bytes], bytes | None]
    order: str = "a"
    is_cut: bool = False
    may_lose_s: float = 0.0
    is_noise: bool = False

    @property
    def has_cut_beginning(self) -> bool:
        """Whether the last of several parts is whole and the first is not."""
        return self.is_cut and len(self.order) > 1


def is_possible(fault: Fault, kind: Kind) -> bool:
    """Return whether there is a right result: without any header, a fault makes noise."""
    is_shifted = "before" in fault.name or "joined" in fault.name
    return not (kind.container in _HEADERLESS and is_shifted)


def knows_its_length(kind: Kind) -> bool:
    """Return whether a file of the kind states its length."""
    return not (
        kind.container in _KNOWS_NO_LENGTH or kind.is_piped or "without an index" in kind.name
    )


def _sized(stated: Callable[[int], int]) -> Callable[[bytes, bytes], bytes | None]:
    """Return a change of the stated size, in a file that ends with its audio."""

    def change(data: bytes, _: bytes) -> bytes | None:
        size = sizes(data)
        if size is None or size.stated(data) <= 0:
            return None
        bare = without_trailer(data)
        return size.set(bare, stated(len(bare) - size.first))

    return change


def _unknown(data: bytes, _: bytes) -> bytes | None:
    size = sizes(data)
    if size is None or size.stated(data) <= 0:
        return None
    bare = without_trailer(data)
    if size.form[1] == "q":
        return size.set(bare, (-1 if data[:4] == b"caff" else 2**62) - size.more)
    return size.set(bare, (2**64 if size.form[1] == "Q" else 2**32) - 1)


def _riff(
    change: Callable[[bytes, int, int], bytes | None],
) -> Callable[[bytes, bytes], bytes | None]:
    """Return a change of a little-endian RIFF file, given where its audio begins and ends."""

    def changed(data: bytes, _: bytes) -> bytes | None:
        if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
            return None
        size = sizes(data)
        assert size is not None
        last = min(size.first + size.stated(data), len(data))
        return change(data, size.first, last)

    return changed


def _riff_size(data: bytes) -> bytes:
    """Correct the size of the whole file."""
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def _without_pad(data: bytes, first: int, last: int) -> bytes | None:
    last -= 1 - (last - first) % 2
    block = struct.unpack_from("<H", data, data.index(b"fmt ") + 20)[0]
    if block != 1:  # an odd number of bytes is no whole number of frames
        return None
    body = data[: first - 4] + struct.pack("<I", last - first) + data[first:last]
    return _riff_size(body + riff_chunk(b"LIST", b"INFOINAM\x06\0\0\0voice\0"))


def _before(chunk: bytes) -> Callable[[bytes, int, int], bytes | None]:
    return lambda data, first, _: _riff_size(data[: first - 8] + chunk + data[first - 8 :])


def _after(chunk: bytes) -> Callable[[bytes, int, int], bytes | None]:
    return lambda data, first, last: _riff_size(data[:last] + bytes((last - first) % 2) + chunk)


def _two_data_chunks(between: bytes = b"") -> Callable[[bytes, int, int], bytes | None]:
    def change(data: bytes, first: int, last: int) -> bytes | None:
        block = struct.unpack_from("<H", data, data.index(b"fmt ") + 20)[0]
        half = (last - first) // (2 * block) * block
        half -= half % 2 * block
        one, two = data[first : first + half], data[first + half : last]
        chunks = riff_chunk(b"data", one) + between + riff_chunk(b"data", two)
        return _riff_size(data[: first - 8] + chunks)

    return change


def _format_field(offset: int, form: str, value: int) -> Callable[[bytes, int, int], bytes | None]:
    def change(data: bytes, _first: int, _last: int) -> bytes | None:
        changed = bytearray(data)
        struct.pack_into(form, changed, data.index(b"fmt ") + 8 + offset, value)
        return bytes(changed)

    return change


def _fact(value: int) -> Callable[[bytes, int, int], bytes | None]:
    def change(data: bytes, first: int, _: int) -> bytes | None:
        at = data[:first].find(b"fact")
        return None if at < 0 else data[: at + 8] + struct.pack("<I", value) + data[at + 12 :]

    return change


def _cut(data: bytes, _: bytes) -> bytes | None:
    return data[: round(len(data) * _KEPT)]


def _followed_by(trailer: bytes) -> Callable[[bytes, bytes], bytes | None]:
    return lambda data, _: data + trailer


def _preceded_by(junk: bytes) -> Callable[[bytes, bytes], bytes | None]:
    return lambda data, _: junk + data


_FRAME_STARTS = (b"\xff", b"\x0b\x77", b"\x7f\xfe")


def _first_frame_damaged(data: bytes, _: bytes) -> bytes | None:
    at = 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]) if data[:3] == b"ID3" else 0
    if not data[at:].startswith(_FRAME_STARTS):
        return None
    return data[:at] + bytes(4) + data[at + 4 :]


def _middle_damaged(data: bytes, _: bytes) -> bytes | None:
    at = len(data) // 2
    noise = random.Random(1).randbytes(64)
    return data[:at] + noise + data[at + 64 :]


def _count(value: int) -> Callable[[bytes, bytes], bytes | None]:
    """Change the number of frames in the headers of AIFF, FLAC, Xing and NIST."""

    def change(data: bytes, _: bytes) -> bytes | None:
        if data[:4] == b"FORM" and b"COMM" in data[:200]:
            at = data.index(b"COMM") + 10
            return data[:at] + struct.pack(">I", value) + data[at + 4 :]
        if data[:4] == b"fLaC":
            return data[:21] + bytes((data[21] & 0xF0,)) + struct.pack(">I", value) + data[26:]
        for name in (b"Xing", b"Info"):
            at = data[:4000].find(name)
            if at > 0:
                return data[: at + 8] + struct.pack(">I", value) + data[at + 12 :]
        if data[:4] == b"NIST":
            at = data.index(b"sample_count -i ") + 16
            end = data.index(b"\n", at)
            return data[:at] + str(value).encode().ljust(end - at)[: end - at] + data[end:]
        return None

    return change


def _last_page_gone(data: bytes, _: bytes) -> bytes | None:
    return data[: data.rindex(b"OggS")] if data[:4] == b"OggS" and data.count(b"OggS") > 4 else None


def _no_last_mark(data: bytes, _: bytes) -> bytes | None:
    """Clear the mark of the last page of an Ogg file; its checksum stays right."""
    if data[:4] != b"OggS":
        return None
    at = data.rindex(b"OggS")
    page = bytearray(data[at:])
    page[5] &= ~4
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", _ogg_checksum(bytes(page)))
    return data[:at] + bytes(page)


def _ogg_checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C1_1DB7 if value & 0x8000_0000 else 0)) & 0xFFFF_FFFF
    return value


def _endless_mdat(data: bytes, _: bytes) -> bytes | None:
    """Remove the size of the audio, the last box of an MP4 file."""
    at, last = 0, 0
    if data[4:8] != b"ftyp":
        return None
    while at + 8 <= len(data):
        last, length = at, struct.unpack(">I", data[at : at + 4])[0]
        at += max(length, 8)
    return (
        data[:last] + bytes(4) + data[last + 4 :] if data[last + 4 : last + 8] == b"mdat" else None
    )


_NOISE = random.Random(0).randbytes(1000)

FAULTS: tuple[Fault, ...] = (
    Fault("size 0", _sized(lambda _: 0)),
    Fault("size 0xFFFFFFFF", _unknown),
    Fault("size too small", _sized(lambda length: length // 128 * 64)),
    Fault("size 2 bytes too long", _sized(lambda length: length + 2)),
    Fault("size 44 bytes too long", _sized(lambda length: length + 44)),
    Fault("pad byte missing", _riff(_without_pad)),
    Fault("LIST before the audio", _riff(_before(riff_chunk(b"LIST", b"INFO" + bytes(301))))),
    Fault("JUNK before the audio", _riff(_before(riff_chunk(b"JUNK", bytes(4096))))),
    Fault("LIST after the audio", _riff(_after(riff_chunk(b"LIST", b"INFO" + bytes(500))))),
    Fault("unknown chunk after the audio", _riff(_after(riff_chunk(b"zzzz", _NOISE)))),
    Fault("two data chunks", _riff(_two_data_chunks())),
    Fault("two data chunks, LIST between", _riff(_two_data_chunks(riff_chunk(b"LIST", bytes(99))))),
    Fault("block align 0", _riff(_format_field(12, "<H", 0))),
    Fault("block align too large", _riff(_format_field(12, "<H", 1234))),
    Fault("byte rate wrong", _riff(_format_field(8, "<I", 1))),
    Fault("fact says 0", _riff(_fact(0))),
    Fault("fact says a moment", _riff(_fact(2000))),
    Fault("RIFF size 0", _riff(lambda data, *_: data[:4] + bytes(4) + data[8:])),
    Fault("cut at 60 %", _cut, is_cut=True),
    Fault("noise behind", _followed_by(_NOISE), is_noise=True),
    Fault("zeros behind", _followed_by(bytes(4096))),
    Fault("ID3v1 behind", _followed_by(headers.id3v1())),
    Fault("APE tag behind", _followed_by(headers.ape_tag())),
    Fault("noise before", _preceded_by(_NOISE[:100]), is_noise=True),
    Fault("zeros before", _preceded_by(bytes(512))),
    Fault("ID3v2 before", _preceded_by(headers.id3v2())),
    Fault("joined", lambda a, b: a + b, "ab"),
    Fault("joined of three", lambda a, b: a + b + a, "aba"),
    Fault("joined with noise between", lambda a, b: a + _NOISE + b, "ab", is_noise=True),
    Fault("joined behind a cut", lambda a, b: a[: len(a) // 2] + b, "ab", is_cut=True),
    Fault("first frame damaged", _first_frame_damaged, may_lose_s=0.15),
    Fault("middle damaged", _middle_damaged, may_lose_s=0.6),
    Fault("count 0", _count(0)),
    Fault("count too small", _count(10)),
    Fault("count too large", _count(1_000_000), is_cut=True),
    Fault("last page gone", _last_page_gone, is_cut=True),
    Fault("last page not marked", _no_last_mark),
    Fault("mdat without a size", _endless_mdat),
)
