"""Finds the audio in a sound file, whatever sizes its header states.

A recorder that is killed leaves a size of zero, or of its first block; a program that writes to a
pipe leaves the largest number; a download joined from parts is several files in one. The decoder
trusts the sizes and reads one part, and nothing reports the rest. So this module scans the file
first, so that it is read to the end of its data, part by part.

Layouts here: Wave64 (Sony), AIFF (Apple), AU (Sun), CAF (Apple), NIST SPHERE; RIFF in ``riff.py``,
VOC in ``voc.py``, FLAC in ``flac.py``, Ogg in ``ogg.py``, MPEG audio in ``mpeg.py``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from streamer.errors import SerLiveError
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
from streamer.sound.files.parts import Layout, Part, View
from streamer.sound.files.riff import avi_parts, find_riff
from streamer.sound.files.voc import voc_parts

_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_W64_FORMAT = b"fmt " + _W64_DATA[4:]
#: A format tag that refers to a field further on.
_EXTENSIBLE = b"\xfe\xff"

#: Finds the parts of a file that begins at 0; returns none if its header is right.
_Examine = Callable[[BinaryIO, int], tuple[Part, ...]]


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


def parts_of(file: BinaryIO, size: int) -> tuple[Part, ...]:
    """Return the parts of an open file of so many bytes."""
    return _looked_through(file, size).parts


def _looked_through(file: BinaryIO, size: int) -> Layout:
    begin = tag_bytes(file, size)
    junk = 0
    head = head_at(file, begin)
    if head is None:
        file.seek(begin)
        if mpeg_frame(file.read(4)):
            return Layout(mpeg_parts(file, size) or (Part(0, size),))
        found = None if _needs_no_head(file, begin) else first_head(file, begin, size)
        if found is not None:
            junk, head = found[0] - begin, found[1]
            begin = found[0]
        elif first_frames(file, begin, min(size, begin + MOST_JUNK), size) is not None:
            return Layout(mpeg_parts(file, size) or (Part(0, size),))
        else:
            return Layout((Part(0, size),))
    if head.name == "ogg":
        found_in = ogg_layout(cast(BinaryIO, View(file, begin, size)), size - begin)
        parts = tuple(part.moved(begin) for part in found_in.parts)
        return replace(found_in, parts=parts, junk=junk)
    return Layout(_parts(file, head, begin, size), junk=junk)


def _needs_no_head(file: BinaryIO, position: int) -> bool:
    """Return whether a transport or program stream, which may begin anywhere, begins there."""
    file.seek(position)
    data = file.read(193)
    is_transport = data[:1] == b"G" and b"G" in (data[188:189], data[192:193])
    return is_transport or data[:4] == b"\0\0\1\xba"


def _parts(file: BinaryIO, head: Head, begin: int, size: int) -> tuple[Part, ...]:
    """Return the joined files of one kind, or the single file."""
    starts = [begin]
    whole = cast(BinaryIO, View(file, begin, size))
    if not _accounts_for_all(head, whole, size - begin):
        starts += heads_behind(file, head, begin, size)
    parts: list[Part] = []
    for start, stop in zip(starts, [*starts[1:], size], strict=True):
        view = cast(BinaryIO, View(file, start, stop))
        found: tuple[Part, ...] = ()
        with suppress(struct.error):  # it ends within a header: the decoder reports that
            found = _EXAMINED.get(head.name, _believed)(view, stop - start)
        parts.extend(part.moved(start) for part in found or (Part(0, stop - start),))
    return tuple(parts)


def _accounts_for_all(head: Head, file: BinaryIO, size: int) -> bool:
    """Return whether the header's sizes end where the file does, so that no other follows."""
    data = None
    with suppress(struct.error):
        data = _FINDERS[head.name](file, size) if head.name in _FINDERS else None
    if not isinstance(data, Data):
        return False
    return data.follows is True or 0 <= size - data.start - data.stated <= 1


def _believed(_: BinaryIO, __: int) -> tuple[Part, ...]:
    return ()


def _with_sizes(find: Callable[[BinaryIO, int], Data | Part | None]) -> _Examine:
    """Return a function that finds a file's parts, given ``find`` for its audio."""

    def examine(file: BinaryIO, size: int) -> tuple[Part, ...]:
        data = find(file, size)
        if isinstance(data, Part):
            return (data,)
        if data is None or size <= data.start:
            return ()
        if not isinstance(data.follows, bool):  # a file of another kind
            rest = cast(BinaryIO, View(file, data.follows, size))
            others = parts_of(rest, size - data.follows)
            return (Part(0, data.follows), *(part.moved(data.follows) for part in others))
        return sized(file, data, size)

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
    "avi": avi_parts,
    "voc": voc_parts,
    "flac": flac_parts,
}
