"""A live pipe: latency from the arrival of a sample, visible backlogs, and catching up."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

from streamer.errors import SerLiveError
from streamer.sound.pcm import RawPcm
from streamer.sound.pipe import Arrivals, LivePipe
from streamer.sound.source import MAX_LAG_S, Loss

RATE = 8_000
SECOND = np.arange(RATE, dtype="<i2").tobytes()


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb", buffering=0) as writer:
        yield reader, writer


def pcm(stream):
    return RawPcm(stream, RATE, 1, "s16le")


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_all_bytes_come_out_in_order_however_they_came(pipe):
    reader, writer = pipe
    data = np.random.default_rng(0).bytes(50_000)
    arrivals = Arrivals(reader, 10_000)

    def write():
        for first in range(0, len(data), 777):
            writer.write(data[first : first + 777])
        writer.close()

    threading.Thread(target=write, daemon=True).start()
    found = []
    while part := arrivals.read(1_234):
        found.append(part)
    assert b"".join(found) == data
    assert {len(part) for part in found[:-1]} == {1_234}


def test_no_more_waits_than_may(pipe):
    reader, writer = pipe
    arrivals = Arrivals(reader, 4_000)
    for _ in range(6):
        writer.write(bytes(1_000))
    wait_for(lambda: arrivals.waiting > 4_000)
    time.sleep(0.05)
    assert 4_000 < arrivals.waiting <= 6_000
    arrivals.drop(3_000)
    assert arrivals.taken == 3_000


def test_latency_counts_from_when_a_sample_came(pipe):
    """A burst is a backlog: it arrived before it was processed."""
    reader, writer = pipe
    source = LivePipe(reader, pcm, speed=1000.0, is_live=False)
    before = time.monotonic()
    writer.write(SECOND)
    blocks = source.blocks(500)
    next(blocks)
    time.sleep(0.2)
    writer.write(SECOND)
    next(blocks), next(blocks)
    now_ms = 1000 * (time.monotonic() - before)
    # The rest of its piece is half a second of audio, which was heard that much later.
    assert 700 <= source.latency_ms(0.5) <= now_ms + 550
    assert 200 <= source.latency_ms(1.0) <= now_ms + 50
    assert 500 <= source.latency_ms(1.5) <= now_ms + 350


def test_a_pause_of_the_pipe_adds_no_latency(pipe):
    reader, writer = pipe
    source = LivePipe(reader, pcm, speed=1.0, is_live=False)
    tenth = SECOND[: len(SECOND) // 10]
    writer.write(tenth)
    blocks = source.blocks(100)
    next(blocks)
    source.wait_until(0.1, 0.1)
    time.sleep(MAX_LAG_S + 0.5)
    writer.write(tenth)
    next(blocks)
    source.wait_until(0.2, 0.1)
    assert source.latency_ms(0.2) < 1000 * MAX_LAG_S
    writer.write(3 * tenth)
    for number in (3, 4, 5):
        next(blocks)
        began = time.monotonic()
        source.wait_until(0.1 * number, 0.1)
    # It plays in real time again: it waited for the last tenth.
    assert time.monotonic() - began >= 0.05


def test_a_backlog_is_reported_once_with_both_remedies(pipe):
    reader, writer = pipe
    said = []
    source = LivePipe(reader, pcm, speed=1000.0, is_live=False, say=said.append)
    writer.write(3 * SECOND)
    blocks = source.blocks(100)
    for number in range(1, 4):
        wait_for(lambda: source._arrivals.waiting > 2 * RATE)
        next(blocks)
        source.wait_until(0.1 * number, 0.1)
    (line,) = said
    assert "ahead of what is heard" in line
    assert "--live" in line
    assert "--speed max" in line


def test_a_live_pipe_loses_the_oldest_and_reports_how_much(pipe):
    reader, writer = pipe
    source = LivePipe(reader, pcm, speed=1.0, is_live=True)
    writer.write(SECOND * 3)
    wait_for(lambda: source._arrivals.waiting == len(SECOND) * 3)
    blocks = source.blocks(500)
    first = next(blocks)  # which tells PCM from a sound file
    assert len(first) == RATE // 2
    loss = next(blocks)
    assert isinstance(loss, Loss)
    assert loss.samples == loss.filled == 3 * RATE // 2
    assert "waited in the pipe" in loss.reason
    writer.close()
    heard = np.concatenate(list(blocks))
    np.testing.assert_array_equal(heard * 2**15, np.arange(RATE, dtype="<i2"))


def test_impossible_pipe_settings_are_refused_before_reading(pipe):
    reader, writer = pipe
    writer.write(SECOND)
    with pytest.raises(SerLiveError, match="--sample-format"):
        LivePipe(reader, lambda one: RawPcm(one, RATE, 1, "s7"), speed=1.0, is_live=False)
    assert os.read(reader.fileno(), 4) == SECOND[:4]
