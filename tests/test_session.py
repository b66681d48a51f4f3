"""Sessions: paced without drift, summed up truly, and closed whatever happens."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from streamer.errors import RunFailure, SerLiveError
from streamer.events import Estimated, SessionEnded, SessionStarted
from streamer.session import Interrupted, Interrupts, Pace, run_session


class Array:
    """A source of samples in memory, which may fail or be interrupted at a block."""

    name = "array"
    sample_rate = 16_000

    def __init__(self, samples, fail_at=None, error=None):
        self.samples, self.fail_at, self.error = samples, fail_at, error

    def blocks(self, block_ms):
        step = 16 * block_ms
        for index, first in enumerate(range(0, len(self.samples), step)):
            if index == self.fail_at:
                raise self.error
            yield self.samples[first : first + step]


class Collect:
    def __init__(self):
        self.events = []

    def take(self, event):
        self.events.append(event)


class Full(Collect):
    def take(self, event):
        super().take(event)
        if len(self.events) == 3:
            raise RunFailure("cannot write the output: No space left on device")


def run(shipped, source, sink=None, speed=None):
    sink = sink or Collect()
    try:
        run_session(source, shipped, [sink], speed=speed, block_ms=100, interrupts=Interrupts())
    except BaseException as error:
        return sink.events, error
    return sink.events, None


def test_a_session_is_start_estimates_end(shipped, speech):
    events, error = run(shipped, Array(speech))
    assert error is None
    start, *estimates, end = events
    assert isinstance(start, SessionStarted)
    assert all(isinstance(event, Estimated) for event in estimates)
    assert isinstance(end, SessionEnded)
    assert end.estimates == len(estimates) == len(speech) // 640
    assert end.duration_s == len(speech) / 16_000
    assert sum(end.summary.values()) == pytest.approx(1.0)
    counted = [event.estimate.label for event in estimates]
    assert end.summary == {label: counted.count(label) / len(counted) for label in end.summary}
    assert end.overall == max(end.probabilities, key=end.probabilities.get)
    assert all(event.latency_ms is None for event in estimates)


def test_silence_has_no_emotion(shipped):
    events, _ = run(shipped, Array(np.zeros(32_000, np.float32)))
    assert events[-1].overall == "silence"
    assert events[-1].summary["silence"] == 1.0


def test_damaged_audio_ends_the_session_with_what_was_heard(shipped, speech):
    damage = SerLiveError("damaged")
    events, error = run(shipped, Array(speech, fail_at=10, error=damage))
    assert error is damage
    assert isinstance(events[-1], SessionEnded)
    assert events[-1].duration_s == 1.0
    assert events[-1].estimates == len(events) - 2 > 0


def test_damage_before_the_first_block_starts_nothing(shipped, speech):
    events, error = run(shipped, Array(speech, fail_at=0, error=SerLiveError("damaged")))
    assert events == []
    assert str(error) == "damaged"


def test_an_interrupt_ends_the_session_too(shipped, speech):
    events, error = run(shipped, Array(speech, fail_at=20, error=Interrupted(signal.SIGINT)))
    assert isinstance(error, Interrupted)
    assert isinstance(events[-1], SessionEnded)


def test_a_sink_that_fails_is_reported(shipped, speech):
    _, error = run(shipped, Array(speech), Full())
    assert isinstance(error, RunFailure)


def test_signals_wait_for_the_write_to_finish():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    written = []
    try:
        interrupts = Interrupts()
        interrupts.install()
        with pytest.raises(Interrupted) as caught, interrupts.shielded():
            os.kill(os.getpid(), signal.SIGTERM)
            written.append("whole line")
        assert caught.value.number == signal.SIGTERM
        assert written
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Clock:
    """A wall clock that only moves when somebody sleeps or works."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds + 0.002  # sleeping is never exact


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_pace_keeps_wall_clock_time_without_drift(monkeypatch, speed):
    clock = Clock(monkeypatch)
    pace = Pace(speed)
    for block in range(1, 10_001):
        pace.wait_until(block * 0.01, 0.01)
        clock.now += 0.001  # work
    assert clock.now - 100.0 == pytest.approx(100.0 / speed, abs=0.02)


def test_pace_catches_up_after_a_delay(monkeypatch):
    clock = Clock(monkeypatch)
    pace = Pace(1.0)
    pace.wait_until(0.01, 0.01)
    clock.now += 5.0
    for block in range(2, 1_000):
        pace.wait_until(block * 0.01, 0.01)
    assert clock.now - 100.0 == pytest.approx(9.99, abs=0.02)


def test_latency_is_the_time_since_the_moment_was_heard(monkeypatch):
    clock = Clock(monkeypatch)
    pace = Pace(1.0)
    assert pace.latency_ms(0.0) is None
    pace.wait_until(0.5, 0.5)
    clock.now = 100.6  # the first block was waited for until 100.5
    assert pace.latency_ms(0.04) == pytest.approx(560.0)
    assert Pace(None).latency_ms(0.04) is None
