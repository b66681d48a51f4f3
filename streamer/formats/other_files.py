"""Identifies a file that is not a session by its first line."""

from __future__ import annotations

import io

from streamer.own_files import Kind, kind_of
from streamer.sound.files.heads import head_at

_SOUND = "holds sound, not a session; ser-live replay --format jsonl makes one of it"
_OTHER = {
    Kind.ROWS: "holds results of ser-live score, a row for each recording, not a session; ser-live "
    "score --timeline DIR writes the session of each",
    Kind.SESSION_TABLE: "holds a session as a table; JSON lines are needed, as ser-live replay "
    "--format jsonl makes",
    Kind.TIMELINE: "holds labels for another program; JSON lines are needed, as ser-live replay "
    "--format jsonl makes",
    Kind.TRUTH: "holds labels, not a session; ser-live score --labels takes it",
    Kind.PROFILE: "holds the profile of a voice, not a session",
}


def what_else(line: bytes) -> str | None:
    """Describe a file that begins with this line; None if it may be a session."""
    if line.startswith(b"ID3") or head_at(io.BytesIO(line), 0) is not None:
        return _SOUND
    kind = kind_of(line)
    return None if kind is None else _OTHER.get(kind)
