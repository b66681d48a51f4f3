"""Says, when a signal stops a replay, how far it came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamer.commands.choices import say
from streamer.errors import SerLiveError
from streamer.session.events import TOO_SHORT, Event, SessionEnded
from streamer.session.interrupts import Interrupted


class Progress:
    """Notes how far a replay has come; it is a sink for that."""

    def __init__(self, output: Path | None) -> None:
        """Begin with nothing heard; ``output`` is the file of the results, if there is one."""
        self._output = output
        self._recording = ""
        self._number = self._total = self._estimates = 0
        self._heard_s: float | None = None
        self._has_heard = False

    def begin(self, name: str, total: int) -> None:
        """Note that the next of ``total`` recordings begins."""
        self._recording = "standard input" if name == "-" else name
        self._number, self._total = self._number + 1, total
        self._heard_s = None
        self._estimates = 0

    def take(self, event: Event) -> None:
        """Note how much was heard when a session ends."""
        if isinstance(event, SessionEnded):
            self._heard_s = event.duration_s
            self._estimates = event.estimates
            self._has_heard = True

    def check(self) -> None:
        """Check a recording that has ended.

        Raises:
            SerLiveError: it was too short for an estimate.
        """
        if not self._estimates:
            raise SerLiveError(f"{self._recording}: {TOO_SHORT}")

    @contextmanager
    def told_if_stopped(self) -> Iterator[None]:
        """Say how far it came if a signal ends the block; not if the user quit or is impatient."""
        try:
            yield
        except Interrupted as stopped:
            if stopped.number and not stopped.is_impatient:
                say(self._told())
            raise

    def _told(self) -> str:
        if not self._number:
            return "stopped: nothing was heard"
        several = f", recording {self._number} of {self._total}" if self._total > 1 else ""
        kept = ""
        if self._output is not None and self._has_heard:
            kept = f"; {self._output} holds what was heard"
        if self._heard_s is None:
            return f"stopped: nothing of {self._recording}{several} was heard{kept}"
        return f"stopped at {self._heard_s:.1f} s of {self._recording}{several}{kept}"
