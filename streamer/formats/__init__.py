"""Writers of sessions, one class a format: sinks of a session or of one that is read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from streamer.errors import SerLiveError
from streamer.events import Sink
from streamer.format_names import SUFFIXES
from streamer.formats.lines import SCHEMA, JsonLines, Plain, summary
from streamer.formats.table import Csv
from streamer.formats.textgrid import TextGrid
from streamer.formats.tracks import Audacity, SubRip, WebVtt
from streamer.outputs import Output

__all__ = [
    "SCHEMA",
    "JsonLines",
    "Plain",
    "Timeline",
    "open_timeline",
    "suffix_format",
    "summary",
]


class Timeline(Sink, Protocol):
    """Writes what a person takes into another program."""

    def finish(self, duration_s: float) -> None:
        """End a session that has no last event; ``take`` does it where there is one."""
        ...


#: They hold one recording.
_SINGLE: dict[str, Callable[[Output], Timeline]] = {
    "audacity": Audacity,
    "textgrid": TextGrid,
    "srt": SubRip,
    "vtt": WebVtt,
}


def suffix_format(output: Path | None) -> str | None:
    """The timeline that a session's output names by its suffix; .txt may be anything."""
    suffix = "" if output is None else output.suffix.lower()
    return None if suffix == ".txt" else SUFFIXES.get(suffix)


def open_timeline(name: str, out: Output, is_several: bool) -> Timeline:
    """A writer of the format ``name``, one of :data:`streamer.format_names.TIMELINES`.

    Raises:
        SerLiveError: the format cannot hold several recordings.
    """
    if name == "csv":
        return Csv(out, is_several)
    if is_several:
        raise SerLiveError(f"{name} holds one recording at a time; csv and jsonl hold several")
    return _SINGLE[name](out)
