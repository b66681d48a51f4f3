"""Files made of chunks, each with a name and a length; one chunk holds the audio."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from streamer.sound.files.behind import TAGS, begins_at, next_file
from streamer.sound.files.heads import head_at
from streamer.sound.files.parts import Part

#: Sizes that programs write if they do not know better: the largest of 31, 32 and 63 bits, what
#: those leave for the audio, and SoX's.
_UNKNOWN = (
    range(0x7F00_0000, 0x7F00_1000),
    range(0x7FFF_0000, 0x8000_0001),
    range(0xFFFF_0000, 0x1_0000_0000),
    range(2**60, 2**64),
)
#: Known chunks that follow the audio; they may be damaged themselves.
_TRAILERS = frozenset(
    name.ljust(4).encode()
    for name in re.findall(
        r"\S+",
        "LIST list id3 ID3 bext iXML _PMX JUNK junk PAD FLLR cue smpl inst acid fact PEAK axml "
        "chna afsp MARK INST NAME AUTH (c) ANNO COMT APPL uuid info",
    )
)
#: Fewer bytes than this after the data are not audio but padding or a tag.
_FEWEST_BYTES = 256
#: No file is longer: positions from here on are wrong, and no system can seek to them.
FARTHEST = 2**48
#: How many zeros after the audio are checked.
_MOST_PADDING = 1 << 20
#: Most chunks in a file; more are not really chunks.
MOST_CHUNKS = 10_000


@dataclass(frozen=True, slots=True)
class Data:
    """The chunk that holds the audio.

    Attributes:
        start: first byte of the audio.
        stated: bytes of audio, according to the header.
        follows: whether the bytes after them seem to belong to the file; or the position where
            another file begins there.
        sizes: the header's size fields: position, :mod:`struct` format, and the number to add to
            the bytes of audio. A size of the whole file counts from its own field.
        frame_bytes: bytes per frame, if the header counts frames too; otherwise 0.
        frames_at: position of that count.
        patches: other bytes to read in place of the header's.
    """

    start: int
    stated: int
    follows: bool | int
    sizes: tuple[tuple[int, str, int], ...]
    frame_bytes: int = 0
    frames_at: int = 0
    patches: tuple[tuple[int, bytes], ...] = ()


def sized(file: BinaryIO, data: Data, size: int) -> tuple[Part, ...]:
    """Return a file of chunks as a part; nothing if its header is right."""
    there, end = size - data.start, data.start + data.stated
    missing, promised = 0.0, 1.0
    if data.stated > there:
        if not is_unknown(data.stated):
            missing = 1.0 - there / data.stated
    elif data.follows:
        return (Part(0, size, data.patches),) if data.patches else ()
    elif data.stated > 0 and (
        there - data.stated < _FEWEST_BYTES or _is_padding(file, end, size) or _is_tag(file, end)
    ):
        return (Part(0, end, data.patches),)
    elif there < _FEWEST_BYTES:
        return ()
    else:
        promised = max(0, data.stated) / there  # a size may leave out its own field
    # Some decoders refuse a file with wrong sizes instead of decoding what is there.
    patches = list(data.patches)
    for position, form, more in data.sizes:
        largest = 2 ** (8 * struct.calcsize(form)) - 1
        patches.append((position, struct.pack(form, min(there + more, largest))))
    if data.frame_bytes:
        patches.append((data.frames_at, struct.pack(">I", there // data.frame_bytes)))
    return (Part(0, size, tuple(patches), missing=missing, promised=promised),)


def is_unknown(size: int) -> bool:
    """Return whether a size means that it is unknown."""
    return size < 0 or any(size in sizes for sizes in _UNKNOWN)


def _is_padding(file: BinaryIO, position: int, size: int) -> bool:
    """Return whether only zeros are left, checking no more than is useful."""
    file.seek(position)
    return not file.read(min(size - position, _MOST_PADDING)).strip(b"\0")


def _is_tag(file: BinaryIO, position: int) -> bool:
    file.seek(position)
    return file.read(16).startswith(TAGS)


def chunks(
    file: BinaryIO, position: int, form: str, align: int
) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, first byte and length of each chunk, as long as they fit."""
    header = struct.calcsize(form)
    for _ in range(MOST_CHUNKS):
        if not 0 <= position < FARTHEST:
            return
        file.seek(position)
        read = file.read(header)
        if len(read) < header:
            return
        name, length = struct.unpack(form, read)
        yield name, position + header, length
        position += header + length + -length % align


def follows(file: BinaryIO, position: int, size: int, form: str, align: int) -> bool | int:
    """Return whether named chunks fill the file from here on, or where another file begins."""
    if not 0 <= position < FARTHEST:
        return False
    for start in sorted({position, position + -position % align}):
        end, is_known = start, False
        if head_at(file, end) is not None:
            return end
        for name, first, length in chunks(file, start, form, align):
            if end > start and begins_at(file, end, size):
                return end
            is_known = is_known or name in _TRAILERS
            if name not in _TRAILERS and not all(0x20 <= one < 0x7F for one in name[:4]):
                break
            if first + length > size:
                break
            end = first + length + -length % align
        else:
            if size - end < _FEWEST_BYTES and end > start:
                return True
        if is_known:
            return next_file(file, end, size) or True
    return False
