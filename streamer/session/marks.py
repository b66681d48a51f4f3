"""Passes marked moments from the screen's thread to a file."""

from __future__ import annotations

from collections import deque

from streamer.session.events import Event, Marked, SessionEnded, SessionStarted, Sink


class Marking:
    """A sink that forwards events to another sink, with the user's marks between them.

    Only the session's thread writes, whole lines in the order of events. Neither thread waits
    for the other: appending to a deque and popping from it are atomic.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._session: SessionStarted | None = None
        self._pending: deque[tuple[SessionStarted, float]] = deque()

    def mark(self, session: SessionStarted, time_s: float) -> None:
        """Mark a moment, from any thread; it is forwarded with the next event.

        Args:
            session: the session shown; marks for an earlier session are dropped.
            time_s: stream time at which the newest timestep shown ends.
        """
        self._pending.append((session, time_s))

    def take(self, event: Event) -> None:
        if isinstance(event, SessionEnded):  # nothing comes after the last event
            self._hand_on()
            self._sink.take(event)
            return
        if isinstance(event, SessionStarted):
            self._session = event
        self._sink.take(event)
        self._hand_on()

    def _hand_on(self) -> None:
        while self._pending:
            session, time_s = self._pending.popleft()
            if session is self._session:
                self._sink.take(Marked(time_s))
