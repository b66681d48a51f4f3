"""Writes lines during a session: JSON for programs, plain text for people."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

from streamer.counting import counted
from streamer.errors import printable
from streamer.formats.numbers import LATENCY_DIGITS, SHARE_DIGITS, TIME_DIGITS
from streamer.outputs import Output, write_line
from streamer.percentages import whole_percents
from streamer.recognition.decision import SILENCE
from streamer.session.events import (
    Estimated,
    Event,
    Gap,
    Marked,
    SessionEnded,
    SessionStarted,
    SourceAway,
)
from streamer.signal import TIMESTEP_S

SCHEMA = 1
#: In a verdict, an emotion must lead another by at least this much to lead at all.
MIXED_BELOW = 0.1
_BAR_WIDTH = 20


class JsonLines:
    """Writes one JSON object per line; ``streamer/README.md`` has the keys."""

    def __init__(self, out: Output, names_file: bool) -> None:
        """Write to a text stream; with several files every line carries the ``file`` key."""
        self._out = out
        self._names_file = names_file
        self._file: dict[str, str] = {}
        self._labels: tuple[str, ...] = ()

    def take(self, event: Event) -> None:
        match event:
            case SessionStarted():
                self._file = {"file": event.source} if self._names_file else {}
                self._labels = event.labels
                values = self._session(event)
            case Estimated():
                values = self._estimate(event)
            case Gap():
                values = self._gap(event)
            case Marked():
                values = {"type": "mark", "time": round(event.time_s, TIME_DIGITS)}
            case SourceAway():
                return
            case SessionEnded():
                values = self._end(event)
        channel = {} if event.channel is None else {"channel": event.channel}
        values = values | channel | self._file
        # Non-ASCII is escaped, so a file name that is not valid text cannot break a line.
        write_line(self._out, json.dumps(values, separators=(",", ":")))

    @staticmethod
    def _session(event: SessionStarted) -> dict[str, Any]:
        adaptation = {} if event.adaptation is None else {"adaptation": event.adaptation}
        return {
            "type": "session",
            "schema": SCHEMA,
            "source": event.source,
            "sample_rate": event.sample_rate,
            "model": event.model,
            "prior": event.prior,
            **adaptation,
            "labels": list(event.labels),
            "look_ahead_ms": round(event.look_ahead_ms, 3),
            "started": event.started.isoformat(timespec="milliseconds"),
        }

    def _estimate(self, event: Estimated) -> dict[str, Any]:
        estimate, latency_ms = event.estimate, event.latency_ms
        pairs = zip(self._labels, estimate.probabilities.tolist(), strict=True)
        return {
            "type": "estimate",
            "time": round(estimate.time, TIME_DIGITS),
            "label": estimate.label,
            "probabilities": {name: round(p, SHARE_DIGITS) for name, p in pairs},
            "speech": round(estimate.speech, SHARE_DIGITS),
            "latency_ms": None if latency_ms is None else round(latency_ms, LATENCY_DIGITS),
        }

    @staticmethod
    def _gap(event: Gap) -> dict[str, Any]:
        return {
            "type": "gap",
            "time": round(event.time_s, TIME_DIGITS),
            "lost_samples": event.lost_samples,
            "reason": event.reason,
        }

    @staticmethod
    def _end(event: SessionEnded) -> dict[str, Any]:
        def rounded(values: dict[str, float]) -> dict[str, float]:
            return {name: round(value, SHARE_DIGITS) for name, value in values.items()}

        return {
            "type": "end",
            "duration": round(event.duration_s, TIME_DIGITS),
            "estimates": event.estimates,
            "summary": rounded(event.summary),
            "overall": event.overall,
            "probabilities": rounded(event.probabilities),
        }


def summary(event: SessionEnded) -> str:
    """Return a line about a session: the verdict, and the labels shown during speech."""
    spoken = {name: share for name, share in event.summary.items() if name != SILENCE}
    total = sum(spoken.values())
    speech_s = total * event.estimates * TIMESTEP_S
    shares = sorted(spoken.items(), key=lambda item: -item[1])
    wholes = whole_percents([share / total for _, share in shares]) if total else []
    named = zip(shares, wholes, strict=False)  # without speech there are none
    parts = ", ".join(f"{name} {whole}%" for (name, share), whole in named if share)
    shown = f" (shown: {parts} of the {speech_s:.1f} s not silent)" if parts else ""
    return f"{event.duration_s:.2f} s: {verdict_of(event)}{shown}"


def verdict_of(event: SessionEnded) -> str:
    """Return the verdict on a session in words, with a note if that emotion was never shown."""
    if event.overall == SILENCE:
        is_silent = event.summary.get(SILENCE, 1.0) == 1.0
        return "no speech overall" if is_silent else "too little speech for a verdict overall"
    if not event.summary.get(event.overall, 0.0):
        return f"no clear emotion overall, {event.overall} likeliest"
    other = close_second(event)
    if other is None:
        return f"{event.overall} overall"
    return f"mixed overall, {event.overall} and {other}"


def close_second(event: SessionEnded) -> str | None:
    """Return an emotion that was shown and is close to the verdict, if there is one."""
    likely = event.probabilities
    shown = [name for name in likely if name != event.overall and event.summary.get(name, 0.0)]
    other = max(shown, key=likely.__getitem__, default=None)
    if other is None or likely[event.overall] - likely[other] >= MIXED_BELOW:
        return None
    return other


class _ForPeople(ABC):
    """Writes a session as lines for people; notes begin with #."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._labels: tuple[str, ...] = ()

    def take(self, event: Event) -> None:
        line: str | None = None
        match event:
            case SessionStarted():
                self._labels = event.labels
                line = f"# {self._head(event)}"
            case Estimated():
                line = self._estimate(event)
            case Gap():
                line = f"# gap at {event.time_s:.2f} s: "
                line += f"{counted(event.lost_samples, 'sample')} lost: {event.reason}"
            case Marked():
                line = f"# mark at {event.time_s:.2f} s"
            case SessionEnded():
                line = f"# {summary(event)}"
        if line is not None:
            write_line(self._out, line if event.channel is None else f"[{event.channel}] {line}")

    @abstractmethod
    def _head(self, event: SessionStarted) -> str:
        """Return the description of a session for its start."""

    @abstractmethod
    def _estimate(self, event: Estimated) -> str | None:
        """Return the line for an estimate, if it gets one."""


class Changes(_ForPeople):
    """Writes a line per change of label: time, label, and how sure it is."""

    def __init__(self, out: Output) -> None:
        super().__init__(out)
        self._shown: dict[int | None, str] = {}

    def _head(self, event: SessionStarted) -> str:
        self._shown.pop(event.channel, None)
        return printable(event.source)

    def _estimate(self, event: Estimated) -> str | None:
        label = event.estimate.label
        if label == self._shown.get(event.channel):
            return None
        self._shown[event.channel] = label
        line = f"{event.estimate.time:9.2f} s  {label}"
        if label in self._labels:
            share = float(event.estimate.decisive[self._labels.index(label)])
            line += f"  {share:.0%}"
        return line


class Plain(_ForPeople):
    """Writes a line per estimate: time, label, the likeliest emotion with a bar, latency.

    The figure is the one that decided the label, not the probability of that moment alone.
    """

    def _head(self, event: SessionStarted) -> str:
        return (
            f"{printable(event.source)}: {event.sample_rate} Hz, {event.model}, "
            f"{event.prior} prior, {event.look_ahead_ms:.0f} ms look-ahead{event.unusual}"
        )

    def _estimate(self, event: Estimated) -> str:
        estimate = event.estimate
        figures = estimate.decisive
        is_emotion = estimate.label in self._labels
        index = self._labels.index(estimate.label) if is_emotion else int(figures.argmax())
        share = float(figures[index])
        line = f"{estimate.time:9.2f} s  {estimate.label:<12}"
        if estimate.label != SILENCE:
            bar = "#" * round(share * _BAR_WIDTH)
            line += f"{self._labels[index]:>10} {share:4.0%} {bar:<{_BAR_WIDTH}}"
        if event.latency_ms is not None:
            line = f"{line:<60} {event.latency_ms:6.0f} ms late"
        return line.rstrip()
