"""Intervals for audio editors and players: written as they are complete."""

from __future__ import annotations

import html
import math
from abc import ABC, abstractmethod

from streamer.errors import printable
from streamer.formats.intervals import Interval, Intervals, Kind
from streamer.outputs import Output, write_line
from streamer.session.events import Event, SessionEnded, SessionStarted


class _Track(ABC):
    """Writes intervals of one session as they are complete."""

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
        """Write what is left; for a session without a last event."""
        for interval in self._intervals.finish():
            self._write(interval)

    def _head(self) -> None:
        self._out.write("")  # the file is there, though no interval may come

    @abstractmethod
    def _write(self, interval: Interval) -> None: ...


class Audacity(_Track):
    """A label track: start, end, label, tab-separated; gaps and marks among them."""

    def _write(self, interval: Interval) -> None:
        text = printable(interval.text)
        if interval.kind is Kind.GAP:
            text = f"gap: {text}"
        write_line(self._out, f"{interval.start_s:.6f}\t{interval.end_s:.6f}\t{text}")


class _Subtitles(_Track):
    """A cue a run of labels; gaps and marks are no cues."""

    def __init__(self, out: Output) -> None:
        super().__init__(out)
        self._cues = 0

    def _write(self, interval: Interval) -> None:
        if interval.kind is Kind.LABEL:
            self._cues += 1
            write_line(self._out, self._cue(interval))

    @abstractmethod
    def _cue(self, interval: Interval) -> str:
        """The cue, its last line without the line end."""


class SubRip(_Subtitles):
    """SRT subtitles."""

    def _cue(self, interval: Interval) -> str:
        times = f"{_clock(interval.start_s, ',')} --> {_clock(interval.end_s, ',')}"
        # The format knows no escapes.
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
    """``01:02:03.456``, half a millisecond rounded up so that no cue of one becomes empty."""
    seconds, ms = divmod(math.floor(1000 * time_s + 0.5), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"
