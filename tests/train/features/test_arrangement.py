"""Streams arranged from a speaker's recordings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from streamer.signal import (
    SAMPLE_RATE,
    TIMESTEP_SAMPLES,
)
from tests.helpers.drawn import SPEAKERS, of_two_kinds, pool_of
from train.features.arrangement import Pool, Streams, arrange


def arranged(data, streams, count=150, ordinary=None, speeds=(1.0, 1.0)):
    generator = np.random.default_rng(3)
    return [arrange(pool_of(data), ordinary, streams, speeds, generator) for _ in range(count)]


def test_emotions_of_one_stretch_come_from_one_speaker_and_change(data):
    stretches = arranged(data, Streams(seconds=20.0, stays=0.3))
    kinds = []
    for stretch in stretches:
        assert len({data.speakers[one.recording] for one in stretch}) == 1
        kinds.append([one.recording % 4 for one in stretch])
    assert {data.speakers[stretch[0].recording] for stretch in stretches} == set(SPEAKERS)
    pairs = [pair for one in kinds for pair in pairwise(one)]
    # Three in ten keep the emotion; of the other draws, a quarter gives the same emotion again.
    assert np.mean([a == b for a, b in pairs]) == pytest.approx(0.3 + 0.7 / 4, abs=0.06)


def test_lead_and_pauses_stay_in_range_and_fill_it(data):
    streams = Streams(seconds=30.0, lead_s=6.0, pause_s=4.0)
    leads, pauses = [], []
    for stretch in arranged(data, streams):
        leads.append(stretch[0].at / SAMPLE_RATE)
        for one, following in pairwise(stretch):
            pauses.append((following.at - one.at - one.samples) / SAMPLE_RATE)
        assert stretch[-1].at + stretch[-1].samples <= streams.timesteps * TIMESTEP_SAMPLES
    assert 0 <= min(leads) < 0.05 and 5 < max(leads) <= 6
    assert 0 <= min(pauses) < 0.05 and 3.5 < max(pauses) <= 4
    assert np.mean(np.array(leads) <= 0.2) == pytest.approx(0.25, abs=0.12)


def test_the_given_share_of_streams_begins_with_known_speech(data):
    streams = Streams(seconds=8.0, known=0.6, known_s=4.0)
    generator = np.random.default_rng(3)
    pool = pool_of(of_two_kinds(data))
    stretches = [arrange(pool, None, streams, (1.0, 1.0), generator, 2) for _ in range(200)]
    known = [[one for one in stretch if one.is_known] for stretch in stretches]
    assert np.mean([bool(one) for one in known]) == pytest.approx(0.6, abs=0.1)
    for stretch, beginning in zip(stretches, known, strict=True):
        assert stretch[: len(beginning)] == beginning
        assert all(one.recording % 2 == 1 for one in beginning)  # they are neutral
        assert all(one.at + one.samples <= 4.0 * SAMPLE_RATE for one in beginning)
        rest = stretch[len(beginning) :]
        # The rest has the same voice, other recordings, and comes later.
        assert not {one.recording for one in rest} & {one.recording for one in beginning}
        assert len({data.speakers[one.recording] for one in stretch}) == 1
        assert all(b.at >= a.at + a.samples for a, b in pairwise(stretch))
    assert not any(one.is_known for stretch in arranged(data, streams) for one in stretch)


def test_a_speaker_with_one_neutral_sentence_gets_no_known_beginning():
    pool = Pool.of(np.array([20_000]), ["own"], ["A"], [2])
    streams = Streams(seconds=3.0, known=1.0, known_s=2.0)
    stretch = arrange(pool, None, streams, (1.0, 1.0), np.random.default_rng(0), 2)
    assert stretch and not any(one.is_known for one in stretch)


@pytest.mark.parametrize("seconds", [1.0, 2.0, 12.0])
def test_every_stretch_contains_speech_however_short(data, seconds):
    assert all(arranged(data, Streams(seconds=seconds, lead_s=6.0)))


def test_half_of_the_streams_are_uneven_within_the_limit(data):
    stretches = arranged(data, Streams(seconds=20.0, uneven_db=6.0))
    gains = [[one.gain_db for one in stretch] for stretch in stretches]
    assert np.mean([any(one) for one in gains]) == pytest.approx(0.5, abs=0.1)
    assert 5 < max(abs(gain) for one in gains for gain in one) <= 6


def test_a_corpus_weighs_the_fourth_root_of_its_size_by_default():
    pool = Pool.of(np.ones(17, np.int64), ["big"] * 16 + ["small"], ["a"] * 17, [0] * 17)
    assert pool.weights(Streams()) == pytest.approx({"big": 2 / 3, "small": 1 / 3})
    assert pool.weights(Streams(corpora={"small": 6.0})) == pytest.approx(
        {"big": 0.25, "small": 0.75}
    )
    generator = np.random.default_rng(0)
    only_big = Streams(corpora={"small": 0.0}, seconds=1.0)
    found = [arrange(pool, None, only_big, (1.0, 1.0), generator) for _ in range(50)]
    assert {one.recording for stretch in found for one in stretch} <= set(range(16))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"seconds": 0.5}, "seconds must be a number, from 1 to 600; is 0.5"),
        ({"lead_s": -1}, "lead_s must be"),
        ({"pause_s": "long"}, "pause_s must be"),
        ({"stays": 1.1}, "stays must be"),
        ({"uneven_db": -1}, "uneven_db must be"),
        ({"ordinary": 2}, "ordinary must be"),
        ({"corpora": {"cremad": -1}}, "weight of cremad must be"),
    ],
)
def test_impossible_streams_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        Streams(**setting)
