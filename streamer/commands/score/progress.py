"""Shows the progress of scoring, and says its total and what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from streamer.commands.score.finding.listing import Listing
from streamer.commands.score.hearing.jobs import Drawn
from streamer.commands.score.hearing.work import Answer, Task

#: How often a line says how far it is, where no bar does.
_LINE_EVERY_S = 60.0
#: Audio from which on a cost is told.
_COST_FROM_S = 600.0


class Pool(Protocol):
    """Hears recordings, for the length of its context."""

    @property
    def core_s(self) -> float:
        """Time on cores so far, in seconds."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None: ...

    def answers(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Answer]]:
        """Yield each task's index and answer, in any order.

        Raises:
            RunFailure: the run cannot go on.
        """
        ...


class Watched:
    """Counts the audio processed, and shows a bar; without a terminal, a line every minute.

    Attributes:
        recordings: number of recordings processed by this run; of channels, if they are split.
    """

    def __init__(
        self,
        items: Listing,
        drawn: Drawn,
        pool: Pool,
        say: Callable[[str], None],
        *,
        unit: str,
        is_shown: bool,
    ) -> None:
        self._items, self._drawn, self._pool, self._say = items, drawn, pool, say
        self._unit = unit
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not is_shown,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._is_shown = is_shown
        self._task = self._bar.add_task("", total=self.total)
        self._began = self._said = time.monotonic()
        self._audio_s = 0.0
        self.recordings = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._bar.stop()

    def heard(self, duration_s: float | None) -> None:
        """Count a recording, with the seconds of it that could be processed."""
        self.recordings += 1
        self._audio_s += duration_s or 0.0
        self._bar.update(self._task, advance=1, total=self.total, description=self.pace)
        if not self._is_shown and time.monotonic() - self._said >= _LINE_EVERY_S:
            self._said = time.monotonic()
            of = "" if self.total is None else f" of {self.total}"
            self._say(f"{self.recordings}{of} {self._unit}s, {self.pace}{self._left()}")

    @property
    def recorded(self) -> int:
        """The number of recordings whose rows were there before, as far as is known."""
        return self._drawn.seen - self._drawn.count

    @property
    def total(self) -> int | None:
        """The number of recordings that this run processes; None while they are listed."""
        return None if self._items.total is None else self._items.total - self.recorded

    @property
    def pace(self) -> str:
        """The audio so far, and the speed."""
        elapsed_s = max(time.monotonic() - self._began, 1e-9)
        times = self._audio_s / elapsed_s
        is_long = self._audio_s >= 3600
        audio = f"{self._audio_s / 3600:.2f} h" if is_long else f"{self._audio_s / 60:.1f} min"
        return f"{audio} of audio, {times:.0f} times real time ({times / 60:.1f} h a minute)"

    @property
    def outcome(self) -> str:
        """The pace, and the cost of a thousand hours of audio."""
        if self._audio_s < _COST_FROM_S:  # loading the model would be most of it
            return self.pace
        cost = 1000 * self._pool.core_s / self._audio_s
        return f"{self.pace}, {cost:.3g} core-hours for 1000 h of audio"

    def _left(self) -> str:
        if self.total is None:
            return ""
        elapsed_s = time.monotonic() - self._began
        minutes = elapsed_s / self.recordings * (self.total - self.recordings) / 60
        return f", {minutes // 60:.0f} h {minutes % 60:.0f} min to go"
