"""MPEG audio (ISO 11172-3) with ID3, APE and Xing tags: frames, and files joined from several."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from streamer.sound.files.heads import any_head, head_at
from streamer.sound.files.parts import Part, check_number

#: With more bytes between two frames a decoder does not find the next.
_MOST_JUNK = 1024
#: Frames that must follow each other in a file that does not begin with one.
_SURE_FRAMES = 5
#: Kilobits per second by version (1, or 2 and 2.5) and layer.
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
        length: in bytes.
        side: bytes of side information.
        seconds: length of its audio.
        is_layer_3: whether it is of layer 3, as in mp3.
    """

    length: int
    side: int
    seconds: float
    is_layer_3: bool


def mpeg_frame(header: bytes) -> _Frame | None:
    """Parse a frame's first four bytes; None if they are not a frame's."""
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
    """Consecutive frames of MPEG audio, collected while reading a file.

    Attributes:
        start: first byte, of the tag before the first frame if there is one.
        frames_at: first byte of the first frame.
        first: header of the first frame.
        frames: number of frames with audio.
        seconds: length of the audio.
        has_index: whether its first frame is an index without audio.
        index: first bytes of the index, and their position.
        tags: first bytes and ends of the tags between its frames.
    """

    start: int
    frames_at: int
    first: bytes
    frames: int = 0
    seconds: float = 0.0
    has_index: bool = False
    index: bytes = b""
    index_at: int = 0
    tags: list[tuple[int, int]] = field(default_factory=list)


def mpeg_parts(file: BinaryIO, size: int) -> tuple[tuple[Part, ...], int]:
    """Return the files from which an MPEG audio file was joined, and where they end.

    That is the end of the file, or where one of another kind begins.

    Each has its own index, or a tag and frames of another kind than the file before. A tag alone
    does not begin a file: streams may have a tag between two frames that share bits.

    Without an index the decoder guesses the length from the first frame's bitrate and stops there,
    so an index is added.
    """
    stretches: list[_Stretch] = []
    position, tag_at = 0, -1
    tags: list[tuple[int, int]] = []
    opens = True
    while position + 10 <= size:
        file.seek(position)
        head = file.read(64)
        if skipped := _tag_length(head):
            if head[:3] == b"ID3" and tag_at < 0:
                tag_at = position
            tags.append((position, min(position + skipped, size)))
            position += skipped
            continue
        frame = mpeg_frame(head[:4])
        if frame is None or not _goes_on(file, position + frame.length, size):
            found = _next_frame(file, position + 1, size)
            other = any_head(file, position, size if found is None else found)
            if other is not None:
                size = other
            if other is not None or found is None:
                break
            opens = opens or found - position > _MOST_JUNK
            position = found
            continue
        at = 4 + frame.side
        is_index = head[at : at + 4] in (b"Xing", b"Info") or head[36:40] == b"VBRI"
        differs = bool(tags and stretches) and _kind(head) != _kind(stretches[-1].first)
        if opens or is_index or differs or not stretches:
            start = tag_at if tag_at >= 0 else position
            check_number(len(stretches) + 1)
            stretches.append(_Stretch(start, position, head[:4]))
            stretches[-1].has_index = is_index
            stretches[-1].index, stretches[-1].index_at = head[at : at + 12], position + at
        else:
            stretches[-1].tags += tags
        if not is_index:
            stretches[-1].frames += 1
            stretches[-1].seconds += frame.seconds
        opens, tag_at, tags = False, -1, []
        position += frame.length
    kept = [one for one in stretches if one.frames]
    if not kept:
        return (), size
    ends = [*(one.start for one in kept[1:]), size]
    parts: list[Part] = []
    for one, end in zip(kept, ends, strict=True):
        patches = _mended_index(one)
        prefix = b"" if one.has_index and patches is not None else _made_index(one)
        # The index precedes the first frame, and no tag belongs between the two.
        start = one.frames_at if prefix else one.start if parts else 0
        pieces = _without(one.tags, start, end)
        parts.append(Part(start, end, patches or (), prefix, one.seconds, pieces=pieces))
    return tuple(parts), size


def _kind(header: bytes) -> tuple[int, int, bool]:
    """Return version and layer, rate, and channels, which are the same in all frames of a file."""
    return header[1] & 0x1E, header[2] & 0x0C, header[3] >> 6 == 3


def _without(tags: list[tuple[int, int]], start: int, end: int) -> tuple[tuple[int, int], ...]:
    """Return the pieces of a stretch without its tags; empty if it has none."""
    if not tags:
        return ()
    bounds = [start, *(bound for tag in tags for bound in tag), end]
    return tuple(zip(bounds[::2], bounds[1::2], strict=True))


def _mended_index(stretch: _Stretch) -> tuple[tuple[int, bytes], ...] | None:
    """Return the patch for an index that counts too few frames; None if it counts none.

    An index that counts too many stays: it tells that the file is cut short.
    """
    index = stretch.index
    if not stretch.has_index or index[:4] not in (b"Xing", b"Info"):
        return ()
    flags, count = struct.unpack(">II", index[4:])
    if not flags & 1:
        return None
    if count >= stretch.frames:
        return ()
    return ((stretch.index_at + 8, struct.pack(">I", stretch.frames)),)


def first_frames(file: BinaryIO, position: int, last: int, size: int) -> int | None:
    """Return where, before ``last``, several frames follow each other; chance does not do that."""
    while position < last:
        found = _next_frame(file, position, min(size, last))
        if found is None or found >= last:
            return None
        if frames_at(file, found):
            return found
        position = found + 1
    return None


def frames_at(file: BinaryIO, position: int) -> bool:
    """Return whether several frames of one kind follow each other from there on."""
    kinds = set()
    for _ in range(_SURE_FRAMES):
        file.seek(position)
        header = file.read(4)
        frame = mpeg_frame(header)
        if frame is None:
            return False
        kinds.add(_kind(header))
        position += frame.length
    return len(kinds) == 1


def _goes_on(file: BinaryIO, position: int, size: int) -> bool:
    """Return whether a frame that ends there is followed by another, by a tag, or by the end."""
    if position + 4 > size:
        return True
    file.seek(position)
    head = file.read(64)
    if mpeg_frame(head[:4]) is not None or _tag_length(head) > 0:
        return True
    return head_at(file, position) is not None


def _made_index(stretch: _Stretch) -> bytes:
    """Return a Xing frame with the number of frames; empty for layers that have none."""
    for bitrate in range(1, 15):  # the smallest frame with room for it
        header = bytes((stretch.first[0], stretch.first[1] | 1, 0, stretch.first[3]))
        header = header[:2] + bytes(((bitrate << 4) | (stretch.first[2] & 0x0C),)) + header[3:]
        frame = mpeg_frame(header)
        if frame is None or not frame.is_layer_3:
            return b""
        if frame.length >= 4 + frame.side + 12:
            index = header + bytes(frame.side) + b"Xing" + struct.pack(">II", 1, stretch.frames)
            return index.ljust(frame.length, b"\0")
    return b""


def _tag_length(head: bytes) -> int:
    """Return the length of the tag that begins here in bytes, 0 if there is none."""
    if head[:3] == b"ID3" and len(head) >= 10 and not any(one & 0x80 for one in head[6:10]):
        length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return 10 + length + (10 if head[5] & 0x10 else 0)
    if head[:3] == b"TAG":
        return 128
    if head[:8] == b"APETAGEX" and len(head) >= 24:
        has_header = head[23] & 0x80  # a footer follows the bytes it counts
        return 32 + (int.from_bytes(head[12:16], "little") if has_header else 0)
    return 0


def _next_frame(file: BinaryIO, position: int, size: int) -> int | None:
    """Return the next frame that another frame, a tag or the end follows."""
    while position < size:
        file.seek(position)
        block = file.read(1 << 16)
        at = -1
        while (at := block.find(b"\xff", at + 1)) >= 0:
            frame = mpeg_frame(block[at : at + 4])
            if frame and _goes_on(file, position + at + frame.length, size):
                return position + at
        position += max(len(block) - 3, 1)
    return None
