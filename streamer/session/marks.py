"""Marked moments on their way from the thread of the screen to a file."""

from __future__ import annotations

from collections import deque

from streamer.session.events import Event, Marked, SessionEnded, SessionStarted, Sink


class Marking:
    """A sink that hands events on to another, and between them what the person marked.

    The session's thread alone writes, whole lines in the order of events. Neither thread waits
    for the other: a deque takes and gives one item at a time by itself.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._session: SessionStarted | None = None
        self._pending: deque[tuple[SessionStarted, float]] = deque()

    def mark(self, session: SessionStarted, time_s: float) -> None:
        """Mark a moment, from any thread; it is handed on with the next event.

        Args:
            session: that was shown; of an earlier one nothing is written any more.
            time_s: stream time, end of the newest timestep that was shown.
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
