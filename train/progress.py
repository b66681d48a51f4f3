"""How far a long work is, on stderr, where a person watches it; silent elsewhere."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def progress_bar(is_shown: bool = True) -> Progress:
    """A bar with the time it still takes. What is printed meanwhile stands above it."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not (is_shown and sys.stderr.isatty()),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # what goes to a file stays there
    )
