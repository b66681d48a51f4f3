"""Recognises ser-live's own files by how they begin, so that errors can name them."""

from __future__ import annotations

import json
import re
from enum import Enum, auto


class Kind(Enum):
    """A kind of file that ser-live writes, or takes beside sound."""

    SESSION = auto()  # JSON lines
    SESSION_TABLE = auto()  # a session as CSV
    ROWS = auto()  # of score
    TRUTH = auto()  # for score --labels
    PROFILE = auto()
    TIMELINE = auto()  # of another program: Praat's TextGrid, subtitles, Audacity's label track


#: More than the first line of any of them, a profile's included.
LONGEST_START = 1 << 16

#: Columns and keys that every file of the kind has.
_OF_ROWS = {"file", "channel", "overall", "error", "prior"}
_OF_TABLES = {"time", "label", "speech", "latency_ms"}
_OF_TRUTH = {"file", "label"}
#: Values of ``type``.
_BY_TYPE = {"session": Kind.SESSION, "profile": Kind.PROFILE}

_TIMELINE = re.compile(
    r'File type = "ooTextFile"|WEBVTT\b|1\r?\n(?:[\d:]+,\d+ --> |\Z)|\d+\.\d+\t\d+\.\d+\t', re.ASCII
)


def kind_of(start: bytes) -> Kind | None:
    """Return the kind of a file that begins like this, or None.

    Args:
        start: its first line at least, and no more than :data:`LONGEST_START`.
    """
    if start.startswith(b"PAR1"):  # Parquet
        return Kind.ROWS
    text = start[:LONGEST_START].decode("utf-8-sig", errors="replace").lstrip()
    if _TIMELINE.match(text):
        return Kind.TIMELINE
    line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    values = _object(line) if line.startswith("{") else dict.fromkeys(line.split(","))
    keys = set(values)
    if "type" in keys:
        return _BY_TYPE.get(str(values["type"]))
    if keys >= _OF_ROWS:
        return Kind.ROWS
    if keys >= _OF_TABLES:
        return Kind.SESSION_TABLE
    if keys == _OF_TRUTH:
        return Kind.TRUTH
    return None


def _object(line: str) -> dict[str, object]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return values if type(values) is dict else {}
