"""Recordings in folders, each with a name that stands for it in the results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer.audio import SOUND_SUFFIXES
from streamer.errors import SerLiveError

#: What cannot stand in a line of UTF-8 text: line breaks, and bytes of a name that are no text.
#: And what stands for them, lest two names become one; on Windows it parts folders.
_ESCAPED = {ord("\n"), ord("\r"), *range(0xD800, 0xE000)} | ({ord("\\")} - {ord(os.sep)})


@dataclass(frozen=True, slots=True)
class Item:
    """A recording to be scored.

    Attributes:
        path: as it was given, or below the folder that was given.
        name: the path as the results name it; other only where it cannot be written in a line, or
            holds a backslash.
    """

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Attributes:
        items: sorted by path, each once however often it was given.
        complaints: one a folder that cannot be looked into.
    """

    items: tuple[Item, ...]
    complaints: tuple[str, ...]


def find(paths: Sequence[Path]) -> Found:
    """Recordings in folders, recursively, and files; a file that is named is always taken.

    In folders hidden files are left out, and a folder that several links lead to is entered once.

    Raises:
        SerLiveError: there is no recording at all, and no other complaint.
    """
    complaints: list[str] = []
    files: dict[str, Path] = {}  # by absolute path, so that no spelling counts twice
    seen: set[tuple[int, int]] = set()
    for path in paths:
        found = _recordings(path, seen, complaints) if os.path.isdir(path) else [path]  # noqa: PTH112 (Path raises on names that are too long)
        for one in found:
            files.setdefault(os.path.abspath(one), one)  # noqa: PTH100 (links keep their names)
    if not files and not complaints:
        names = ", ".join(map(str, paths))
        raise SerLiveError(f"no recordings in {names}; files that are named are always tried")
    ordered = sorted(files.values(), key=lambda path: path.parts)
    return Found(tuple(Item(path, _written(path)) for path in ordered), tuple(complaints))


def _recordings(folder: Path, seen: set[tuple[int, int]], complaints: list[str]) -> Iterator[Path]:
    def complain(error: OSError) -> None:
        complaints.append(f"cannot look into {error.filename}: {error.strerror}")

    for root, folders, names in os.walk(folder, onerror=complain, followlinks=True):
        try:
            status = Path(root).stat()
        except OSError as error:  # it vanished
            complain(error)
            continue
        key = (status.st_dev, status.st_ino)
        if key in seen:  # a link has led here before
            folders.clear()
            continue
        seen.add(key)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in SOUND_SUFFIXES:
                yield Path(root, name)


def _written(path: Path) -> str:
    return "".join(
        one.encode("unicode_escape").decode() if ord(one) in _ESCAPED else one for one in str(path)
    )


def timeline_path(folder: Path, item: Item) -> Path:
    """Where the item's timeline lies: its own path again, below the folder."""
    own = item.path
    if ".." in own.parts:
        own = Path(os.path.abspath(own))  # noqa: PTH100 (links keep their names)
    drive = own.drive.replace(":", "").strip("\\/")
    within = own.relative_to(own.anchor)
    return folder / drive / within.with_name(f"{within.name}.jsonl")
