"""Losses found by counting against the clock; lateness and drift are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.accounting import LossWatch, Mark


def marks(rate, seconds, lost_at=None, lost_s=0.0, late=None, drift=0.0):
    """Callbacks of 10 ms; audio may be lost at a moment, callbacks may come late in a span."""
    position = 0
    for step in range(1, seconds * 100):
        now_s = step * 0.01
        if lost_at is not None and lost_at <= now_s < lost_at + lost_s:
            continue
        position += round(rate * 0.01)
        arrived_s = now_s * (1 + drift)
        if late is not None and late[0] <= now_s < late[1]:
            arrived_s = late[1]
        yield Mark(position, arrived_s, arrived_s)


@given(lost_s=st.integers(8, 300).map(lambda n: n / 100), lost_at=st.integers(3, 9))
def test_a_loss_before_the_callback_shows_in_the_count(lost_s, lost_at):
    watch = LossWatch(48_000)
    found = sum(map(watch.observe, marks(48_000, 16, lost_at, lost_s)))
    assert found == pytest.approx(lost_s * 48_000, abs=480)


@pytest.mark.parametrize("drift", [-300e-6, 0.0, 300e-6])
def test_late_callbacks_and_a_clock_that_is_off_are_no_loss(drift):
    watch = LossWatch(48_000)
    assert not any(map(watch.observe, marks(48_000, 600, late=(5.0, 8.0), drift=drift)))
