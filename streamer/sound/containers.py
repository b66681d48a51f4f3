"""Where the audio lies in a sound file, whatever the sizes in its header say.

A recorder that is killed leaves a size of zero, or that of its first block; a program that writes
to a pipe leaves the largest number; a download that is joined from parts is several files in one.
The decoder believes the sizes and reads one part, and nothing says what is left out. So the file is
looked through first: it is read to the end of its data, and part by part.

Layouts: RIFF and RF64 (Microsoft, EBU 3306), Wave64 (Sony), AIFF (Apple), AU (Sun), CAF (Apple),
Ogg (RFC 3533); MPEG audio in ``mpeg.py``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from streamer.sound.mpeg import mpeg_frame, mpeg_parts
from streamer.sound.parts import Layout, Part, View

#: Sizes that programs write that cannot know better: the largest ones of 31, 32 and 63 bits, and
#: what is left of them for the audio.
_UNKNOWN = (
    range(0x7FFF_0000, 0x8000_0001),
    range(0xFFFF_0000, 0x1_0000_0000),
    range(2**60, 2**64),
)
#: Chunks that are known to follow the audio; they may be damaged themselves.
_TRAILERS = frozenset(
    name.ljust(4).encode()
    for name in re.findall(
        r"\S+",
        "LIST list id3 ID3 bext iXML _PMX JUNK junk PAD FLLR cue smpl inst acid fact PEAK axml "
        "chna afsp MARK INST NAME AUTH (c) ANNO COMT APPL uuid info",
    )
)
#: ... and one that begins another file.
_HEADS = frozenset((b"RIFF", b"RIFX", b"RF64", b"FORM"))
#: Fewer bytes than this behind the data are no audio: padding, or a tag.
_FEWEST_BYTES = 256
#: No file is longer: positions from here on are lies, and no system can seek to them.
_FARTHEST = 2**48
#: Zeros behind the audio that are looked through.
_MOST_PADDING = 1 << 20
#: Chunks that a file may have; more are no chunks.
_MOST_CHUNKS = 10_000

_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


def look_through(path: Path) -> Layout:
    """Where the audio of a sound file lies.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return _examined(file, path.stat().st_size)


def _examined(file: BinaryIO, size: int) -> Layout:
    """Where the audio of an open file lies."""
    parts: tuple[Part, ...] = ()
    file.seek(0)
    head = file.read(16)
    with suppress(struct.error):  # it ends within a header: the decoder says so
        if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
            parts = _with_sizes(file, _find_riff(file, head, size), size)
        elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
            parts = _with_sizes(file, _find_aiff(file, size), size)
        elif head == _W64:
            parts = _with_sizes(file, _find_wave64(file, size), size)
        elif head[:4] in (b".snd", b"dns."):
            parts = _with_sizes(file, _find_au(head), size)
        elif head[:4] == b"caff":
            parts = _with_sizes(file, _find_caf(file, size), size)
        elif head[:4] == b"OggS":
            starts, is_open_ended, is_cut = _ogg_links(file, size)
            return Layout(_parts(starts, size), is_open_ended, is_cut)
        elif head[:3] == b"ID3" or mpeg_frame(head[:4]):
            parts = mpeg_parts(file, size)
    return Layout(parts or (Part(0, size),))


class _Data(NamedTuple):
    """The chunk that holds the audio.

    Attributes:
        start: first byte of the audio.
        stated: bytes that the header speaks of.
        follows: whether what comes after them is the file's own, as far as one can see; or where
            another file begins there.
        sizes: where the header speaks of sizes: position, form of :mod:`struct`, and what has to
            be added to the bytes of the audio. Those of the whole file count from their own.
    """

    start: int
    stated: int
    follows: bool | int
    sizes: tuple[tuple[int, str, int], ...]
    frame_bytes: int = 0
    frames_at: int = 0


def _with_sizes(file: BinaryIO, data: _Data | None, size: int) -> tuple[Part, ...]:
    """The parts of a file of chunks; none where it can be believed."""
    there = 0 if data is None else size - data.start
    if data is None or there <= 0:
        return ()
    if not isinstance(data.follows, bool):
        rest = _examined(cast(BinaryIO, View(file, data.follows, size)), size - data.follows)
        return (Part(0, data.follows), *(part.moved(data.follows) for part in rest.parts))
    missing = 0.0
    if data.stated > there:
        if _is_unknown(data.stated):
            return ()
        missing = 1.0 - there / data.stated
    else:
        is_padded = data.stated > 0 and _is_padding(file, data.start + data.stated, size)
        if data.follows or is_padded or there - data.stated < _FEWEST_BYTES:
            return ()
    # Some decoders refuse a file whose sizes are wrong, instead of hearing what is there.
    patches = []
    for position, form, more in data.sizes:
        largest = 2 ** (8 * struct.calcsize(form)) - 1
        patches.append((position, struct.pack(form, min(there + more, largest))))
    if data.frame_bytes:
        patches.append((data.frames_at, struct.pack(">I", there // data.frame_bytes)))
    promised = min(1.0, data.stated / there)
    return (Part(0, size, tuple(patches), missing=missing, promised=promised),)


def _is_unknown(size: int) -> bool:
    """Whether a size says that nobody knew it."""
    return size < 0 or any(size in sizes for sizes in _UNKNOWN)


def _is_padding(file: BinaryIO, position: int, size: int) -> bool:
    """Whether nothing but zeros is left, as far as it is worth looking."""
    file.seek(position)
    return not file.read(min(size - position, _MOST_PADDING)).strip(b"\0")


def _chunks(
    file: BinaryIO, position: int, form: str, align: int
) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of one chunk after the other, as far as they fit."""
    header = struct.calcsize(form)
    for _ in range(_MOST_CHUNKS):
        if not 0 <= position < _FARTHEST:
            return
        file.seek(position)
        read = file.read(header)
        if len(read) < header:
            return
        name, length = struct.unpack(form, read)
        yield name, position + header, length
        position += header + length + -length % align


def _follows(file: BinaryIO, position: int, size: int, form: str, align: int) -> bool | int:
    """Whether chunks with names fill the file from here on, or where another file begins."""
    for start in sorted({position, position + -position % align}):
        end = start
        for name, first, length in _chunks(file, start, form, align):
            if name in _HEADS and _is_head(file, end):
                return end
            if name in _TRAILERS and (end == start or first + length > size):
                return True
            if not all(0x20 <= one < 0x7F for one in name[:4]) or first + length > size:
                break
            end = first + length + -length % align
        else:
            if size - end < _FEWEST_BYTES and end > start:
                return True
    return False


def _is_head(file: BinaryIO, position: int) -> bool:
    """Whether a sound file begins there, and no chunk of such a name."""
    file.seek(position + 8)
    return file.read(4) in (b"WAVE", b"AIFF", b"AIFC")


def _find_riff(file: BinaryIO, head: bytes, size: int) -> _Data | None:
    order = ">" if head[:4] == b"RIFX" else "<"
    form = f"{order}4sI"
    large: tuple[int, int] | None = None
    for name, first, length in _chunks(file, 12, form, 2):
        if name == b"ds64":
            file.seek(first + 8)
            large = first, struct.unpack("<Q", file.read(8))[0]
        if name == b"data":
            sizes = ((4, f"{order}I", first - 8), (first - 4, f"{order}I", 0))
            if large is not None and length == 0xFFFF_FFFF:
                length = large[1]
                sizes = ((large[0], "<Q", first - 8), (large[0] + 8, "<Q", 0))
            return _Data(first, length, _follows(file, first + length, size, form, 2), sizes)
    return None


def _find_aiff(file: BinaryIO, size: int) -> _Data | None:
    form, frame_bytes, frames_at = ">4sI", 0, 0
    for name, first, length in _chunks(file, 12, form, 2):
        if name == b"COMM":
            file.seek(first)
            channels, _, bits = struct.unpack(">hIh", file.read(8))
            frame_bytes, frames_at = channels * -(-bits // 8), first + 2
        if name == b"SSND":
            sizes = ((4, ">I", first), (first - 4, ">I", 8))
            follows = _follows(file, first + length, size, form, 2)
            stated = length if _is_unknown(length) else max(0, length - 8)
            return _Data(first + 8, stated, follows, sizes, frame_bytes, frames_at)
    return None


def _find_wave64(file: BinaryIO, size: int) -> _Data | None:
    position = 40
    for _ in range(_MOST_CHUNKS):
        if position >= _FARTHEST:
            return None
        file.seek(position)
        read = file.read(24)
        if len(read) < 24:
            return None
        length = struct.unpack("<q", read[16:])[0]
        if read[:16] == _W64_DATA:
            first = position + 24
            sizes = ((16, "<q", first), (position + 16, "<q", 24))
            end = position + length + -length % 8
            return _Data(first, length - 24, _follows_wave64(file, end, size), sizes)
        if length < 24:
            return None
        position += length + -length % 8
    return None


def _follows_wave64(file: BinaryIO, position: int, size: int) -> bool:
    while position < size - _FEWEST_BYTES:
        file.seek(position)
        read = file.read(24)
        length = struct.unpack("<q", read[16:])[0]
        if read[4:16] != _W64_DATA[4:] or length < 24 or position + length > size + 8:
            return False
        position += length + -length % 8
    return position > 0


def _find_au(head: bytes) -> _Data:
    order = ">" if head[:4] == b".snd" else "<"
    first, stated = struct.unpack(f"{order}II", head[4:12])
    return _Data(first, stated, False, ((8, f"{order}I", 0),))


def _find_caf(file: BinaryIO, size: int) -> _Data | None:
    form = ">4sq"
    for name, first, length in _chunks(file, 8, form, 1):
        if name == b"data":
            if length < 0:  # to the end
                return None
            follows = _follows(file, first + length, size, form, 1)
            return _Data(first + 4, length - 4, follows, ((first - 8, ">q", 4),))
        if length < 0:
            return None
    return None


def _parts(starts: list[int], size: int) -> tuple[Part, ...]:
    """Parts that begin so; what comes before the first one belongs to it."""
    ends = [*starts[1:], size]
    return tuple(
        Part(start, end) for start, end in zip([0, *starts[1:]], ends or [size], strict=True)
    )


def _ogg_links(file: BinaryIO, size: int) -> tuple[list[int], bool, bool]:
    """Where the links of a chained Ogg file begin; whether its last page is no last one, or cut."""
    starts: list[int] = []
    position, opens, is_last = 0, False, False
    while position + 27 <= size:
        file.seek(position)
        header = file.read(27)
        if header[:4] != b"OggS":
            found = _next_page(file, position)
            if found is None:
                break
            position = found
            continue
        begins, is_last = bool(header[5] & 2), bool(header[5] & 4)
        if begins and not opens:
            starts.append(position)
        opens = begins
        position += 27 + header[26] + sum(file.read(header[26]))
    file.seek(min(position, size))
    is_cut = position > size or file.read(27).startswith(b"OggS")
    return starts or [0], not is_last, is_cut


def _next_page(file: BinaryIO, position: int) -> int | None:
    """The next page after damage."""
    file.seek(position)
    while block := file.read(1 << 16):
        found = block.find(b"OggS")
        if found >= 0:
            return position + found
        if len(block) < 4:
            return None
        position += len(block) - 3
        file.seek(position)
    return None
