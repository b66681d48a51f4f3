"""How far along a long task is: a bar if stderr is a terminal, otherwise a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from streamer.outputs import say_on_stderr

T = TypeVar("T")

#: Time between two lines.
LINE_S = 15.0


def progress_bar(is_shown: bool = True) -> Progress:
    """Make a bar with the remaining time. Other output appears above it."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not (is_shown and sys.stderr.isatty()),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # leave output to a file alone
    )


class Lines:
    """Says how far a task is, where there is no bar."""

    def __init__(self, total: int, what: str, *, is_told: bool) -> None:
        """Begin a task.

        Args:
            total: number of its parts.
            what: the rest of the sentence: ``recordings are decoded``.
            is_told: whether lines are printed.
        """
        self._total, self._what, self._is_told = total, what, is_told
        self._done = 0
        self._next_s = time.monotonic() + LINE_S

    def advance(self, parts: int = 1) -> None:
        """Note that so many more parts are done; say it if the last line is a while ago."""
        self._done += parts
        if time.monotonic() >= self._next_s:
            self.say()

    def say(self) -> None:
        """Say how far it is."""
        self._next_s = time.monotonic() + LINE_S
        if self._is_told:
            say_on_stderr(f"train: {self._done} of {self._total} {self._what}")


def tracked(items: Iterable[T], sizes: Sequence[int], what: str) -> Iterator[T]:
    """Yield items as they come, and show how far they are; also at the start and at the end.

    Args:
        items: what is waited for.
        sizes: number of parts of each item.
        what: as in :class:`Lines`.
    """
    with progress_bar() as bar:
        lines = Lines(sum(sizes), what, is_told=bool(bar.disable))
        lines.say()
        task = bar.add_task(what, total=sum(sizes))
        for item, size in zip(items, sizes, strict=True):
            yield item
            bar.advance(task, size)
            lines.advance(size)
        lines.say()
