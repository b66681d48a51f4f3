"""Finds recordings in folders, and gives each a name for the results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from streamer.commands.score.rows import Key
from streamer.errors import SerLiveError
from streamer.sound.channels import MIX, Channels
from streamer.sound.files.media import MEDIA_SUFFIXES
from streamer.sound.files.recording import SOUND_SUFFIXES, Recording

#: Without PyAV, files that need it get a row that says so.
_SUFFIXES = SOUND_SUFFIXES | MEDIA_SUFFIXES

#: Characters that a line of UTF-8 text cannot hold: line breaks, and invalid bytes of a name. And
#: the escape character, so that no two names become one; on Windows it separates folders.
_ESCAPED = {ord("\n"), ord("\r"), *range(0xD800, 0xE000)} | ({ord("\\")} - {ord(os.sep)})


@dataclass(frozen=True, slots=True)
class Item:
    """A recording to be scored.

    Attributes:
        path: path as given, or below the given folder.
        name: the path in the results; different only if it does not fit a line, or holds a
            backslash.
        channels: channels to use.
    """

    path: Path
    name: str
    channels: Channels = MIX

    @property
    def key(self) -> Key:
        """The key of its row."""
        return self.name, str(self.channels)


@dataclass(frozen=True, slots=True)
class Found:
    """The recordings found.

    Attributes:
        items: recordings sorted by path, each once however often it was given.
        complaints: one per unreadable folder.
        passed_over: files in folders that are hidden, or not recordings by their suffix.
    """

    items: tuple[Item, ...]
    complaints: tuple[str, ...]
    passed_over: tuple[Path, ...] = ()


def find(paths: Sequence[Path]) -> Found:
    """Find recordings in folders, recursively, and files; a named file is always included.

    In folders hidden files and those with other suffixes are skipped, and a folder with several
    links to it is entered once.

    Raises:
        SerLiveError: there is no recording at all, and no other complaint.
    """
    complaints: list[str] = []
    passed_over: list[Path] = []
    files: dict[str, Path] = {}  # by absolute path, so that no file counts twice
    seen: set[tuple[int, int]] = set()
    for path in paths:
        found = _recordings(path, seen, complaints, passed_over) if os.path.isdir(path) else [path]  # noqa: PTH112 (Path raises on names that are too long)
        for one in found:
            files.setdefault(os.path.abspath(one), one)  # noqa: PTH100 (links keep their names)
    if not files and not complaints:
        names = ", ".join(map(str, paths))
        others = f" (passed over {len(passed_over)} other files)" if passed_over else ""
        raise SerLiveError(
            f"no recordings in {names}{others}; files that are named are always tried"
        )
    ordered = sorted(files.values(), key=lambda path: path.parts)
    items = tuple(Item(path, _written(path)) for path in ordered)
    taken = {os.path.abspath(item.path) for item in items}  # noqa: PTH100 (as above)
    left = sorted({path for path in passed_over if os.path.abspath(path) not in taken})  # noqa: PTH100
    return Found(items, tuple(complaints), tuple(left))


def _recordings(
    folder: Path,
    seen: set[tuple[int, int]],
    complaints: list[str],
    passed_over: list[Path],
) -> Iterator[Path]:
    def complain(error: OSError) -> None:
        complaints.append(f"cannot look into {error.filename}: {error.strerror}")

    for root, folders, names in os.walk(folder, onerror=complain, followlinks=True):
        try:
            status = Path(root).stat()
        except OSError as error:  # it vanished
            complain(error)
            continue
        key = (status.st_dev, status.st_ino)
        if key in seen:  # another link has led here
            folders.clear()
            continue
        seen.add(key)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(root, name)
            if not name.startswith(".") and path.suffix.lower() in _SUFFIXES:
                yield path
            else:
                passed_over.append(path)


def _written(path: Path) -> str:
    return "".join(
        one.encode("unicode_escape").decode() if ord(one) in _ESCAPED else one for one in str(path)
    )


def with_channels(items: Sequence[Item], wanted: Channels) -> tuple[Item, ...]:
    """Return the items with their channels to use; if channels are split, an item per channel.

    A recording that cannot be opened stays an item: its row will say why.
    """
    if not wanted.is_split:
        return tuple(replace(item, channels=wanted) for item in items)
    found = []
    for item in items:
        count = 1
        with suppress(Exception), Recording(item.path, wanted) as recording:
            count = recording.streams or 1
        found += [replace(item, channels=Channels(number)) for number in range(1, count + 1)]
    return tuple(found)


def timeline_path(folder: Path, item: Item) -> Path:
    """Return the path of the item's timeline: its own path, below the folder."""
    own = item.path
    if ".." in own.parts:
        own = Path(os.path.abspath(own))  # noqa: PTH100 (links keep their names)
    drive = own.drive.replace(":", "").strip("\\/")
    within = own.relative_to(own.anchor)
    channel = "" if item.channels == MIX else f".channel-{item.channels}"
    return folder / drive / within.with_name(f"{within.name}{channel}.jsonl")
