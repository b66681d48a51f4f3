"""The server's log: one JSON object per line, on stderr."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from streamer.outputs import say_on_stderr


def log(event: str, **facts: object) -> None:
    """Write a line with the time, the event, and its facts."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    say_on_stderr(json.dumps({"time": now, "event": event, **facts}, separators=(",", ":")))
