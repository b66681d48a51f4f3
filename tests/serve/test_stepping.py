"""The worker: what goes wrong in it ends the streams that it happened to, and no others."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import asyncio
import time
import weakref

import numpy as np
import pytest

from streamer.recognition.recognizer import Recognizer
from streamer.serve import stepping
from streamer.serve.config import ServerConfig
from streamer.serve.hearing import ArrivalClock, Hearing
from streamer.serve.metrics import Metrics
from streamer.serve.protocol import Ending, Start
from streamer.serve.stepping import DONE, MOST_A_TICK, Member, Speakers, Stepper
from tests.helpers.places import CLIPS
from tests.serve.serving import END, InThread, assert_same, get, pcm, start, talk


class Fragile(Recognizer):
    """Breaks where it is loud."""

    def accept_many(self, streams, blocks):
        if any(np.abs(block).max(initial=0.0) > 0.99 for block in blocks):
            raise MemoryError("no memory is left")
        return super().accept_many(streams, blocks)


def test_a_model_that_fails_ends_its_streams_and_no_others(replayed, capfd):
    samples, rate = pcm(CLIPS[1])
    quiet = [samples[at : at + 1_600].tobytes() for at in range(0, len(samples), 1_600)]
    paced = [part for one in quiet for part in (one, 0.05)]
    loud = [start(prior="everyday"), *[np.full(1_600, 32_767, "<i2").tobytes()] * 9]

    async def two(server):
        return await asyncio.gather(
            talk(server.stream, [start(rate), *paced, END]),
            talk(server.stream, loud),
        )

    with InThread(ServerConfig(port=0), Fragile.load()) as server:
        fine, failed = asyncio.run(two(server))
        assert (failed.code, failed.error) == (1011, "the model failed; the stream is lost")
        assert fine.code == 1000
        assert_same(fine.estimates, replayed[CLIPS[1]][1:-1])
        assert get(f"{server.http}/healthz") == (200, "ok\n")
    assert '"error":"MemoryError: no memory is left"' in capfd.readouterr().err


@pytest.fixture
def outcomes():
    """A stepper, and a list of what it hands over."""
    found, complaints = [], []
    stepper = Stepper(found.extend, complaints.append, Metrics())
    yield stepper, found
    stepper.close()
    assert complaints == []
    assert not stepper.is_alive


def until(found, condition):
    deadline = time.monotonic() + 60
    while not condition(found):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_tick_gives_one_stream_more_than_its_share(outcomes, shipped):
    stepper, found = outcomes
    member = Member(Hearing(Start(16_000), shipped))
    stepper.join(member)
    stepper.feed(member, bytes(2 * 16_000))
    stepper.end(member, DONE)
    until(found, lambda many: any(one.ending for one in many))
    assert max(one.taken for one in found) <= MOST_A_TICK * 640 * 2
    assert sum(one.taken for one in found) == 2 * 16_000
    lines = [line for one in found for line in one.lines]
    assert len(lines) == 1 + 25 + 1
    assert found[-1].ending == DONE


def test_who_has_left_is_forgotten_with_all_that_waited(outcomes, shipped):
    stepper, found = outcomes
    gone, stays = (Member(Hearing(Start(16_000), shipped)) for _ in range(2))
    for member in (gone, stays):
        stepper.join(member)
        stepper.feed(member, bytes(32_000))
    stepper.leave(gone)
    stepper.end(stays, Ending(DONE.code, "enough"))
    until(found, lambda many: any(one.ending for one in many))
    assert sum(one.taken for one in found if one.member is gone) < 32_000
    assert [one.ending.reason for one in found if one.ending] == ["enough"]


def test_streams_ahead_of_real_time_share_what_time_the_others_leave(shipped, monkeypatch):
    monkeypatch.setattr(stepping, "_REST_S", 0.0)  # for a single one of them
    ticks = []
    stepper = Stepper(ticks.append, pytest.fail, Metrics())
    try:
        fast = [Member(Hearing(Start(16_000), shipped)) for _ in range(5)]
        speaks = Member(Hearing(Start(16_000), shipped))
        for member in (*fast, speaks):
            stepper.join(member)
        for member in fast:
            stepper.feed(member, bytes(2 * 16_000 * 60))
        until(ticks, lambda _: all(member.hearing.duration_s > 2.0 for member in fast))
        already = len(ticks)
        for _ in range(20):
            stepper.feed(speaks, bytes(2 * 640))
            time.sleep(0.04)
    finally:
        stepper.close()
    beside = [
        [one for one in tick if one.member is not speaks]
        for tick in ticks[already:]
        if any(one.member is speaks and one.taken for one in tick)
    ]
    assert len(beside) == 20
    assert all(len(others) <= 1 for others in beside)
    assert {one.member for tick in ticks[already:] for one in tick} == {*fast, speaks}


def test_streams_are_counted_while_they_speak(shipped):
    speakers = Speakers()
    many = [Member(Hearing(Start(16_000), shipped), began_s=90.0) for _ in range(3)]
    new = Member(Hearing(Start(16_000), shipped), began_s=100.4)
    numbers = []
    for tick in range(80):  # of 0.1 s: all three, then one, then none, and first a short one
        now_s = 100.0 + 0.1 * tick
        speakers.count(many if tick < 25 else many[:1] if tick < 50 else [], now_s)
        speakers.count([new] if tick < 13 else [], now_s)
        numbers.append(speakers.number)
    assert numbers[0] == 0
    assert set(numbers[15:25]) == {3}
    assert set(numbers[40:50]) == {1}
    assert set(numbers[70:]) == {0}


def test_whoever_spoke_an_hour_ago_does_not_count(shipped):
    speakers = Speakers()
    gone = Member(Hearing(Start(16_000), shipped), began_s=90.0)
    is_kept = weakref.ref(gone)
    for tick in range(15):
        speakers.count([gone], 100.0 + 0.1 * tick)
    assert speakers.number == 1
    del gone
    speakers.count((), 3_700.0)
    assert speakers.number == 0
    assert is_kept() is None


def test_the_clock_knows_when_each_sample_came():
    clock = ArrivalClock(1_000)
    assert clock.latency_ms(0.0) is None
    for position, moment_s in ((100, 5.0), (200, 5.1), (201, 5.1004), (300, 7.0)):
        clock.arrived(position, moment_s)
    clock.now_s = 8.0
    assert clock.latency_ms(0.05) == pytest.approx(3_000)
    assert clock.latency_ms(0.1) == pytest.approx(3_000)
    assert clock.latency_ms(0.101) == pytest.approx(2_900)
    assert clock.latency_ms(0.201) == pytest.approx(2_900)  # a moment later is the same moment
    assert clock.latency_ms(0.3) == pytest.approx(1_000)
    assert clock.latency_ms(0.31) == pytest.approx(1_000)  # the flush's last, a little beyond


def test_the_clock_does_not_grow_with_tiny_pieces():
    clock = ArrivalClock(48_000)
    for position in range(1, 100_000):
        clock.arrived(position, position / 48_000)
    assert len(clock._marks) < 5_000


def test_what_comes_after_the_end_is_neither_heard_nor_kept(outcomes, shipped):
    """Bad audio ends a stream; its client has sent more by then, and goes on sending."""
    stepper, found = outcomes
    member = Member(Hearing(Start(16_000, sample_format="f32le"), shipped))
    stepper.join(member)
    bad = np.full(16_000, np.nan, "<f4").tobytes()
    stepper.feed(member, bad)
    until(found, lambda many: any(one.ending for one in many))
    assert sum(one.taken for one in found) == len(bad)
    assert not stepper.feed(member, bad)
    stepper.end(member, DONE)
    time.sleep(0.1)
    assert member.waiting == 0
    assert [one.ending.code for one in found if one.ending] == [1007]


def test_bad_audio_ends_a_stream_whose_resampler_has_let_much_go_at_once(outcomes, shipped):
    stepper, found = outcomes
    member = Member(Hearing(Start(1_000, sample_format="f32le"), shipped))
    stepper.join(member)
    samples = np.zeros(2_000, "<f4")
    samples[1_000] = np.nan
    stepper.feed(member, samples.tobytes())
    stepper.end(member, DONE)
    until(found, lambda many: any(one.ending for one in many))
    assert [one.ending.code for one in found if one.ending] == [1007]
    assert member.hearing.duration_s == 1.0


def test_a_large_message_is_not_copied_at_each_tick(shipped):
    member = Member(Hearing(Start(16_000), shipped))
    data = bytes(range(256)) * 4_096
    member.add(data, 0.0)
    first = member.take(128)
    assert [type(piece) for _, piece in first] == [bytes]
    [(_, rest)] = member._came
    assert isinstance(rest, memoryview)
    assert rest.obj is data
    assert b"".join(piece for _, piece in first + member.take(len(data))) == data
    assert member.waiting == 0
