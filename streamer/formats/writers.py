"""Writers by format; each is a sink for a live session or for one read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from streamer.errors import SerLiveError
from streamer.formats.names import SUFFIXES
from streamer.formats.table import Csv
from streamer.formats.textgrid import TextGrid
from streamer.formats.tracks import Audacity, SubRip, WebVtt
from streamer.outputs import Output
from streamer.session.events import Sink
from streamer.sound.files.media import MEDIA_SUFFIXES
from streamer.sound.files.recording import SOUND_SUFFIXES


class Timeline(Sink, Protocol):
    """Writes a file for use in another program."""

    def finish(self, duration_s: float) -> None:
        """End a session that has no last event; otherwise ``take`` does it."""
        ...


_BY_SUFFIX = {".jsonl": "jsonl", **SUFFIXES, ".json": "jsonl", ".ndjson": "jsonl"}
_PICTURES = frozenset({".html", ".svg", ".png", ".pdf"})

#: Formats that hold one recording.
_SINGLE: dict[str, Callable[[Output], Timeline]] = {
    "audacity": Audacity,
    "textgrid": TextGrid,
    "srt": SubRip,
    "vtt": WebVtt,
}


def check_replaceable(path: Path, what: str) -> None:
    """Check that an output does not have the suffix of a file that nobody can make again.

    Raises:
        SerLiveError: the suffix is that of sound or of a voice profile.
    """
    suffix = path.suffix.lower()
    if suffix in SOUND_SUFFIXES | MEDIA_SUFFIXES:
        raise SerLiveError(f"{path}: {what}, not sound")
    if suffix == ".profile":
        raise SerLiveError(f"{path}: {what}, not a profile")


def suffix_format(output: Path | None) -> str:
    """Return the format for a session's output file by its suffix; without one, JSON lines.

    Raises:
        SerLiveError: the suffix is that of no format, or .txt, which may be that of either.
    """
    suffix = "" if output is None else output.suffix.lower()
    if output is not None:
        check_replaceable(output, "--output takes results, such as .jsonl or .csv")
    if suffix in _PICTURES:
        raise SerLiveError(
            f"{output}: --output takes results; ser-live report makes a {suffix} of a .jsonl"
        )
    if suffix == ".txt":
        raise SerLiveError(
            f"{output}: a .txt may be JSON lines or a label track; name it .jsonl, or add --format "
            "audacity"
        )
    if suffix and suffix not in _BY_SUFFIX:
        known = ", ".join(one for one in _BY_SUFFIX if one not in (".txt", ".json", ".ndjson"))
        raise SerLiveError(
            f"{output}: no format has the suffix {suffix}; name it {known}, or add a --format"
        )
    return _BY_SUFFIX.get(suffix, "jsonl")


def check_named(output: Path | None, name: str, say: Callable[[str], None]) -> None:
    """Check an output file for a format that was asked for by name, which counts.

    Args:
        output: the file, None for standard output.
        name: the format.
        say: prints a line for the user, if the suffix is that of another format.

    Raises:
        SerLiveError: the suffix is that of sound or of a profile.
    """
    if output is None:
        return
    check_replaceable(output, "--output takes results, such as .jsonl or .csv")
    # Lines of any kind may stand in a .txt.
    formats = {**_BY_SUFFIX, ".txt": name}
    usual = formats.get(output.suffix.lower(), name)
    if usual != name:
        say(f"{output} gets {name}, which --format names, though its suffix is that of {usual}")


def open_timeline(name: str, out: Output, is_several: bool, is_split: bool = False) -> Timeline:
    """Return a writer for the format ``name``, one of :data:`streamer.formats.names.TIMELINES`.

    Args:
        name: name of the format.
        out: output to write to.
        is_several: whether it will hold more than one recording.
        is_split: whether the channels of a recording are separate streams.

    Raises:
        SerLiveError: the format cannot hold several recordings, or channels.
    """
    if name == "csv":
        return Csv(out, is_several, is_split)
    if is_split:
        raise SerLiveError(
            f"{name} holds one channel, csv holds several; "
            "ser-live replay --channels 1, then 2, makes a file of each"
        )
    if is_several:
        raise SerLiveError(f"{name} holds one recording at a time; csv holds several")
    return _SINGLE[name](out)
