"""Finds the audio in a sound file, whatever sizes its header states.

A recorder that is killed leaves a size of zero, or of its first block; a program that writes to a
pipe leaves the largest number; a download joined from parts is several files in one. The decoder
trusts the sizes and reads one part, and nothing reports the rest. So this module scans the file
first, so that it is read to the end of its data, part by part. Parts of several kinds are found
too (``behind.py``), except after VOC and, MP4 aside, after kinds that only ffmpeg's libraries read.

Layouts here: Wave64 (Sony), AIFF (Apple), AU (Sun), CAF (Apple), NIST SPHERE; RIFF in ``riff.py``,
VOC in ``voc.py``, FLAC in ``flac.py``, Ogg in ``ogg.py``, MPEG audio in ``mpeg.py``.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from streamer.errors import SerLiveError
from streamer.sound.files.behind import next_file
from streamer.sound.files.chunks import (
    FARTHEST,
    MOST_CHUNKS,
    Data,
    chunks,
    follows,
    is_unknown,
    sized,
)
from streamer.sound.files.flac import flac_parts
from streamer.sound.files.heads import MOST_JUNK, Head, first_head, head_at, heads_behind, tag_bytes
from streamer.sound.files.mpeg import first_frames, mpeg_frame, mpeg_parts
from streamer.sound.files.ogg import ogg_layout
from streamer.sound.files.parts import Layout, Part, View, check_number
from streamer.sound.files.riff import avi_parts, find_riff
from streamer.sound.files.voc import voc_parts

_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_W64_FORMAT = b"fmt " + _W64_DATA[4:]
#: A format tag that refers to a field further on.
_EXTENSIBLE = b"\xfe\xff"

#: Finds the parts of a file that begins at 0, and its end: that of the bytes given, or where a file
#: of another kind begins. Returns no parts if the header is right up to there.
_Examine = Callable[[BinaryIO, int], tuple[tuple[Part, ...], int]]


def look_through(path: Path) -> Layout:
    """Find the audio of a sound file.

    Raises:
        OSError: the file cannot be read.
        SerLiveError: it is not a sound file, as too many files seem to begin in it.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            return replace(_looked_through(file, size), size=size)
        except SerLiveError as error:
            raise SerLiveError(f"{path}: {error}") from error


def _looked_through(file: BinaryIO, size: int) -> Layout:
    """Return the parts of an open file: joined files of one kind or several, or the single file."""
    behind = _Behind(file, size)
    layouts: list[Layout] = []
    position = 0
    while position < size or not layouts:
        layout, end = _read_through(file, position, size, behind)
        layouts.append(layout)
        check_number(sum(len(one.parts) for one in layouts))
        position = max(end, position + 1)
    return Layout(
        tuple(part for one in layouts for part in one.parts),
        is_open_ended=any(one.is_open_ended for one in layouts),
        is_cut=any(one.is_cut for one in layouts),
        damaged_pages=sum(one.damaged_pages for one in layouts),
        junk=layouts[0].junk,
    )


class _Behind:
    """Where more files of a kind begin; the file is searched once for each kind."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._starts: dict[bytes, list[int]] = {}

    def next_alike(self, head: Head, position: int) -> int:
        """Return where the next file with such a head begins after ``position``, or the end."""
        pattern = head.pattern.pattern
        if pattern not in self._starts:
            self._starts[pattern] = heads_behind(self._file, head, position, self._size)
        starts = self._starts[pattern]
        index = bisect_right(starts, position)
        return starts[index] if index < len(starts) else self._size


def _read_through(file: BinaryIO, position: int, size: int, behind: _Behind) -> tuple[Layout, int]:
    """Return the parts of the file that begins there, and where the next one does."""
    rest = cast(BinaryIO, View(file, position, size))
    begin = position + tag_bytes(rest, size - position)
    head = head_at(file, begin)
    if head is not None:
        return _of_kind(file, head, begin, size, behind)
    file.seek(begin)
    if mpeg_frame(file.read(4)):
        return _of_mpeg(rest, position, size)
    found = None if position or _needs_no_head(file, begin) else first_head(file, begin, size)
    if found is not None:
        layout, end = _of_kind(file, found[1], found[0], size, behind)
        return replace(layout, junk=found[0] - begin), end
    if first_frames(file, begin, min(size, begin + MOST_JUNK), size) is not None:
        return _of_mpeg(rest, position, size)
    return Layout((Part(position, size),)), size


def _of_mpeg(file: BinaryIO, position: int, size: int) -> tuple[Layout, int]:
    parts, end = mpeg_parts(file, size - position)
    return Layout(_moved(parts or (Part(0, end),), position)), position + end


def _moved(parts: tuple[Part, ...], by: int) -> tuple[Part, ...]:
    return tuple(part.moved(by) for part in parts)


def _needs_no_head(file: BinaryIO, position: int) -> bool:
    """Return whether a transport or program stream, which may begin anywhere, begins there."""
    file.seek(position)
    data = file.read(193)
    is_transport = data[:1] == b"G" and b"G" in (data[188:189], data[192:193])
    return is_transport or data[:4] == b"\0\0\1\xba"


def _of_kind(
    file: BinaryIO, head: Head, begin: int, size: int, behind: _Behind
) -> tuple[Layout, int]:
    """Return the parts of the file with that head, and where the next file begins."""
    view = cast(BinaryIO, View(file, begin, size))
    if head.name == "ogg":
        layout, end = ogg_layout(view, size - begin)
        return replace(layout, parts=_moved(layout.parts, begin)), begin + end
    stop = size
    if not _accounts_for_all(head, view, size - begin):
        stop = behind.next_alike(head, begin)
        view = cast(BinaryIO, View(file, begin, stop))
    found: tuple[Part, ...] = ()
    end = stop - begin
    with suppress(struct.error):  # it ends within a header: the decoder reports that
        found, end = _EXAMINED.get(head.name, _believed)(view, end)
    return Layout(_moved(found or (Part(0, end),), begin)), begin + end


def _accounts_for_all(head: Head, file: BinaryIO, size: int) -> bool:
    """Return whether the header's sizes end where the file does, so that no other follows."""
    data = None
    with suppress(struct.error):
        data = _FINDERS[head.name](file, size) if head.name in _FINDERS else None
    if not isinstance(data, Data):
        return False
    return data.follows is True or 0 <= size - data.start - data.stated <= 1


def _believed(_: BinaryIO, size: int) -> tuple[tuple[Part, ...], int]:
    return (), size


def _alone(examine: Callable[[BinaryIO, int], tuple[Part, ...]]) -> _Examine:
    """Make a finder for a kind of file after which no other is searched for."""
    return lambda file, size: (examine(file, size), size)


def _with_sizes(find: Callable[[BinaryIO, int], Data | Part | None]) -> _Examine:
    """Return a function that finds a file's parts, given ``find`` for its audio."""

    def examine(file: BinaryIO, size: int) -> tuple[tuple[Part, ...], int]:
        data = find(file, size)
        if isinstance(data, Part):
            return (data,), size
        if data is None or size <= data.start:
            return (), size
        other = None if isinstance(data.follows, bool) else data.follows
        if data.follows is False and data.stated > 0:
            other = next_file(file, data.start + data.stated, size)
        if other is None:
            return sized(file, data, size), size
        return sized(file, replace(data, follows=True), other), other

    return examine


def _find_aiff(file: BinaryIO, size: int) -> Data | None:
    form, frame_bytes, frames_at = ">4sI", 0, 0
    for name, first, length in chunks(file, 12, form, 2):
        if name == b"COMM":
            file.seek(first)
            channels, _, bits = struct.unpack(">hIh", file.read(8))
            frame_bytes, frames_at = channels * -(-bits // 8), first + 2
        if name == b"SSND":
            sizes = ((4, ">I", first), (first - 4, ">I", 8))
            behind = follows(file, first + length, size, form, 2)
            stated = length if is_unknown(length) else max(0, length - 8)
            return Data(first + 8, stated, behind, sizes, frame_bytes, frames_at)
    return None


def _find_wave64(file: BinaryIO, size: int) -> Data | None:
    position = 40
    patches: tuple[tuple[int, bytes], ...] = ()
    for _ in range(MOST_CHUNKS):
        if position >= FARTHEST:
            return None
        file.seek(position)
        read = file.read(24)
        if len(read) < 24:
            return None
        length = struct.unpack("<q", read[16:])[0]
        if read[:16] == _W64_FORMAT and file.read(2) == _EXTENSIBLE:
            # libsndfile takes the samples for integers, whatever the later field says.
            file.seek(position + 48)
            patches = ((position + 24, file.read(2)),)
        if read[:16] == _W64_DATA:
            first = position + 24
            sizes = ((16, "<q", first), (position + 16, "<q", 24))
            end = position + length + -length % 8
            behind = _follows_wave64(file, end, size)
            return Data(first, length - 24, behind, sizes, patches=patches)
        if length < 24:
            return None
        position += length + -length % 8
    return None


def _follows_wave64(file: BinaryIO, position: int, size: int) -> bool:
    while 0 < position < size - 24:
        file.seek(position)
        read = file.read(24)
        length = struct.unpack("<q", read[16:])[0]
        if read[4:16] != _W64_DATA[4:] or length < 24 or position + length > size + 8:
            return False
        position += length + -length % 8
    return 0 < position <= size + 8


def _find_au(file: BinaryIO, _: int) -> Data:
    file.seek(0)
    head = file.read(12)
    order = ">" if head[:4] == b".snd" else "<"
    first, stated = struct.unpack(f"{order}II", head[4:12])
    return Data(first, stated, False, ((8, f"{order}I", 0),))


def _find_caf(file: BinaryIO, size: int) -> Data | None:
    form = ">4sq"
    for name, first, length in chunks(file, 8, form, 1):
        if name == b"data":
            if length < 0:  # to the end
                return None
            behind = follows(file, first + length, size, form, 1)
            return Data(first + 4, length - 4, behind, ((first - 8, ">q", 4),))
        if length < 0:
            return None
    return None


_NIST_FIELD = re.compile(rb"^(\w+) -[irs]\d* (\S+)\s*$", re.MULTILINE)


def _find_nist(file: BinaryIO, _: int) -> Data | None:
    file.seek(0)
    text = file.read(1024)
    first = int(text[8:16]) if text[8:16].strip().isdigit() else 1024
    fields = {match[1]: match for match in _NIST_FIELD.finditer(text)}
    needed = (b"sample_count", b"channel_count", b"sample_n_bytes")
    if b"shorten" in text or not all(
        name in fields and fields[name][2].isdigit() for name in needed
    ):
        return None
    frames, channels, width = (int(fields[name][2]) for name in needed)
    return Data(first, frames * channels * width, False, ())


def _find_iff(file: BinaryIO, size: int) -> Data | None:
    form = ">4sI"
    for name, first, length in chunks(file, 12, form, 2):
        if name in (b"BODY", b"MDAT"):
            sizes = ((4, ">I", first - 8), (first - 4, ">I", 0))
            return Data(first, length, follows(file, first + length, size, form, 2), sizes)
    return None


def _mp4_parts(file: BinaryIO, size: int) -> tuple[tuple[Part, ...], int]:
    """Return no parts, and where another file begins after the boxes (ISO 14496-12)."""
    position = 0
    for _ in range(MOST_CHUNKS):
        file.seek(position)
        length, name, large = struct.unpack(">I4sQ", file.read(16))
        length = large if length == 1 else length
        if length < 8 or position + length > size or not all(0x20 <= one < 0x7F for one in name):
            break
        position += length
        if position + 16 > size:
            return (), size
    other = next_file(file, position, size) if position else None
    return (), size if other is None else other


_FINDERS: dict[str, Callable[[BinaryIO, int], Data | Part | None]] = {
    "riff": find_riff,
    "aiff": _find_aiff,
    "wave64": _find_wave64,
    "au": _find_au,
    "caf": _find_caf,
    "iff": _find_iff,
    "nist": _find_nist,
}
_EXAMINED: dict[str, _Examine] = {
    **{name: _with_sizes(find) for name, find in _FINDERS.items()},
    "mp4": _mp4_parts,
    "avi": _alone(avi_parts),
    "voc": _alone(voc_parts),
    "flac": flac_parts,
}
