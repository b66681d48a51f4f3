"""The recordings of a run: listed by a thread while the first are heard, and kept packed.

A million names take some 15 MB here; as paths in a list they take 700 MB.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from streamer.commands.score.finding.copies import Copies
from streamer.commands.score.finding.find import Search
from streamer.commands.score.finding.places import Place, Url, place_of
from streamer.commands.score.finding.remote import local_copy
from streamer.commands.score.results.rows import Key, Keys
from streamer.counting import counted
from streamer.errors import SerLiveError
from streamer.sound.channels import MIX, Channels
from streamer.sound.files.recording import Recording
from streamer.sound.source import NO_SIGNALS, Signals, keep_quiet

#: Characters that a line of UTF-8 text cannot hold: line breaks, and invalid bytes of a name. And
#: the escape character, so that no two names become one; on Windows it separates folders.
_ESCAPED = {ord("\n"), ord("\r"), *range(0xD800, 0xE000)} | ({ord("\\")} - {ord(os.sep)})
_PACKED_TOGETHER = 1_000
#: How long a reader waits before it takes a batch that is not full.
_PATIENCE_S = 0.1


@dataclass(frozen=True, slots=True)
class Item:
    """A recording to be scored.

    Attributes:
        place: path as given, or below the given folder; or URL.
        name: the place in the results; different only if it does not fit a line, or holds a
            backslash.
        channels: channels to use.
        size: its bytes; None if unknown.
        problem: why there is nothing to score; None for a recording.
        copy: what was fetched of a URL for all its channels, until :meth:`Listing.release`.
    """

    place: Place
    name: str
    channels: Channels = MIX
    size: int | None = None
    problem: str | None = None
    copy: Path | None = None

    @property
    def key(self) -> Key:
        """The key of its row."""
        return self.name, str(self.channels)


class Packed:
    """Lists of values, compressed: add to it in one thread, read it in others."""

    def __init__(self) -> None:
        self._batches: list[bytes] = []
        self._open: list[object] = []

    def add(self, value: object) -> None:
        """Add a value that JSON can hold."""
        self._open.append(value)
        if len(self._open) >= _PACKED_TOGETHER:
            self.pack()

    def pack(self) -> None:
        """Make readable what was added."""
        if self._open:
            self._batches.append(zlib.compress(json.dumps(self._open).encode(), 1))
            self._open = []

    def __len__(self) -> int:
        return len(self._batches)

    def batch(self, index: int) -> list[list[object]]:
        """Return the values of a batch."""
        values: list[list[object]] = json.loads(zlib.decompress(self._batches[index]))
        return values


class Listing:
    """The recordings in some places; iterating waits for those that are not listed yet.

    It can be iterated any number of times. The properties about all of it wait for its end.
    """

    def __init__(
        self,
        texts: Sequence[str],
        wanted: Channels = MIX,
        say: Callable[[str], None] = keep_quiet,
        *,
        wants_sizes: bool = False,
        folder: Path | None = None,
        signals: Signals = NO_SIGNALS,
    ) -> None:
        """Set it up; it begins with the context.

        Args:
            texts: paths, patterns and URLs.
            wanted: channels to use; if they are split, each is an item.
            say: prints a line for the user, if listing took several tries.
            wants_sizes: whether to look up the bytes of files.
            folder: for copies of what is behind URLs; None for the system's.
            signals: end a wait, and the reading of what is listed.
        """
        self._texts = tuple(texts)
        self._wanted = wanted
        self._folder = folder
        self._copies = Copies()
        self._signals = signals
        self._left = Packed()
        self._search = Search(texts, say, self._left.add, wants_sizes=wants_sizes)
        self._packed = Packed()
        self._count = 0
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        self._is_done = self._is_stopped = False
        self._thread = threading.Thread(target=self._list, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopped = True  # a thread that waits for a network is left behind

    def __iter__(self) -> Iterator[Item]:
        index = 0
        while self._has(index):
            for values in self._packed.batch(index):
                yield _item(*values)  # type: ignore[arg-type]
            index += 1

    @property
    def total(self) -> int | None:
        """The number of items; None while it is not known."""
        return self._count if self._is_done else None

    @property
    def complaints(self) -> list[str]:
        """Lines for the user, one for each place that could not be listed."""
        return self._search.complaints

    @property
    def passed_over(self) -> dict[str, int]:
        """Number of files that are no recordings, by suffix, most frequent first."""
        return dict(self._search.passed_over.most_common())

    def each_passed_over(self) -> Iterator[str]:
        """Yield the files that are no recordings."""
        for index in range(len(self._left)):
            for name in map(str, self._left.batch(index)):
                if self._search.is_passed_over(place_of(name)):
                    yield name

    def wait(self, timeout_s: float = math.inf) -> bool:
        """Wait for the end of the listing; return whether it has come."""
        return self._wait_for(lambda: self._is_done, timeout_s)

    def among(self, keys: Keys) -> Keys:
        """Return which of some keys are those of items here, or of the named places."""
        own = Keys()
        if keys:
            for text in self._texts:  # one that could not be listed has a row
                own.add((written(place_of(text)), str(self._wanted)))
            for item in self:
                if item.key in keys:
                    own.add(item.key)
        return own

    def check(self) -> None:
        """Check that there is anything at all; this waits for the first recording.

        Raises:
            SerLiveError: there is no recording, and no other complaint.
        """
        if self._has(0) or self._search.complaints:
            return
        names = ", ".join(map(str, map(place_of, self._texts)))
        count = sum(self._search.passed_over.values())
        others = f" (passed over {counted(count, 'other file')})" if count else ""
        raise SerLiveError(
            f"no recordings in {names}{others}; files that are named are always tried"
        )

    def _has(self, index: int) -> bool:
        """Wait for a batch; return whether it came."""
        self._wait_for(lambda: self._is_done or len(self._packed) > index)
        if self._failure is not None:
            raise self._failure
        return len(self._packed) > index

    def _wait_for(self, has_come: Callable[[], bool], timeout_s: float = math.inf) -> bool:
        """Wait in short steps, between which a signal ends it; return whether it came."""
        due_s = time.monotonic() + timeout_s
        while True:
            self._signals.check()
            with self._changed:
                if self._changed.wait_for(has_come, min(timeout_s, _PATIENCE_S)):
                    return True
                self._packed.pack()  # a few are enough for a reader that waits
            if time.monotonic() >= due_s:
                return False

    def _list(self) -> None:
        try:
            for entry in self._search.entries():
                text, is_url = str(entry.place), isinstance(entry.place, Url)
                numbers, copy = self._channels(entry.place, entry.problem)
                for number in numbers:
                    with self._changed:
                        self._packed.add([text, is_url, entry.size, entry.problem, number, copy])
                        self._count += 1
                        if self._count % _PACKED_TOGETHER in (0, 1):  # the first is wanted at once
                            self._packed.pack()
                            self._changed.notify_all()
                if self._is_stopped:
                    return
        except BaseException as error:  # raised where the listing is read
            self._failure = error
        finally:
            self._left.pack()
            with self._changed:
                self._packed.pack()
                self._is_done = True
                self._changed.notify_all()

    def release(self, item: Item) -> None:
        """Note that an item needs its copy no more; each item may say so once."""
        if item.copy is not None:
            self._copies.release(item.copy)

    def _channels(
        self, place: Place, problem: str | None
    ) -> tuple[Sequence[int | str], str | None]:
        """Return the channels of a recording, and the path of its copy if one is kept.

        They are numbers if they are split. One that cannot be opened has one: its row will say why.
        """
        if not self._wanted.is_split or problem is not None:
            return (str(self._wanted),), None
        count, copy = 1, None
        with suppress(Exception), local_copy(place, None, keep_quiet, self._folder) as path:
            with suppress(Exception), Recording(path, self._wanted) as recording:
                count = recording.streams or 1
            if isinstance(place, Url):
                copy = self._copies.keep(path, count)
        return range(1, count + 1), None if copy is None else str(copy)


def _item(
    text: str,
    is_url: bool,
    size: int | None,
    problem: str | None,
    channel: int | str,
    copy: str | None,
) -> Item:
    place = Url(text) if is_url else Path(text)
    kept = None if copy is None else Path(copy)
    return Item(place, written(place), Channels.parse(str(channel)), size, problem, kept)


def written(place: Place) -> str:
    """Return a path or URL as it stands in the results."""
    name = str(place)
    return "".join(
        one.encode("unicode_escape").decode() if ord(one) in _ESCAPED else one for one in name
    )
