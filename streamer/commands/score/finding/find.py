"""Finds recordings in folders, by patterns and behind URLs, one by one."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from streamer.commands.score.finding.patience import reason_of
from streamer.commands.score.finding.places import (
    Place,
    Url,
    base_name,
    identity_of,
    is_explicit,
    is_pattern,
    own_part,
    place_of,
    suffix_of,
)
from streamer.commands.score.finding.remote import listed
from streamer.commands.score.results.rows import Key, Keys, digest_of
from streamer.counting import counted
from streamer.errors import SerLiveError
from streamer.sound.files.media import MEDIA_SUFFIXES
from streamer.sound.files.recording import SOUND_SUFFIXES

#: Without PyAV, files that need it get a row that says so.
_SUFFIXES = SOUND_SUFFIXES | MEDIA_SUFFIXES


class Entry(NamedTuple):
    """What was found.

    Attributes:
        place: path or URL.
        size: its bytes; None if unknown.
        problem: why nothing could be found there; None for a recording.
    """

    place: Place
    size: int | None = None
    problem: str | None = None


class Search:
    """Looks through the named places, and counts what it leaves out.

    Attributes:
        complaints: a line for each folder, pattern or URL that could not be listed.
        passed_over: number of files in folders that are not recordings by their suffix, by that
            suffix, and of hidden files and folders, each folder as one.
    """

    def __init__(
        self,
        texts: Sequence[str],
        say: Callable[[str], None],
        pass_over: Callable[[str], None],
        *,
        wants_sizes: bool = False,
    ) -> None:
        """Set it up; nothing is read yet.

        Args:
            texts: paths, patterns and URLs.
            say: prints a line for the user, if listing took several tries.
            pass_over: takes each file that is passed over.
            wants_sizes: whether to look up the bytes of files, which costs a call for each.
        """
        self._places = [_Named(text, place_of(text)) for text in texts]
        self._say = say
        self._pass_over = pass_over
        self._wants_sizes = wants_sizes
        self._folders: set[tuple[int, int]] = set()
        self._named = {identity_of(one.place) for one in self._places}
        # In a single folder no file comes twice; otherwise each counts once.
        is_many = len(texts) > 1 or any(one.is_pattern for one in self._places)
        self._seen = Keys() if is_many else None
        self._left: dict[bytes, str] = {}
        self.complaints: list[str] = []
        self.passed_over: Counter[str] = Counter()

    def entries(self) -> Iterator[Entry]:
        """Yield recordings, each once however often it was given; a named file is always one.

        In folders, hidden files and folders and files with other suffixes are skipped, and a folder
        with several links to it is entered once.
        """
        for one in self._places:
            for entry, is_named in self._mended(one):
                place = entry.place
                if not is_named and not _is_recording(base_name(place)):
                    self._leave(place)
                elif self._seen is None or self._seen.add(_key_of(place)):
                    self._take_back(place)
                    yield entry

    def is_passed_over(self, place: Place) -> bool:
        """Return whether something that was passed over was not found elsewhere since."""
        return self._seen is None or digest_of(_key_of(place)) in self._left

    def _mended(self, one: _Named) -> Iterator[tuple[Entry, bool]]:
        """Yield what a place leads to; an error of another library becomes a line and a row."""
        try:
            yield from self._at(one)
        except SerLiveError:
            raise
        # Whatever is wrong with this place, the others go on.
        except Exception as error:
            reason = reason_of(error)
            self.complaints.append(f"cannot list {one.text}: {reason}")
            yield Entry(one.place, None, reason), True

    def _at(self, one: _Named) -> Iterator[tuple[Entry, bool]]:
        """Yield what a place leads to, and whether it counts as named."""
        if isinstance(one.place, Url):
            yield from self._behind(one.place)
        elif one.is_pattern:
            yield from self._matching(one.text)
        elif os.path.isdir(one.place):  # noqa: PTH112 (Path raises on names that are too long)
            for name in self._inside(one.place):
                yield self._entry(name), False
        else:
            yield self._entry(one.text), True

    def _matching(self, pattern: str) -> Iterator[tuple[Entry, bool]]:
        named, count = is_explicit(pattern), 0
        for match in glob.iglob(pattern, recursive=True):  # noqa: PTH207 (it keeps the spelling)
            count += 1
            if os.path.isdir(match):  # noqa: PTH112
                for name in self._inside(Path(match)):
                    yield self._entry(name), False
            else:
                yield self._entry(match), named
        if not count:
            self.complaints.append(f"nothing matches {pattern}")

    def _behind(self, url: Url) -> Iterator[tuple[Entry, bool]]:
        count = 0
        try:
            for found, size, is_named in listed(url, self._say):
                count += 1
                if _is_hidden(url, found) and not is_named:
                    self._leave(found, is_hidden=True)
                else:
                    yield Entry(found, size), is_named
        except SerLiveError as error:
            after = f" after {counted(count, 'file')}; the same command goes on" if count else ""
            self.complaints.append(f"{error}{after}")
            yield Entry(url, None, str(error).removeprefix(f"{url}: ")), True
            return
        if not count:
            self.complaints.append(f"nothing {'matches' if is_pattern(url) else 'is in'} {url}")

    def _inside(self, folder: Path) -> Iterator[str]:
        """Yield the files in a folder, in an order that stays."""

        def complain(error: OSError) -> None:
            self.complaints.append(f"cannot look into {error.filename}: {error.strerror}")

        for root, folders, names in os.walk(folder, onerror=complain, followlinks=True):
            try:
                status = os.stat(root)  # noqa: PTH116 (a Path for each would cost more)
            except OSError as error:  # it vanished
                complain(error)
                continue
            key = (status.st_dev, status.st_ino)
            if key in self._folders:  # another link has led here
                folders.clear()
                continue
            self._folders.add(key)
            within = str(Path(root))
            for name in sorted(folders):
                if name.startswith("."):
                    self._leave(Path(within, name))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            names.sort()
            for name in names:
                yield name if within == "." else os.path.join(within, name)  # noqa: PTH118

    def _entry(self, name: str) -> Entry:
        size = None
        if self._wants_sizes:
            with suppress(OSError):  # reported when it is read
                size = os.stat(name).st_size  # noqa: PTH116
        return Entry(Path(name), size)

    def _leave(self, place: Place, *, is_hidden: bool = False) -> None:
        """Count what is passed over here; it may still be a recording of another named place."""
        if identity_of(place) in self._named:
            return
        is_hidden = is_hidden or base_name(place).startswith(".")
        kind = "hidden" if is_hidden else suffix_of(place) or "no ending"
        if self._seen is not None:
            key = _key_of(place)
            digest = digest_of(key)
            if key in self._seen or digest in self._left:
                return
            self._left[digest] = kind
        self.passed_over[kind] += 1
        self._pass_over(str(place))

    def _take_back(self, place: Place) -> None:
        """Count no longer what an earlier place passed over and this one has found."""
        if self._left and (kind := self._left.pop(digest_of(_key_of(place)), None)):
            self.passed_over[kind] -= 1
            self.passed_over += Counter()  # leaves zeros out


class _Named(NamedTuple):
    """A place that the user named."""

    text: str
    place: Place

    @property
    def is_pattern(self) -> bool:
        """Whether it is one, and not a file whose name holds such characters."""
        return is_pattern(self.text) and not os.path.lexists(self.text)


def _key_of(place: Place) -> Key:
    return identity_of(place), ""


def _is_recording(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in _SUFFIXES  # noqa: PTH122


def _is_hidden(url: Url, found: Url) -> bool:
    """Return whether a part of a URL is hidden that the user has not named."""
    return own_part(found).count("/.") > own_part(url).count("/.")
