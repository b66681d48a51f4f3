"""The ring buffer: every frame is read once, in order, or counted as lost."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.sound.capture.ring import Ring

STEPS = st.lists(st.tuples(st.sampled_from(["write", "read"]), st.integers(0, 40)), max_size=60)


def ramp(first, count, channels=1):
    """Make frames that hold their position."""
    return np.repeat(np.arange(first, first + count, dtype=np.float32)[:, None], channels, axis=1)


@given(capacity=st.integers(1, 25), channels=st.integers(1, 3), steps=STEPS)
def test_frames_not_read_in_time_are_lost_and_counted(capacity, channels, steps):
    ring = Ring(capacity, channels)
    written = expected = lost = given = 0
    for kind, count in steps:
        if kind == "write":
            ring.write(ramp(written, count, channels))
            written += count
            continue
        oldest = max(expected, written - capacity)
        reading = ring.read(count)
        assert reading.lost == oldest - expected
        assert reading.position == oldest
        np.testing.assert_array_equal(
            reading.frames, ramp(oldest, min(count, written - oldest), channels)
        )
        expected = oldest + len(reading.frames)
        lost, given = lost + reading.lost, given + len(reading.frames)
        assert given + lost + ring.waiting == ring.written == written


def test_frames_read_are_a_copy():
    ring = Ring(4)
    ring.write(ramp(0, 4))
    frames = ring.read(4).frames
    ring.write(ramp(4, 4))
    np.testing.assert_array_equal(frames, ramp(0, 4))


@pytest.mark.parametrize("shape", [(0, 1), (1, 0)])
def test_an_impossible_size_is_refused(shape):
    with pytest.raises(ValueError, match="must be >= 1"):
        Ring(*shape)


def test_it_never_grows():
    ring = Ring(100)
    buffer = ring._buffer
    for first in range(0, 10_000, 37):
        ring.write(ramp(first, 37))
    assert ring._buffer is buffer
    assert ring.waiting == ring.written


def test_frames_overwritten_during_a_read_are_lost(monkeypatch):
    ring = Ring(10)
    ring.write(ramp(0, 10))
    copy = np.concatenate

    def overtaken(parts):
        ring.write(ramp(10, 4))
        return copy(parts)

    monkeypatch.setattr(np, "concatenate", overtaken)
    reading = ring.read(10)
    assert (reading.position, reading.lost) == (4, 4)
    np.testing.assert_array_equal(reading.frames, ramp(4, 6))


def test_frames_that_a_write_is_about_to_replace_are_lost():
    """Reads between the two copies of a write that wraps around."""
    ring = Ring(10)
    ring.write(ramp(0, 8))
    seen = []

    class Interrupted(np.ndarray):
        slices = 0

        def __getitem__(self, key):
            Interrupted.slices += 1
            if Interrupted.slices == 3:  # the first copy is done, the second is not
                seen.append(ring.read(10))
            return super().__getitem__(key)

    ring.write(ramp(8, 5).view(Interrupted))
    ((position, frames, lost),) = seen
    assert (position, lost) == (3, 3)
    np.testing.assert_array_equal(frames, ramp(3, 5))
    np.testing.assert_array_equal(ring.read(10).frames, ramp(8, 5))


@pytest.mark.parametrize("pause_s", [0.0, 0.003])
def test_two_threads_lose_nothing_uncounted(pause_s):
    """A slow reader is overtaken in the middle of its copies; a torn copy would show."""
    ring, total = Ring(1_000, 2), 400_000
    finished = threading.Event()

    def produce():
        for first in range(0, total, 97):
            ring.write(ramp(first, min(97, total - first), 2))
        finished.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    producer = threading.Thread(target=produce)
    try:
        producer.start()
        heard = lost = 0
        while not (finished.is_set() and not ring.waiting):
            reading = ring.read(800)
            heard, lost = heard + len(reading.frames), lost + reading.lost
            np.testing.assert_array_equal(
                reading.frames, ramp(reading.position, len(reading.frames), 2)
            )
            assert reading.position + len(reading.frames) == heard + lost
            time.sleep(pause_s)
    finally:
        producer.join()
        sys.setswitchinterval(interval)
    assert heard + lost == ring.written == total
    if pause_s:
        assert lost > 0
