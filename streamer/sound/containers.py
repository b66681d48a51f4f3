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
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

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
_FARTHEST = 2**62
#: Bytes between two frames of MPEG audio from which on a decoder does not find the next.
_MOST_JUNK = 1024
#: Zeros behind the audio that are looked through.
_MOST_PADDING = 1 << 20
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
        prefix: bytes that are to be read before those of the file.
        seconds: of audio, where it was counted; 0 where it was not.
        missing: share of the promised audio that the part is too short for, 0 to 1.
        promised: share of the audio there that the header speaks of; 1 where it is right.
    """

    start: int
    stop: int
    patches: tuple[tuple[int, bytes], ...] = ()
    prefix: bytes = b""
    seconds: float = 0.0
    missing: float = 0.0
    promised: float = 1.0

    def moved(self, by: int) -> Part:
        """The same, of a file that begins so many bytes into another."""
        patches = tuple((position + by, new) for position, new in self.patches)
        return replace(self, start=self.start + by, stop=self.stop + by, patches=patches)


@dataclass(frozen=True, slots=True)
class Layout:
    """What was found in a file.

    Attributes:
        parts: to be heard one after the other; a single one without patches is the file itself.
        is_open_ended: an Ogg file whose last page does not say that it is the last.
    """

    parts: tuple[Part, ...]
    is_open_ended: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether a decoder that believes the file hears all of it."""
        first = self.parts[0]
        return len(self.parts) == 1 and not (first.patches or first.prefix or first.start)


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
            starts, is_open_ended = _ogg_links(file, size)
            return Layout(_parts(starts, size), is_open_ended)
        elif head[:3] == b"ID3" or _mpeg_frame(head[:4]):
            parts = _mpeg_parts(file, size)
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
        rest = _examined(cast(BinaryIO, _View(file, data.follows, size)), size - data.follows)
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


def _ogg_links(file: BinaryIO, size: int) -> tuple[list[int], bool]:
    """Where the links of a chained Ogg file begin, and whether the last page is no last one."""
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
    return starts or [0], not is_last


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
        seconds: of audio.
        is_layer_3: as of mp3.
    """

    length: int
    side: int
    seconds: float
    is_layer_3: bool


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
    samples = 384 if layer == 1 else 576 if layer == 3 and generation == 2 else 1152
    return _Frame(length, side, samples / hertz, layer == 3)


@dataclass(slots=True)
class _Stretch:
    """Frames of MPEG audio that follow each other, on the way through a file.

    Attributes:
        start: first byte, of the tag before the first frame if there is one.
        frames_at: first byte of the first frame.
        first: header of the first frame.
        frames: that hold audio.
        seconds: of audio.
        has_index: its first frame is an index and no audio.
    """

    start: int
    frames_at: int
    first: bytes
    frames: int = 0
    seconds: float = 0.0
    has_index: bool = False


def _mpeg_parts(file: BinaryIO, size: int) -> tuple[Part, ...]:
    """The files that one MPEG audio file was joined from: each has a tag or an index of its own.

    Without an index the decoder guesses the length from the first frame's bitrate, and stops there;
    so one is made.
    """
    stretches: list[_Stretch] = []
    position, tag_at = 0, -1
    opens = True
    while position + 10 <= size:
        file.seek(position)
        head = file.read(64)
        if skipped := _tag_length(head):
            if head[:3] == b"ID3" and tag_at < 0:
                tag_at = position
            position += skipped
            continue
        frame = _mpeg_frame(head[:4])
        if frame is None or not _goes_on(file, position + frame.length, size):
            found = _next_frame(file, position + 1, size)
            if found is None:
                break
            opens = opens or found - position > _MOST_JUNK
            position = found
            continue
        at = 4 + frame.side
        is_index = head[at : at + 4] in (b"Xing", b"Info") or head[36:40] == b"VBRI"
        if opens or is_index or tag_at >= 0 or not stretches:
            start = tag_at if tag_at >= 0 else position
            stretches.append(_Stretch(start, position, head[:4]))
            stretches[-1].has_index = is_index
        if not is_index:
            stretches[-1].frames += 1
            stretches[-1].seconds += frame.seconds
        opens, tag_at = False, -1
        position += frame.length
    kept = [one for one in stretches if one.frames]
    ends = [*(one.start for one in kept[1:]), size]
    parts: list[Part] = []
    for one, end in zip(kept, ends, strict=True):
        prefix = b"" if one.has_index else _made_index(one)
        # The index comes before the first frame, and a tag has nothing to do between the two.
        start = one.frames_at if prefix else one.start if parts else 0
        parts.append(Part(start, end, prefix=prefix, seconds=one.seconds))
    return tuple(parts)


def _goes_on(file: BinaryIO, position: int, size: int) -> bool:
    """Whether a frame that ends there is followed by another, by a tag, or by the end."""
    if position + 4 > size:
        return True
    file.seek(position)
    head = file.read(64)
    return _mpeg_frame(head[:4]) is not None or _tag_length(head) > 0


def _made_index(stretch: _Stretch) -> bytes:
    """A Xing frame that says how many frames follow; empty of layers that have none."""
    for bitrate in range(1, 15):  # the smallest frame that has room for it
        header = bytes((stretch.first[0], stretch.first[1] | 1, 0, stretch.first[3]))
        header = header[:2] + bytes(((bitrate << 4) | (stretch.first[2] & 0x0C),)) + header[3:]
        frame = _mpeg_frame(header)
        if frame is None or not frame.is_layer_3:
            return b""
        if frame.length >= 4 + frame.side + 12:
            index = header + bytes(frame.side) + b"Xing" + struct.pack(">II", 1, stretch.frames)
            return index.ljust(frame.length, b"\0")
    return b""


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


def _next_frame(file: BinaryIO, position: int, size: int) -> int | None:
    """The next place at which a frame begins that another one, a tag or the end follows."""
    while position < size:
        file.seek(position)
        block = file.read(1 << 16)
        at = -1
        while (at := block.find(b"\xff", at + 1)) >= 0:
            frame = _mpeg_frame(block[at : at + 4])
            if frame and _goes_on(file, position + at + frame.length, size):
                return position + at
        position += max(len(block) - 3, 1)
    return None


class _View(io.RawIOBase):
    """An open file from a position on, as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file, self._start, self._stop = file, start, stop
        self._at = start

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        assert whence == io.SEEK_SET
        self._at = self._start + offset
        return offset

    def read(self, size: int = -1) -> bytes:
        self._file.seek(self._at)
        found = self._file.read(max(0, min(size, self._stop - self._at)))
        self._at += len(found)
        return found


class PartFile(io.RawIOBase):
    """A part of a file as a file of its own, for a decoder that takes one.

    Attributes:
        failure: what happened within a read; decoders that call from C cannot pass it on.
    """

    def __init__(self, path: Path, part: Part) -> None:
        self.failure: BaseException | None = None
        self._file = path.open("rb")
        self._part = part
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        part = self._part
        length = len(part.prefix) + part.stop - part.start
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            read = self._bytes(len(buffer))
        except BaseException as error:  # a signal too
            self.failure = error
            return 0
        buffer[: len(read)] = read
        return len(read)

    def _bytes(self, count: int) -> bytes:
        part = self._part
        ahead = len(part.prefix)
        if self._at < ahead:
            found = part.prefix[self._at : self._at + count]
            self._at += len(found)
            return found
        position = part.start + self._at - ahead
        self._file.seek(position)
        read = bytearray(self._file.read(max(0, min(count, part.stop - position))))
        for at, new in part.patches:
            first = max(at, position)
            last = min(at + len(new), position + len(read))
            if first < last:
                read[first - position : last - position] = new[first - at : last - at]
        self._at += len(read)
        return bytes(read)

    def close(self) -> None:
        self._file.close()
        super().close()
