"""Shows the progress of scoring on a terminal's stderr, and its total."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


class Watched:
    """Counts the audio processed, and shows a bar."""

    def __init__(self, recordings: int, *, is_shown: bool) -> None:
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
        self._task = self._bar.add_task("", total=recordings)
        self._began = time.monotonic()
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
        self._bar.update(self._task, advance=1, description=self.pace)

    @property
    def pace(self) -> str:
        """The audio so far, and the speed relative to real time."""
        times = self._audio_s / max(time.monotonic() - self._began, 1e-9)
        is_long = self._audio_s >= 3600
        audio = f"{self._audio_s / 3600:.2f} h" if is_long else f"{self._audio_s / 60:.1f} min"
        return f"{audio} of audio, {times:.0f} times real time"
