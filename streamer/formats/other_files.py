"""Identifies a file that is not a session by its first line."""

from __future__ import annotations

import io
import json

from streamer.sound.files.heads import head_at

_ROWS = (
    "holds results of ser-live score, a row for each recording, not a session; ser-live score "
    "--timeline DIR writes the session of each"
)
_TABLE = (
    "holds a session as a table; JSON lines are needed, as ser-live replay --format jsonl makes"
)
_SOUND = "holds sound, not a session; ser-live replay --format jsonl makes one of it"
_PROFILE = "holds the profile of a voice, not a session"
#: Columns and keys that every file of ours has.
_OF_ROWS = {"file", "channel", "overall", "error", "prior"}
_OF_TABLES = {"time", "label", "speech", "latency_ms"}
_OF_PROFILES = {"mean", "timesteps", "digest"}


def what_else(line: bytes) -> str | None:
    """Describe a file that begins with this line; None if it may be a session."""
    if line.startswith((b"PAR1", b"ID3")):
        return _ROWS if line.startswith(b"PAR1") else _SOUND
    if head_at(io.BytesIO(line), 0) is not None:
        return _SOUND
    keys = _keys(line)
    if keys >= _OF_ROWS:
        return _ROWS
    if keys >= _OF_TABLES and "type" not in keys:
        return _TABLE
    return _PROFILE if keys >= _OF_PROFILES else None


def _keys(line: bytes) -> set[str]:
    """Return the keys of a JSON object, or the columns of a table's first line."""
    text = line.decode("utf-8-sig", errors="replace").strip()
    if not text.startswith("{"):
        return set(text.split("\r", 1)[0].split(","))
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return set()
    return set(values) if type(values) is dict else set()
