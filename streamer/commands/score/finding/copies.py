"""Keeps the copies of recordings behind URLs until each of their channels was heard.

How many channels a recording has is known once it is fetched, so one whose channels are split is
fetched while it is listed. Listing may be far ahead of hearing: what has no room is fetched again.
"""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from pathlib import Path

#: Most bytes of all copies, and the share of the free disk that one copy may take.
MOST_BYTES = 1 << 30
_MOST_OF_DISK = 0.25


class Copies:
    """The copies that are kept; its methods are for any thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Keep nothing yet, and never more than so many bytes."""
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: dict[Path, tuple[int, int]] = {}  # channels still to be heard, bytes
        self._bytes = 0

    def keep(self, copy: Path, channels: int) -> Path | None:
        """Keep a temporary file of which so many channels will be heard.

        Returns:
            its new path; None if there is no room.
        """
        try:
            size = copy.stat().st_size
            if size > _MOST_OF_DISK * shutil.disk_usage(copy.parent).free:
                return None
            kept = copy.with_name(f"kept-{copy.name}")
            with self._lock:
                if self._bytes + size > self._most_bytes:
                    return None
                copy.rename(kept)
                self._kept[kept] = channels, size
                self._bytes += size
        except OSError:  # it will be fetched again
            return None
        return kept

    def release(self, copy: Path) -> None:
        """Note that a channel needs the copy no more; after the last one it is deleted."""
        with self._lock:
            channels, size = self._kept.pop(copy)
            if channels > 1:
                self._kept[copy] = channels - 1, size
                return
            self._bytes -= size
        with suppress(OSError):
            copy.unlink()
