"""Writes intervals for audio editors and players, each when it is complete."""

from __future__ import annotations

import html
import math
from abc import ABC, abstractmethod

from streamer.errors import printable
from streamer.formats.intervals import Interval, Intervals, Kind
from streamer.outputs import Output, write_line
from streamer.session.events import Event, SessionEnded, SessionStarted


class _Track(ABC):
    """Writes the intervals of a session, each when it is complete."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._intervals = Intervals()

    def take(self, event: Event) -> None:
        if isinstance(event, SessionStarted):
            self._head()
        for interval in self._intervals.take(event):
            self._write(interval)
        if isinstance(event, SessionEnded):
            self.finish(event.duration_s)

    def finish(self, duration_s: float) -> None:  # noqa: ARG002 (other formats need it)
        """Write the remaining intervals, for a session without a last event."""
        for interval in self._intervals.finish():
            self._write(interval)

    def _head(self) -> None:
        self._out.write("")  # create the file even if no interval comes

    @abstractmethod
    def _write(self, interval: Interval) -> None: ...


class Audacity(_Track):
    """A label track: start, end and label, tab-separated, with gaps and marks."""

    def _write(self, interval: Interval) -> None:
        text = printable(interval.text)
        if interval.kind is Kind.GAP:
            text = f"gap: {text}"
        write_line(self._out, f"{interval.start_s:.6f}\t{interval.end_s:.6f}\t{text}")


class _Subtitles(_Track):
    """One cue per run of a label; gaps and marks have none."""

    def __init__(self, out: Output) -> None:
        super().__init__(out)
        self._cues = 0

    def _write(self, interval: Interval) -> None:
        if interval.kind is Kind.LABEL:
            self._cues += 1
            write_line(self._out, self._cue(interval))

    @abstractmethod
    def _cue(self, interval: Interval) -> str:
        """Return the cue, without the line end of its last line."""


class SubRip(_Subtitles):
    """SRT subtitles."""

    def _cue(self, interval: Interval) -> str:
        times = f"{_clock(interval.start_s, ',')} --> {_clock(interval.end_s, ',')}"
        # The format has no escapes.
        text = printable(interval.text).replace("-->", "→")
        return f"{self._cues}\n{times}\n{text}\n"


class WebVtt(_Subtitles):
    """WebVTT subtitles."""

    def _head(self) -> None:
        write_line(self._out, "WEBVTT\n")

    def _cue(self, interval: Interval) -> str:
        times = f"{_clock(interval.start_s, '.')} --> {_clock(interval.end_s, '.')}"
        return f"{times}\n{html.escape(printable(interval.text), quote=False)}\n"


def _clock(time_s: float, point: str) -> str:
    """Format as ``01:02:03.456``, half a millisecond rounded up so that no 1 ms cue is empty."""
    seconds, ms = divmod(math.floor(1000 * time_s + 0.5), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"
