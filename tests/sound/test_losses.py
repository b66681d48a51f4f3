"""Losses found by comparing frames with the clock; lateness and drift are not losses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.sound.capture.losses import LossWatch, Mark


def marks(rate, seconds, lost_at=None, lost_s=0.0, late=None, drift=0.0):
    """Yield callbacks of 10 ms; audio may be lost at one moment, callbacks late for a while."""
    position = 0
    for step in range(1, seconds * 100):
        now_s = step * 0.01
        if lost_at is not None and lost_at <= now_s < lost_at + lost_s:
            continue
        position += round(rate * 0.01)
        arrived_s = now_s * (1 + drift)
        if late is not None and late[0] <= now_s < late[1]:
            arrived_s = late[1] * (1 + drift)
        yield Mark(position, arrived_s, arrived_s)


@given(lost_s=st.integers(8, 300).map(lambda n: n / 100), lost_at=st.integers(3, 9))
def test_a_loss_before_the_callback_shows_in_the_count(lost_s, lost_at):
    watch = LossWatch(48_000)
    found = sum(map(watch.observe, marks(48_000, 16, lost_at, lost_s)))
    assert found == pytest.approx(lost_s * 48_000, abs=480)


@pytest.mark.parametrize("drift", [-0.01, -300e-6, 0.0, 300e-6, 0.001, 0.01])
def test_late_callbacks_and_a_clock_that_is_off_are_no_loss(drift):
    watch = LossWatch(48_000)
    assert not any(map(watch.observe, marks(48_000, 600, late=(5.0, 8.0), drift=drift)))


@pytest.mark.parametrize("drift", [-0.01, 0.01])
@pytest.mark.parametrize("lost_at", [1, 20])
def test_a_loss_is_found_even_if_the_clock_is_off(lost_at, drift):
    """The earlier the loss, the less is known of the clock."""
    watch = LossWatch(48_000)
    found = sum(map(watch.observe, marks(48_000, 60, lost_at, 0.3, drift=drift)))
    assert found / 48_000 == pytest.approx(0.3, abs=0.04)


def oscillating(rate, seconds, jitter_s, period_s):
    """Yield callbacks that all come late in every other period; nothing is lost."""
    for step in range(1, seconds * 100):
        now_s = step * 0.01
        late_s = jitter_s if int(now_s / period_s) % 2 else 0.0
        yield Mark(round(rate * now_s), now_s + late_s, now_s + late_s)


@pytest.mark.parametrize("jitter_s", [0.06, 0.08, 0.5])
@pytest.mark.parametrize("period_s", [0.7, 1.0, 2.0])
def test_oscillating_delivery_is_not_a_loss(jitter_s, period_s):
    watch = LossWatch(48_000)
    assert not any(map(watch.observe, oscillating(48_000, 60, jitter_s, period_s)))


def test_slowly_oscillating_delivery_is_mistaken_at_most_once():
    watch = LossWatch(48_000)
    found = sum(map(watch.observe, oscillating(48_000, 600, 0.08, 6.0)))
    assert found <= 0.08 * 48_000 + 1


@pytest.mark.parametrize("dated", [True, False])
def test_later_delivery_with_unchanged_dates_is_not_a_loss(dated):
    """A sound server switched to larger buffers; without dates that looks like a loss."""
    watch = LossWatch(48_000)
    marks = [
        Mark(480 * step, 0.01 * step + (0.0 if dated or step < 500 else 0.2), arrived_s)
        for step in range(1, 2000)
        for arrived_s in [0.01 * step + (0.0 if step < 500 else 0.2)]
    ]
    found = sum(map(watch.observe, marks))
    assert found == (0 if dated else pytest.approx(0.2 * 48_000, abs=480))


@given(lost_s=st.integers(8, 300).map(lambda n: n / 100), rest_s=st.integers(12, 29))
def test_a_loss_shortly_before_the_end_is_settled_then(lost_s, rest_s):
    watch = LossWatch(48_000)
    ends_s = 5.0 + lost_s + rest_s / 10
    found = sum(
        watch.observe(mark) for mark in marks(48_000, 60, 5.0, lost_s) if mark.arrived_s < ends_s
    )
    assert found + watch.settle() == pytest.approx(lost_s * 48_000, abs=480)


def test_without_a_loss_there_is_nothing_to_settle():
    watch = LossWatch(48_000)
    for mark in oscillating(48_000, 30, 0.5, 0.3):
        assert watch.observe(mark) == watch.settle() == 0
