"""Finds out whether another file, of any kind, follows the end of a sound file."""

from __future__ import annotations

from typing import BinaryIO, cast

from streamer.sound.files.heads import MOST_JUNK, SHORT, any_head, head_at, tag_bytes
from streamer.sound.files.mpeg import first_frames, frames_at
from streamer.sound.files.parts import View

#: Tags that programs append to any file.
TAGS = (b"TAG", b"APETAGEX", b"ID3", b"LYRICSBEGIN")
#: Zeros between two files that are skipped.
_MOST_PADDING = 1 << 20
_BLOCK = 1 << 16


def begins_at(file: BinaryIO, position: int, size: int) -> bool:
    """Return whether a file begins there, or after the ID3 tags there.

    MPEG audio has no header: it is taken for a file if enough frames of one kind follow each other.
    """
    begin = position + tag_bytes(cast(BinaryIO, View(file, position, size)), size - position)
    head = head_at(file, begin)
    return (head is not None and head.name != SHORT) or frames_at(file, begin)


def next_file(file: BinaryIO, position: int, size: int, most: int = MOST_JUNK) -> int | None:
    """Return where the file after another one begins, with its tags; None if there is none.

    Args:
        file: the file that holds both.
        position: where the first one ends.
        size: byte after the last one to look at.
        most: how far from there, after zeros and tags, to search for a file.
    """
    begin = _behind_zeros(file, position, size)
    if begin >= size:
        return None
    if begins_at(file, begin, size):
        return begin
    begin += tag_bytes(cast(BinaryIO, View(file, begin, size)), size - begin)
    last = min(size, begin + most)
    head = any_head(file, begin, last)
    return first_frames(file, begin, last if head is None else head, size) or head


def _behind_zeros(file: BinaryIO, position: int, size: int) -> int:
    """Return the first byte that is not zero, as far as zeros are padding."""
    at = position
    while at < min(size, position + _MOST_PADDING):
        file.seek(at)
        block = file.read(min(_BLOCK, size - at))
        left = block.lstrip(b"\0")
        at += len(block) - len(left)
        if left or not block:
            break
    return at
