"""Streams of one recognizer that take blocks in turns; each should behave as if alone."""

from __future__ import annotations

import numpy as np

from tests.helpers.estimates import probabilities, run

#: Tolerance of probabilities, between a batch and a stream alone.
TOLERANCE = 1e-6


def assert_as_if_alone(recognizer, samples, estimates):
    """Check that the estimates equal those of a single stream with the same samples."""
    alone = run(recognizer, samples)
    assert len(estimates) == len(alone)
    if alone:
        assert np.abs(probabilities(estimates) - probabilities(alone)).max() <= TOLERANCE
    assert [e.label for e in estimates] == [e.label for e in alone]
    assert [e.time for e in estimates] == [e.time for e in alone]


class Client:
    """A stream with its samples and estimates so far."""

    def __init__(self, recognizer, samples):
        self.stream = recognizer.stream()
        self.samples = samples
        self.heard = 0
        self.estimates = []

    def next_block(self, size):
        block = self.samples[self.heard : self.heard + size]
        self.heard += len(block)
        return block
