"""Ogg (RFC 3533): its pages, and the links of a chained file."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import BinaryIO

from streamer.sound.files.behind import next_file
from streamer.sound.files.parts import Layout, Part, check_number

_BEGINS, _ENDS = 2, 4
_HEADER_BYTES = 27
#: Every byte with its bits reversed: :mod:`zlib`'s checksum takes them in the other order.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_layout(file: BinaryIO, size: int) -> tuple[Layout, int]:
    """Return the links of an Ogg file that begins at 0, the damage to its pages, and its end.

    That is the end of the file, or where one of another kind begins.
    """
    starts: list[int] = []
    position, opens, is_last, damaged = 0, False, False, 0
    while position + _HEADER_BYTES <= size:
        file.seek(position)
        page = file.read(_HEADER_BYTES)
        if page[:4] != b"OggS":
            found = _next_page(file, position)
            other = next_file(file, position, size if found is None else found)
            if other is not None:
                size = other
            if other is not None or found is None:
                break
            position = found
            continue
        table = file.read(page[26])
        body = file.read(sum(table))
        begins, is_last = bool(page[5] & _BEGINS), bool(page[5] & _ENDS)
        if begins and not opens:
            starts.append(position)
            check_number(len(starts))
        opens = begins
        end = position + _HEADER_BYTES + page[26] + sum(table)
        if end <= size and not _is_sound(page, table + body):
            damaged += 1
            # Its stated length may be damaged too: another page may lie within.
            end = _next_page(file, position + 4) or end
        position = end
    file.seek(min(position, size))
    is_cut = position > size or file.read(_HEADER_BYTES).startswith(b"OggS")
    bounds = [*starts, size] if starts else [0, size]
    parts = tuple(Part(one, end) for one, end in pairwise(bounds))
    return Layout(parts, not is_last, is_cut, damaged_pages=damaged), size


def _is_sound(header: bytes, rest: bytes) -> bool:
    """Return whether a page has the checksum that it states."""
    bare = header[:22] + bytes(4) + header[26:] + rest
    value = zlib.crc32(bare.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{value:032b}"[::-1], 2) == int.from_bytes(header[22:26], "little")


def _next_page(file: BinaryIO, position: int) -> int | None:
    """Return the next page after damage."""
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
