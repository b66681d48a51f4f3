"""Helpers for matplotlib, which is an extra."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.errors import RunFailure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_matplotlib(what: str) -> None:
    """Check for matplotlib before anything is measured or drawn; it is imported only to draw.

    Args:
        what: what needs it, in the user's words.

    Raises:
        RunFailure: it is not installed.
    """
    if find_spec("matplotlib") is None:
        raise RunFailure(f"{what} needs matplotlib: pip install 'ser-live[plot]'")


def save(figure: Figure, path: Path, **options: Any) -> None:
    """Write a figure, with the options of its ``savefig``.

    Raises:
        RunFailure: the file cannot be written.
    """
    drawn = BytesIO()  # matplotlib itself cannot end a PDF on a full disk
    figure.savefig(drawn, **options)
    try:
        path.write_bytes(drawn.getvalue())
    except OSError as error:
        raise RunFailure(f"cannot write {path}: {error.strerror}") from error
