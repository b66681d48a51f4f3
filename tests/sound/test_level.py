"""Notices about the level: in time, once, and only with reason."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.sound.level import LevelWatch, clipped_samples

RATE = 16_000


def listen(watch, samples, block=160):
    """Return (second, notice) pairs for mono samples."""
    notices = []
    for first in range(0, len(samples), block):
        frames = samples[first : first + block, None].astype(np.float32)
        notices += [((first + block) / RATE, line) for line in watch.accept(frames)]
    return notices


def noise(seconds, level):
    return np.random.default_rng(0).uniform(-level, level, round(seconds * RATE))


def test_digital_silence_is_reported_once_within_two_seconds():
    watch = LevelWatch(RATE)
    ((second, line),) = listen(watch, np.zeros(10 * RATE))
    assert second == pytest.approx(1.5, abs=0.02)
    assert line.startswith("digital silence")
    assert listen(watch, noise(1, 0.1)) == []
    assert len(listen(watch, np.zeros(2 * RATE))) == 1  # and again after sound


def test_a_pause_is_not_digital_silence():
    watch = LevelWatch(RATE)
    for _ in range(5):
        assert listen(watch, np.r_[noise(0.1, 0.1), np.zeros(RATE)]) == []


def test_clipping_is_reported_and_not_repeated_at_once():
    loud = np.clip(noise(25, 1.5), -1, 1)
    notices = listen(LevelWatch(RATE), loud)
    assert [round(second) for second, _ in notices] == [1, 11, 21]
    assert all(line.startswith("clipping") for _, line in notices)


def test_clipping_of_one_channel_is_seen():
    frames = np.zeros((2 * RATE, 2), np.float32)
    frames[::100, 1] = frames[1::100, 1] = frames[2::100, 1] = -1.0
    assert [line[:8] for line in LevelWatch(RATE).accept(frames)] == ["clipping"]


@pytest.mark.parametrize(
    ("runs", "clipped"),
    [
        ([(10, 1)], 0),
        ([(10, 2), (20, 2)], 0),
        ([(10, 3)], 3),
        ([(0, 3), (95, 5)], 8),
        ([(0, 100)], 100),
    ],
)
def test_runs_at_full_scale_are_clipped_samples(runs, clipped):
    """One or two samples at full scale are not clipping."""
    frames = np.full((100, 2), 0.5, np.float32)
    for first, count in runs:
        frames[first : first + count, 1] = -1.0
    assert clipped_samples(frames) == clipped


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_blocks_shorter_than_a_run_are_accepted(count):
    assert clipped_samples(np.ones((count, 1), np.float32)) == (3 if count == 3 else 0)


def test_a_peak_at_full_scale_is_not_clipping():
    samples = noise(5, 0.5)
    samples[::8_000] = 1.0
    assert listen(LevelWatch(RATE), samples) == []


def test_too_low_a_level_is_reported_once_a_minute():
    notices = listen(LevelWatch(RATE), noise(90, 0.0005))
    assert [round(second) for second, _ in notices] == [10, 70]
    assert all("-66 dBFS" in line for _, line in notices)


@pytest.mark.parametrize("channel", [0, 1])
def test_an_offset_on_any_channel_is_reported_once_a_minute(channel):
    frames = np.random.default_rng(0).normal(0, 0.01, (70 * RATE, 2)).astype(np.float32)
    frames[:, channel] += 0.02
    watch, notices = LevelWatch(RATE), []
    for first in range(0, len(frames), 1_600):
        lines = watch.accept(frames[first : first + 1_600])
        notices += [((first + 1_600) / RATE, line) for line in lines]
    assert [round(second) for second, _ in notices] == [5, 65]
    assert all("offset of 2.0% of full scale" in line for _, line in notices)


def test_speech_gives_no_notice(speech):
    assert listen(LevelWatch(RATE), np.tile(speech, 3)) == []
