"""Writes rows for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from streamer.formats.numbers import LATENCY_DIGITS, SHARE_DIGITS, TIME_DIGITS
from streamer.outputs import Output, write_line
from streamer.session.events import Estimated, Event, SessionStarted


class Csv:
    """Writes a row per estimate, RFC 4180: time, label, speech, latency_ms, and ``p_`` + emotion.

    If no latency applies, its field is empty. Gaps and marks have no rows. Sessions that share a
    table have the same labels. If channels are separate streams, a column names the channel.
    """

    def __init__(self, out: Output, names_file: bool, names_channel: bool = False) -> None:
        """Write to a text stream; with several files the first column is ``file``."""
        self._out = out
        self._names_file = names_file
        self._file: tuple[str, ...] = ()
        self._has_head = False
        self._names_channel = names_channel

    def take(self, event: Event) -> None:
        match event:
            case SessionStarted():
                self._start(event)
            case Estimated():
                self._row(event)

    def finish(self, duration_s: float) -> None:
        """Do nothing: all rows have been written."""

    def _start(self, event: SessionStarted) -> None:
        self._file = (event.source,) if self._names_file else ()
        if not self._has_head:
            self._has_head = True
            channel = ["channel"] if self._names_channel else []
            columns = ("time", "label", "speech", "latency_ms")
            emotions = (f"p_{label}" for label in event.labels)
            self._write([*(["file"] if self._names_file else []), *channel, *columns, *emotions])

    def _row(self, event: Estimated) -> None:
        estimate, latency_ms = event.estimate, event.latency_ms
        self._write(
            [
                *self._file,
                *([event.channel] if self._names_channel else []),
                round(estimate.time, TIME_DIGITS),
                estimate.label,
                round(estimate.speech, SHARE_DIGITS),
                None if latency_ms is None else round(latency_ms, LATENCY_DIGITS),
                *(round(p, SHARE_DIGITS) for p in estimate.probabilities.tolist()),
            ]
        )

    def _write(self, fields: Iterable[object]) -> None:
        row = io.StringIO()
        csv.writer(row, lineterminator="\r").writerow(fields)
        write_line(self._out, row.getvalue())
