"""Sources in memory, a sink that keeps what it takes, and events made by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from streamer.recognition.estimate import Estimate
from streamer.session.events import Estimated, SessionEnded, SessionStarted
from streamer.sound.source import Loss


class Array:
    """A source of samples in memory, which may fail or be interrupted at a block."""

    name = "array"
    sample_rate = 16_000
    clipped = overflows = 0

    def __init__(self, samples, fail_at=None, error=None, owed=None):
        self.samples, self.fail_at, self.error, self.owed = samples, fail_at, error, owed

    def unheard(self, position):
        self.asked_at = position
        return self.owed

    def blocks(self, block_ms):
        step = 16 * block_ms
        for index, first in enumerate(range(0, len(self.samples), step)):
            if index == self.fail_at:
                raise self.error
            yield self.samples[first : first + step]


class Lossy(Array):
    """Loses 2 s after the first second; half a second of them is replaced by silence."""

    def blocks(self, block_ms):
        for index, block in enumerate(super().blocks(block_ms)):
            if index == 10:
                yield Loss(32_000, 8_000, "held up")
            yield block


class Collect:
    """A sink that keeps every event."""

    def __init__(self):
        self.events = []

    def take(self, event):
        self.events.append(event)


def started(labels):
    """The first event of a session."""
    return SessionStarted("talk.wav", 16_000, "test", labels, 175.0, datetime.now(UTC))


def ended(duration_s, labels):
    """The last event of a session without losses or speech."""
    return SessionEnded(duration_s, 0, {}, labels[0], dict.fromkeys(labels, 0.5))


def estimated(time_s, label, labels, latency_ms=None):
    """An estimate with uniform probabilities."""
    shares = np.full(len(labels), 1 / len(labels), np.float32)
    return Estimated(Estimate(time_s, label, shares, 0.5, np.ones(1)), latency_ms)
