"""Where the audio lies in a sound file, whatever the sizes in its header say.

A recorder that is killed leaves a size of zero, or that of its first block; a program that writes
to a pipe leaves the largest number; a download that is joined from parts is several files in one.
The decoder believes the sizes and reads one part, and nothing says what is left out. So the file is
looked through first: it is read to the end of its data, and part by part.

Layouts: RIFF and RF64 (Microsoft, EBU 3306), Wave64 (Sony), AIFF (Apple), AU (Sun), CAF (Apple),
Ogg (RFC 3533), MPEG audio (ISO 11172-3) with ID3, APE and Xing tags.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

#: Sizes from here on are what programs write that cannot know better.
_UNKNOWN = 0x7FFF_0000
#: Fewer bytes than this behind the data are no audio: padding, or a tag.
_FEWEST_BYTES = 256
#: No file is longer: positions from here on are lies, and no system can seek to them.
_FARTHEST = 2**62
#: Chunks that a file may have; more are no chunks.
_MOST_CHUNKS = 10_000

_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a file that is a whole sound file.

    Attributes:
        start: first byte.
        stop: byte after the last one.
        patches: bytes that are to be read in place of the file's, by position in the file.
    """

    start: int
    stop: int
    patches: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """What was found in a file.

    Attributes:
        parts: to be heard one after the other; a single one without patches is the file itself.
        missing: share of the promised audio that the file is too short for, 0 to 1.
        promised: share of the audio in the file that the header speaks of; 1 where it is right.
    """

    parts: tuple[Part, ...]
    missing: float = 0.0
    promised: float = 1.0

    @property
    def is_plain(self) -> bool:
        """Whether a decoder that believes the file hears all of it."""
        return len(self.parts) == 1 and not self.parts[0].patches and self.parts[0].start == 0


def look_through(path: Path) -> Layout:
    """Where the audio of a sound file lies.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    whole = Layout((Part(0, size),))
    with path.open("rb") as file:
        head = file.read(16)
        try:
            if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
                return _with_sizes(_find_riff(file, head, size), size) or whole
            if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
                return _with_sizes(_find_aiff(file, size), size) or whole
            if head == _W64:
                return _with_sizes(_find_wave64(file, size), size) or whole
            if head[:4] in (b".snd", b"dns."):
                return _with_sizes(_find_au(head), size) or whole
            if head[:4] == b"caff":
                return _with_sizes(_find_caf(file, size), size) or whole
            if head[:4] == b"OggS":
                return Layout(_parts(_ogg_links(file, size), size))
            if head[:3] == b"ID3" or _mpeg_frame(head[:4]):
                return Layout(_parts(_joined_mpeg(file, size), size))
        except struct.error:  # it ends within a header: the decoder says so
            pass
    return whole


class _Data(NamedTuple):
    """The chunk that holds the audio.

    Attributes:
        start: first byte of the audio.
        stated: bytes that the header speaks of.
        follows: whether what comes after them is the file's own, as far as one can see.
        sizes: where the header speaks of sizes: position, form of :mod:`struct`, and what has to
            be added to the bytes of the audio. Those of the whole file count from their own.
    """

    start: int
    stated: int
    follows: bool
    sizes: tuple[tuple[int, str, int], ...]
    frame_bytes: int = 0
    frames_at: int = 0


def _with_sizes(data: _Data | None, size: int) -> Layout | None:
    """The layout of a file of chunks."""
    if data is None:
        return None
    there = size - data.start
    missing = 0.0
    if data.stated > there:
        if data.stated >= _UNKNOWN or data.stated < 0:
            return Layout((Part(0, size),))
        missing = 1.0 - there / data.stated
    elif data.follows or there - data.stated < _FEWEST_BYTES:
        return None
    # Some decoders refuse a file whose sizes are wrong, instead of hearing what is there.
    patches = []
    for position, form, more in data.sizes:
        largest = 2 ** (8 * struct.calcsize(form)) - 1
        patches.append((position, struct.pack(form, min(there + more, largest))))
    if data.frame_bytes:
        patches.append((data.frames_at, struct.pack(">I", there // data.frame_bytes)))
    return Layout((Part(0, size, tuple(patches)),), missing, min(1.0, data.stated / there))


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


def _follows(file: BinaryIO, position: int, size: int, form: str, align: int) -> bool:
    """Whether chunks with names fill the file from here on."""
    for start in {position, position + -position % align}:
        end = start
        for name, first, length in _chunks(file, start, form, align):
            if not all(0x20 <= one < 0x7F for one in name[:4]) or first + length > size:
                break
            end = first + length
        else:
            if size - end < _FEWEST_BYTES and end > start:
                return True
    return False


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
            stated = length - 8 if 8 <= length < _UNKNOWN else length
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


def _ogg_links(file: BinaryIO, size: int) -> list[int]:
    """Where the links of a chained Ogg file begin."""
    starts: list[int] = []
    position, opens = 0, False
    while position + 27 <= size:
        file.seek(position)
        header = file.read(27)
        if header[:4] != b"OggS":
            found = _next_page(file, position)
            if found is None:
                break
            position = found
            continue
        begins = bool(header[5] & 2)
        if begins and not opens:
            starts.append(position)
        opens = begins
        position += 27 + header[26] + sum(file.read(header[26]))
    return starts or [0]


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


#: Kilobits a second by version (1, or 2 and 2.5) and layer.
_BITRATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)


class _Frame(NamedTuple):
    """A frame of MPEG audio.

    Attributes:
        length: bytes.
        side: bytes of side information.
    """

    length: int
    side: int


def _mpeg_frame(header: bytes) -> _Frame | None:
    """What a frame's four bytes say; None if they are none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = (header[1] >> 3) & 3, 4 - ((header[1] >> 1) & 3)
    bitrate, rate = header[2] >> 4, (header[2] >> 2) & 3
    if version == 1 or layer == 4 or rate == 3 or not 1 <= bitrate <= 14:
        return None
    generation = 1 if version == 3 else 2
    hertz = _RATES[rate] >> (0 if version == 3 else 1 if version == 2 else 2)
    bits = 1000 * _BITRATES[generation, layer][bitrate - 1]
    padding = (header[2] >> 1) & 1
    if layer == 1:
        length = (12 * bits // hertz + padding) * 4
    else:
        length = (72 if layer == 3 and generation == 2 else 144) * bits // hertz + padding
    is_mono = header[3] >> 6 == 3
    side = (17 if is_mono else 32) if generation == 1 else (9 if is_mono else 17)
    return _Frame(length, side)


def _joined_mpeg(file: BinaryIO, size: int) -> list[int]:
    """Where the files begin that one MPEG audio file was joined from: each has a tag of its own."""
    starts = [0]
    position, frames, tag_at = 0, 0, -1
    while position + 10 <= size:
        file.seek(position)
        head = file.read(64)
        if skipped := _tag_length(head):
            if head[:3] == b"ID3" and tag_at < 0:
                tag_at = position
            position += skipped
            continue
        frame = _mpeg_frame(head[:4])
        if frame is None:
            found = _next_frame(file, position + 1)
            if found is None:
                break
            position = found
            continue
        at = 4 + frame.side
        is_index = head[at : at + 4] in (b"Xing", b"Info") or head[36:40] == b"VBRI"
        if frames and (is_index or tag_at >= 0):
            starts.append(tag_at if tag_at >= 0 else position)
        frames, tag_at = frames + 1, -1
        position += frame.length
    return starts


def _tag_length(head: bytes) -> int:
    """Bytes of the tag that begins here, 0 if none does."""
    if head[:3] == b"ID3" and len(head) >= 10 and not any(one & 0x80 for one in head[6:10]):
        length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return 10 + length + (10 if head[5] & 0x10 else 0)
    if head[:3] == b"TAG":
        return 128
    if head[:8] == b"APETAGEX" and len(head) >= 24:
        has_header = head[23] & 0x80  # a footer is behind what it counts
        return 32 + (int.from_bytes(head[12:16], "little") if has_header else 0)
    return 0


def _next_frame(file: BinaryIO, position: int) -> int | None:
    """The next place at which two frames follow each other."""
    file.seek(position)
    block = file.read(1 << 17)
    at = -1
    while (at := block.find(b"\xff", at + 1)) >= 0:
        frame = _mpeg_frame(block[at : at + 4])
        after = at + frame.length if frame else 0
        if frame and _mpeg_frame(block[after : after + 4]):
            return position + at
    return None


class PartFile(io.RawIOBase):
    """A part of a file as a file of its own, for a decoder that takes one."""

    def __init__(self, path: Path, part: Part) -> None:
        self._file = path.open("rb")
        self._part = part
        self._at = part.start
        self._file.seek(self._at)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at - self._part.start

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {
            io.SEEK_SET: self._part.start,
            io.SEEK_CUR: self._at,
            io.SEEK_END: self._part.stop,
        }[whence]
        self._at = max(self._part.start, base + offset)
        self._file.seek(self._at)
        return self.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        length = max(0, min(len(buffer), self._part.stop - self._at))
        read = bytearray(self._file.read(length))
        for position, new in self._part.patches:
            first = max(position, self._at)
            last = min(position + len(new), self._at + len(read))
            if first < last:
                read[first - self._at : last - self._at] = new[first - position : last - position]
        buffer[: len(read)] = read
        self._at += len(read)
        return len(read)

    def close(self) -> None:
        self._file.close()
        super().close()
