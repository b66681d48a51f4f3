"""Streams of changing emotion: who is joined, and how late a change is shown."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from streamer.recognition.decision import SILENCE, UNCERTAIN, WARMING_UP
from tests.helpers.generated import utterances
from train.corpora.own_recordings import UNKNOWN
from train.measuring.hearing import StreamResult
from train.measuring.streams import HeardStream, follow, join, plan_streams


def test_a_stream_is_of_one_speaker_whose_emotion_always_changes():
    streams = plan_streams(utterances(["A", "B"]))
    used = [utterance for stream in streams for utterance in stream]
    assert len(used) == len(set(used)) == 2 * 32
    for stream in streams:
        assert len({one.speaker for one in stream}) == 1
        assert all(a.label != b.label for a, b in pairwise(stream))


def test_another_speaker_changes_no_stream():
    alone = plan_streams(utterances(["B"]))
    assert plan_streams(utterances(["A", "B"]))[-len(alone) :] == alone


def test_voices_of_unknown_speakers_are_not_joined():
    assert plan_streams(utterances([UNKNOWN])) == []


def test_nothing_is_joined_where_nothing_changes():
    assert plan_streams([one for one in utterances(["A"]) if one.label == "sad"]) == []


def test_joined_recordings_start_at_the_returned_indices(speech):
    recordings = [speech[:5_000], speech[7_000:8_000], speech[20_000:26_000]]
    samples, starts = join(recordings)
    assert starts == [0, 5_000 + 4_800, 5_000 + 4_800 + 1_000 + 4_800]
    for start, recording in zip(starts, recordings, strict=True):
        np.testing.assert_array_equal(samples[start : start + len(recording)], recording)
        assert not samples[max(0, start - 4_800) : start].any()
    assert len(samples) == starts[-1] + 6_000


def heard_stream(labels, speech, starts, emotions):
    heard = StreamResult(
        len(labels) * 640, np.zeros((len(labels), 4)), np.array(speech), tuple(labels)
    )
    return HeardStream(tuple(emotions), tuple(starts), heard)


def test_delays_and_changes_are_counted_from_the_first_speech(shipped):
    shown = ["angry"] * 10 + [SILENCE] * 5 + ["angry"] * 4 + ["happy"] * 3 + ["sad"] * 8
    gate = [0.9] * 10 + [0.1] * 5 + [0.9] * 15
    stream = heard_stream(shown, gate, [0, 12 * 640], ["angry", "sad"])
    found = follow([stream], shipped.metadata)
    # Speech from timestep 15 on, shown as sad from 22 on: 8 timesteps, and the look-ahead.
    assert found.delays_s == pytest.approx((8 * 0.04 + 0.175,))
    assert found.lengths_s == pytest.approx((15 * 0.04,))
    assert (found.label_changes, found.false_changes) == (2, 1)
    assert found.minutes == pytest.approx(30 * 0.04 / 60)


def test_what_is_never_shown_is_never_detected(shipped):
    shown = [WARMING_UP] * 3 + ["angry"] * 12 + [UNCERTAIN] * 5
    stream = heard_stream(shown, [0.9] * 20, [0, 10 * 640], ["angry", "sad"])
    found = follow([stream], shipped.metadata)
    assert found.never_detected == 100.0
    assert np.isnan(found.median_delay_s)
    assert found.mean_wait_s == pytest.approx(10 * 0.04)
    assert (found.label_changes, found.false_changes) == (1, 0)
