"""Streams of one recognizer that hear blocks in turns, and should be as if alone."""

from __future__ import annotations

import numpy as np

from tests.helpers.estimates import probabilities, run

#: Of probabilities, between a batch and a stream alone.
TOLERANCE = 1e-6


def assert_as_if_alone(recognizer, samples, estimates):
    """Labels and times are those of a stream that hears the samples with no other beside it."""
    alone = run(recognizer, samples)
    assert len(estimates) == len(alone)
    if alone:
        assert np.abs(probabilities(estimates) - probabilities(alone)).max() <= TOLERANCE
    assert [e.label for e in estimates] == [e.label for e in alone]
    assert [e.time for e in estimates] == [e.time for e in alone]


class Client:
    """A stream, what it has heard and what it was told."""

    def __init__(self, recognizer, samples):
        self.stream = recognizer.stream()
        self.samples = samples
        self.heard = 0
        self.estimates = []

    def next_block(self, size):
        block = self.samples[self.heard : self.heard + size]
        self.heard += len(block)
        return block
