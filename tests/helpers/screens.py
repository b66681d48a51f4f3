"""The screen after events made by hand, as rows of text."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from streamer.recognition.estimate import Estimate
from streamer.screen.drawing.view import draw
from streamer.screen.keys import View
from streamer.screen.monitor import Monitor
from streamer.session.events import Estimated, SessionStarted

LABELS = ("angry", "happy", "neutral", "sad")


def estimated(time, label, labels=LABELS, latency_ms=200.0):
    """Make an estimate in which the label has a probability of 0.9."""
    probabilities = np.full(len(labels), 0.1 / max(1, len(labels) - 1), np.float32)
    probabilities[labels.index(label) if label in labels else 0] = 0.9
    attention = np.linspace(0, 1, 75, dtype=np.float32)
    return Estimated(
        Estimate(time, label, probabilities, 0.8, attention / attention.sum()), latency_ms
    )


def monitor_of(events, labels=LABELS):
    """Make the screen's monitor after the start of a session and these events."""
    monitor = Monitor()
    monitor.take(SessionStarted("x.wav", 16_000, "m", labels, 175.0, datetime.now(UTC)))
    for event in events:
        monitor.take(event)
    return monitor


def rows_of(snapshot, width, height, view=View()):  # noqa: B008  (frozen)
    """Return the screen as text, line by line."""
    return ["".join(piece.text for piece in line) for line in draw(snapshot, view, width, height)]
