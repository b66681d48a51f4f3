"""Stretches of a file that are whole sound files, read as separate files."""

from __future__ import annotations

import io
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from streamer.errors import SerLiveError

#: Most files joined into one; if more seem to begin, it is text that names their signatures.
MOST_PARTS = 10_000
#: ... and the most unreadable ones at the start before reading stops.
MOST_UNREADABLE = 32


def check_number(starts: int) -> None:
    """Check the number of files that seem to begin in a file.

    Raises:
        SerLiveError: there are too many.
    """
    if starts > MOST_PARTS:
        raise SerLiveError(f"more than {MOST_PARTS} beginnings of files in it: no sound file")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a file that is a whole sound file.

    Attributes:
        start: first byte.
        stop: byte after the last one.
        patches: bytes to read in place of the file's, by position in the file.
        prefix: bytes to read before those of the file.
        seconds: length of the audio if it was counted; otherwise 0.
        missing: share of the promised audio that the part lacks, 0 to 1.
        promised: share of the audio present that the header promises; 1 if it is right.
        is_open_ended: whether its end marker is missing.
        pieces: first bytes and ends of the pieces to read, if not the whole; a negative number and
            0 stand for that many bytes of silence.
        silence: the byte for silence.
    """

    start: int
    stop: int
    patches: tuple[tuple[int, bytes], ...] = ()
    prefix: bytes = b""
    seconds: float = 0.0
    missing: float = 0.0
    promised: float = 1.0
    is_open_ended: bool = False
    pieces: tuple[tuple[int, int], ...] = ()
    silence: bytes = b"\0"

    def moved(self, by: int) -> Part:
        """Return the same part for a file that begins so many bytes into another."""
        patches = tuple((position + by, new) for position, new in self.patches)
        pieces = tuple(
            (first + by, last + by) if first >= 0 else (first, last) for first, last in self.pieces
        )
        start, stop = self.start + by, self.stop + by
        return replace(self, start=start, stop=stop, patches=patches, pieces=pieces)


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts found in a file.

    Attributes:
        parts: parts to play in order; a single part without patches is the file itself.
        is_open_ended: whether it is an Ogg file whose last page is not marked as the last ...
        is_cut: ... or is itself cut short.
        damaged_pages: ... and how many of its pages have a wrong checksum.
        junk: bytes before the file that belong neither to it nor to a tag.
        size: size of the file; 0 if not needed.
    """

    parts: tuple[Part, ...]
    is_open_ended: bool = False
    is_cut: bool = False
    damaged_pages: int = 0
    junk: int = 0
    size: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether a decoder that trusts the file reads all of it."""
        first = self.parts[0]
        changed = first.patches or first.prefix or first.start or first.pieces
        return len(self.parts) == 1 and not changed and first.stop >= self.size


class View(io.RawIOBase):
    """An open file from a position on, as a separate file."""

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
        left = max(0, self._stop - self._at)
        found = self._file.read(left if size < 0 else min(size, left))
        self._at += len(found)
        return found


class PartFile(io.RawIOBase):
    """A part of a file as a separate file for a decoder."""

    def __init__(self, path: Path, part: Part) -> None:
        self._failure: BaseException | None = None
        self._file = path.open("rb")
        self._part = part
        self._pieces = part.pieces or ((part.start, part.stop),)
        lengths = (last - first for first, last in self._pieces)
        #: Position of each piece within the part, and the end of the last one.
        self._begins = list(accumulate(lengths, initial=len(part.prefix)))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        length = self._begins[-1]
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            read = self._bytes(len(buffer))
        except BaseException as error:  # decoders that call from C cannot pass it on
            self._failure = error
            return 0
        buffer[: len(read)] = read
        return len(read)

    def check(self) -> None:
        """Raise what happened while a decoder read: a signal, or a failure of the disk."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _bytes(self, count: int) -> bytes:
        found = b""
        if self._at < (ahead := len(self._part.prefix)):
            found = self._part.prefix[self._at : self._at + min(count, ahead - self._at)]
            self._at += len(found)
        # Read all of the count: a decoder takes less for the end.
        while len(found) < count and self._at < self._begins[-1]:
            index = bisect_right(self._begins, self._at) - 1
            first, last = self._pieces[index]
            position = first + self._at - self._begins[index]
            length = min(count - len(found), last - position)
            read = self._patched(position, length) if first >= 0 else self._part.silence * length
            if not read:
                break
            self._at += len(read)
            found += read
        return found

    def _patched(self, position: int, count: int) -> bytes:
        self._file.seek(position)
        read = self._file.read(count)
        for at, new in self._part.patches:
            first = max(at, position)
            last = min(at + len(new), position + len(read))
            if first < last:
                changed = bytearray(read)
                changed[first - position : last - position] = new[first - at : last - at]
                read = bytes(changed)
        return read

    def close(self) -> None:
        self._file.close()
        super().close()
