"""Sessions: paced without drift, summed up truly, and closed whatever happens."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import pytest

from streamer.errors import ReaderGone, RunFailure, SerLiveError
from streamer.formats.lines import JsonLines, Plain
from streamer.session.clock import Pace
from streamer.session.events import Estimated, Gap, SessionEnded, SessionStarted
from streamer.session.interrupts import Interrupted, Interrupts
from streamer.session.run import run_session
from streamer.sound.source import Loss
from tests.helpers.sessions import Array, Collect, Lossy


class Full(Collect):
    def take(self, event):
        super().take(event)
        if len(self.events) == 3:
            raise RunFailure("cannot write the output: No space left on device")


def run(shipped, source, sink=None, speed=None):
    sink = sink or Collect()
    try:
        run_session(
            source, shipped, [sink], clock=Pace(speed), block_ms=100, interrupts=Interrupts()
        )
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


def test_time_stays_true_after_a_loss(shipped, speech):
    events, error = run(shipped, Lossy(speech))
    assert error is None
    ((index, gap),) = [(i, e) for i, e in enumerate(events) if isinstance(e, Gap)]
    assert gap == Gap(1.0, 32_000, "held up")
    assert events[index - 1].estimate.time < 1.0
    # 1 s is 25 timesteps; the silence and what follows lie 1.5 s later.
    times = [event.estimate.time for event in events if isinstance(event, Estimated)]
    count = (len(speech) + 8_000) // 640
    expected = [0.04 * n + (1.5 if n > 25 else 0.0) for n in range(1, count + 1)]
    assert times == pytest.approx(expected)
    assert events[-1].duration_s == pytest.approx(len(speech) / 16_000 + 2.0)
    # Half a second of silence is 12.5 timesteps.
    lost = [event.is_lost for event in events if isinstance(event, Estimated)]
    assert lost == [25 < n <= 38 for n in range(1, count + 1)]


def test_only_audio_that_was_heard_has_a_latency(shipped, speech):
    events, _ = run(shipped, Lossy(speech[:32_000]), speed=20.0)
    estimates = [event for event in events if isinstance(event, Estimated)]
    assert any(event.is_lost for event in estimates)
    assert all((event.latency_ms is None) == event.is_lost for event in estimates)


def test_a_loss_is_heard_as_the_silence_in_its_place(shipped, speech):
    with_silence = np.concatenate([speech[:16_000], np.zeros(8_000, np.float32), speech[16_000:]])
    expected, _ = run(shipped, Array(with_silence))
    events, _ = run(shipped, Lossy(speech))

    def heard(events):
        return [
            (e.estimate.label, *e.estimate.probabilities)
            for e in events
            if isinstance(e, Estimated)
        ]

    assert heard(events) == heard(expected)


def test_a_gap_is_a_line_of_its_own():
    out = io.StringIO()
    gap = Gap(1.25, 480, "the program was held up")
    JsonLines(out, names_file=False).take(gap)
    Plain(out).take(gap)
    first, second = out.getvalue().splitlines()
    assert json.loads(first) == {
        "type": "gap",
        "time": 1.25,
        "lost_samples": 480,
        "reason": "the program was held up",
    }
    assert second == "# gap at 1.25 s: 480 samples lost: the program was held up"


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


class FailsAtTheEnd(Collect):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def take(self, event):
        super().take(event)
        if isinstance(event, SessionEnded):
            raise self.error


@pytest.mark.parametrize(
    ("number", "failure", "is_reported"),
    [
        (0, RunFailure("No space left"), True),
        (signal.SIGINT, RunFailure("No space left"), True),
        (signal.SIGINT, ReaderGone("gone"), False),  # Ctrl-C ends the reader too
        (signal.SIGHUP, RunFailure("Input/output error"), False),  # the terminal is closed
    ],
)
def test_a_last_line_that_cannot_be_written_is_reported_after_a_signal(
    shipped, speech, number, failure, is_reported
):
    interrupted = Interrupted(number)
    source = Array(speech, fail_at=20, error=interrupted)
    _, error = run(shipped, source, FailsAtTheEnd(failure))
    assert error is (failure if is_reported else interrupted)


def test_a_loss_that_cannot_be_recorded_is_reported_after_a_signal(shipped, speech):
    class Unrecorded(Array):
        def unheard(self, _position):
            raise RunFailure("No space left")

    source = Unrecorded(speech, fail_at=20, error=Interrupted(signal.SIGINT))
    events, error = run(shipped, source)
    assert isinstance(error, RunFailure)
    assert isinstance(events[-1], SessionEnded)


@pytest.fixture
def interrupts():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    installed = Interrupts()
    installed.install()
    yield installed
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_is_raised_where_somebody_looks(interrupts):
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        interrupts.check()
    assert (caught.value.number, caught.value.is_impatient) == (signal.SIGTERM, False)
    interrupts.check()  # it is raised once


def test_a_signal_breaks_off_a_wait(interrupts):
    sender = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    sender.start()
    with pytest.raises(Interrupted), interrupts.waiting():
        time.sleep(60.0)
        pytest.fail("the wait went on")
    with interrupts.waiting():  # as after it, when the last lines are written
        time.sleep(0.001)


def test_a_wait_does_not_begin_after_a_signal(interrupts):
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Interrupted), interrupts.waiting():
        pytest.fail("it waits")


def test_a_loop_ends_between_two_items(interrupts):
    done = []
    with pytest.raises(Interrupted):
        for item in interrupts.each(range(5)):
            if item == 2:
                os.kill(os.getpid(), signal.SIGINT)
            done.append(item)
    assert done == [0, 1, 2]


def test_what_was_made_is_closed_whatever_comes(interrupts):
    closed = []

    @contextmanager
    def made():
        yield
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        closed.append(True)

    with pytest.raises(Interrupted), interrupts.firmly_closed(made()):
        pass
    assert closed


def test_a_wait_within_a_wait_ends_neither(interrupts):
    with pytest.raises(Interrupted), interrupts.waiting():
        with interrupts.waiting():
            pass
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the outer wait went on")


class Signalled(Collect):
    """Sends the process a signal while it takes the event at the given place."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def take(self, event):
        super().take(event)
        if len(self.events) - 1 == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("at", [0, 1, 10, 21, 24, 25, 26])
def test_a_signal_at_any_event_leaves_the_last_one_last(shipped, speech, interrupts, at):
    sink = Signalled(at)
    with pytest.raises(Interrupted):
        run_session(
            Array(speech[:16_000]),
            shipped,
            [sink],
            clock=Pace(None),
            block_ms=100,
            interrupts=interrupts,
        )
    assert isinstance(sink.events[-1], SessionEnded)
    assert [type(event) for event in sink.events].count(SessionEnded) == 1
    end = sink.events[-1]
    assert end.estimates == len(sink.events) - 2 == round(end.duration_s * 16_000) // 640


@pytest.mark.usefixtures("interrupts")
def test_a_second_signal_does_not_wait():
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("nobody looks here")
    assert caught.value.is_impatient


def test_what_must_be_done_is_done_whatever_comes(interrupts):
    done = []
    with pytest.raises(Interrupted) as caught, interrupts.firm():
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
        done.append(True)
    assert done
    assert caught.value.is_impatient


def test_what_must_be_done_leaves_the_first_signal_to_who_looks(interrupts):
    with interrupts.firm():
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Interrupted):
        interrupts.check()


def test_signals_that_are_ignored_stay_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    others = signal.getsignal(signal.SIGINT)
    try:
        Interrupts().install()
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, others)


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


def test_the_first_block_of_a_recording_is_still_to_be_heard(monkeypatch):
    clock = Clock(monkeypatch)
    pace = Pace(1.0)
    pace.wait_until(1.0, 1.0)
    assert clock.now == pytest.approx(101.0, abs=0.003)
    clock.now = 101.5
    assert pace.latency_ms(1.0) == pytest.approx(500.0)


def test_latency_is_the_time_since_the_moment_was_heard(monkeypatch):
    clock = Clock(monkeypatch)
    pace = Pace(1.0)
    assert pace.latency_ms(0.0) is None
    pace.wait_until(0.5, 0.5)
    clock.now = 100.6  # the first block was waited for until 100.5
    assert pace.latency_ms(0.04) == pytest.approx(560.0)
    assert Pace(None).latency_ms(0.04) is None


OWED = Loss(32_000, 8_000, "the device was gone")


@pytest.mark.parametrize("error", [Interrupted(2), RunFailure("gone"), None])
def test_what_is_missing_at_the_end_counts_however_it_came(shipped, speech, error):
    source = Array(speech[:32_000], fail_at=10 if error else None, error=error, owed=OWED)
    events, raised = run(shipped, source)
    assert raised is error
    heard = 16_000 if error else 32_000
    assert source.asked_at == heard
    (gap,) = [event for event in events if isinstance(event, Gap)]
    assert gap == Gap(heard / 16_000, 32_000, "the device was gone")
    assert events[-1].duration_s == heard / 16_000 + 2.0
    estimates = [event for event in events if isinstance(event, Estimated)]
    assert len(estimates) == (heard + 8_000) // 640
    assert estimates[-1].is_lost


@pytest.mark.parametrize("at", [0, 5, 22, 23, 24])
def test_a_signal_in_the_middle_of_a_loss_leaves_it_whole(shipped, speech, interrupts, at):
    """A gap line and the duration agree, wherever the signal comes."""
    sink = Signalled(at)
    with pytest.raises(Interrupted):
        run_session(
            Lossy(speech),
            shipped,
            [sink],
            clock=Pace(None),
            block_ms=100,
            interrupts=interrupts,
        )
    lost = sum(event.lost_samples for event in sink.events if isinstance(event, Gap))
    end = sink.events[-1]
    assert isinstance(end, SessionEnded)
    silence = 8_000 if lost else 0
    estimates = sum(isinstance(event, Estimated) for event in sink.events)
    heard = round(end.duration_s * 16_000) - lost
    assert estimates == (heard + silence) // 640


def test_a_sink_that_fails_costs_the_others_nothing(shipped, speech):
    full, good = Full(), Collect()
    with pytest.raises(RunFailure, match="No space"):
        run_session(
            Array(speech),
            shipped,
            [full, good],
            clock=Pace(None),
            block_ms=100,
            interrupts=Interrupts(),
        )
    assert len(full.events) == 3
    start, *estimates, end = good.events
    assert isinstance(start, SessionStarted)
    assert isinstance(end, SessionEnded)
    assert end.estimates == len(estimates) > 2


def test_the_start_is_dated_to_the_first_sample(shipped, speech):
    class Late(Pace):
        def latency_ms(self, time_s):
            return 1500.0 - 1000.0 * time_s

    sink = Collect()
    run_session(
        Array(speech[:16_000]),
        shipped,
        [sink],
        clock=Late(None),
        block_ms=100,
        interrupts=Interrupts(),
    )
    age_s = (datetime.now(UTC) - sink.events[0].started).total_seconds()
    assert 1.5 <= age_s < 60
