"""The material of judging epochs: utterances within streams, and their votes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.baselines import build
from streamer.signal import SAMPLE_RATE, SPEECH_THRESHOLD, TIMESTEP_SAMPLES
from streamer.sound.files.recording import read_recording
from tests.helpers.generated import EMOTIONS, NORMALISER, TINY
from tests.helpers.networks import enlivened
from train.corpora.known import read_corpus
from train.corpora.own_recordings import UNKNOWN
from train.features.augment import KINDS, Augmentation
from train.features.sound import make_surroundings
from train.fitting import validation
from train.fitting.scoring import verdicts, vote_weights, votes_of
from train.fitting.targets import one_hot
from train.fitting.validation import alone, in_streams, plan
from train.measuring.sessions import PAUSES_S
from train.place import CPU

pytestmark = pytest.mark.usefixtures("few_surroundings")


@pytest.fixture
def utterances(tiny_corpus):
    """Utterances of two speakers."""
    return read_corpus("cremad", tiny_corpus, EMOTIONS)[:8]


@pytest.fixture
def labels(utterances):
    return one_hot(utterances, EMOTIONS).argmax(axis=1)


@pytest.fixture
def around():
    return make_surroundings([], [], 0, CPU)


def test_sessions_hold_each_utterance_once_and_pauses_take_turns(utterances):
    many = [
        replace(one, speaker=f"{one.speaker}-{copy}", path=one.path.with_name(f"{copy}-{number}"))
        for copy in range(4)
        for number, one in enumerate(utterances)
    ]
    sessions = plan(many)
    heard = [one for session in sessions for one in session.utterances]
    assert len(heard) == len(many) and set(heard) == set(many)
    assert all(len({one.speaker for one in session.utterances}) == 1 for session in sessions)
    assert {session.pause_s for session in sessions} == set(PAUSES_S)
    assert {session.pause_s for session in plan(many, (1.0,))} == {1.0}


def test_alone_every_utterance_is_a_stream(utterances, labels, tmp_path):
    heard = alone(utterances, labels, NORMALISER, tmp_path)
    assert (heard.name, len(heard.features), len(heard.spans)) == ("alone", 8, 8)
    np.testing.assert_array_equal(heard.labels, labels)
    assert heard.spans[:, 2].tolist() == heard.features.lengths.tolist()


def test_spans_lie_where_the_audio_is(utterances, labels, tmp_path):
    streams = in_streams(utterances, labels, NORMALISER, tmp_path)
    sessions = plan(utterances)
    assert (streams.name, len(streams.features)) == ("in streams", len(sessions))
    order = [one for session in sessions for one in session.utterances]
    assert streams.labels.tolist() == [EMOTIONS.index(one.label) for one in order]
    assert list(streams.corpora) == ["cremad"] * 8
    inside = np.zeros(len(streams.features.speech), bool)
    for (stream, first, end), one in zip(streams.spans, order, strict=True):
        length = len(read_recording(one.path)) / TIMESTEP_SAMPLES
        assert length - 2 < end - first <= length
        rows = streams.features.rows(stream)
        assert (streams.features.speech[rows][first:end] >= SPEECH_THRESHOLD).mean() > 0.2
        inside[rows.start + first : rows.start + end] = True
    speech = streams.features.speech >= SPEECH_THRESHOLD
    assert speech[~inside].sum() < 0.1 * speech.sum()  # the gate lets go a little late
    for stream, session in enumerate(sessions):
        firsts = streams.spans[streams.spans[:, 0] == stream, 1]
        assert firsts[0] == -(-round(session.lead_s * SAMPLE_RATE) // TIMESTEP_SAMPLES)


def test_only_timesteps_of_the_utterance_vote_on_it(utterances, labels, tmp_path):
    streams = in_streams(utterances, labels, NORMALISER, tmp_path)
    votes = votes_of(build(TINY).eval(), streams.features, streams.spans)
    for (stream, first, end), vote in zip(streams.spans, votes, strict=True):
        speech = streams.features.speech[streams.features.rows(stream)]
        weights = vote_weights(speech, first, end, TINY.window_timesteps)
        assert weights.shape == speech.shape
        assert not weights[:first].any()
        assert not weights[end:].any()
        assert weights.sum() == pytest.approx(1.0)
        np.testing.assert_array_equal(vote.weights, weights[first:end])
        assert vote.logits.shape == (end - first, 4)
        assert not weights[first:end][speech[first:end] < SPEECH_THRESHOLD].any()
    assert verdicts(votes, 1.0).sum(axis=1) == pytest.approx(np.ones(8))


def test_without_speech_every_timestep_of_the_utterance_votes_alike():
    weights = vote_weights(np.zeros(20, np.float32), 5, 9, 10)
    np.testing.assert_allclose(weights, [0] * 5 + [0.25] * 4 + [0] * 11)


def test_a_verdict_in_a_stream_depends_on_what_came_before(utterances, labels, tmp_path):
    """The normaliser and the window hold earlier audio, as they should when judged."""
    heard = alone(utterances, labels, NORMALISER, tmp_path)
    joined = in_streams(utterances, labels, NORMALISER, tmp_path)
    network = enlivened(TINY)
    order = [utterances.index(one) for session in plan(utterances) for one in session.utterances]
    by_themselves = verdicts(votes_of(network, heard.features, heard.spans), 1.0)[order]
    later = verdicts(votes_of(network, joined.features, joined.spans), 1.0)
    assert np.abs(later - by_themselves).max() > 1e-3


def test_streams_that_are_harmed_are_the_same_every_time_and_as_long(
    utterances, labels, tmp_path, around
):
    given = (utterances, labels, NORMALISER)
    clean = in_streams(*given, tmp_path / "1")
    ranges = Augmentation(room=1.0, floor_db=(-10.0, -10.0), silent=0.0, clipping=1.0)
    first, again = (in_streams(*given, tmp_path / name, (ranges, around)) for name in "23")
    assert first.name == "in streams, augmented"
    np.testing.assert_array_equal(first.spans, clean.spans)
    np.testing.assert_array_equal(first.features.values, again.features.values)
    values, harmed = (one.features.values.astype(float) for one in (clean, first))
    assert np.abs(harmed - values).mean() > 0.02
    untouched = in_streams(*given, tmp_path / "4", (Augmentation().without(KINDS), around))
    np.testing.assert_allclose(untouched.features.values.astype(float), values, atol=0.01)


def test_sessions_are_cached_and_heard_anew_for_other_settings(
    utterances, labels, tmp_path, monkeypatch, around
):
    given = (utterances, labels, NORMALISER, tmp_path)
    before = in_streams(*given)
    harmed = in_streams(*given, (Augmentation(), around))
    with monkeypatch.context() as patch:
        patch.setattr(validation, "WorkerPool", None)  # nothing is left to do
        for one, harm in ((before, None), (harmed, (Augmentation(), around))):
            again = in_streams(*given, harm)
            np.testing.assert_array_equal(one.features.values, again.features.values)
        for other in (
            {"harm": (Augmentation(room=0.0), around)},
            {"harm": (Augmentation(), replace(around, measured=1))},
            {"pauses_s": (2.0,)},
        ):
            with pytest.raises(TypeError):
                in_streams(*given, **other)
        patch.setattr(validation, "_sources", lambda: "older code")
        with pytest.raises(TypeError):
            in_streams(*given, (Augmentation(), around))


def test_without_known_speakers_there_are_no_streams(utterances, labels, tmp_path):
    unknown = [replace(one, speaker=UNKNOWN) for one in utterances]
    assert in_streams(unknown, labels, NORMALISER, tmp_path) is None
