"""Features equal the runtime's, and are prepared once, by speaker."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from streamer.errors import SerLiveError
from streamer.recognition.level import LevelState, levels_of
from streamer.recognition.spectra import LOWEST_BIN, SILENT_POWER, SpectralAnalysis
from streamer.recognition.voice_gate import SpeechDetector
from streamer.signal import FREQUENCY_BINS
from streamer.sound.files.recording import read_recording
from tests.helpers.generated import EMOTIONS, NORMALISER
from train.corpora.known import read_corpus
from train.features import data
from train.features.data import (
    analyse,
    estimate_prior,
    features_of,
    normalise,
    prepare,
    source_digest,
    standardise,
    usable_prior,
)


@pytest.fixture
def utterances(tiny_corpus):
    return read_corpus("cremad", tiny_corpus, EMOTIONS)[:6]


@pytest.fixture
def forbid_preparing(monkeypatch):
    """Forbid further preparation: from now on everything must be cached."""
    return lambda: monkeypatch.setattr(data, "WorkerPool", None)


def test_training_features_are_those_of_the_runtime(utterances, tmp_path):
    samples = np.concatenate([np.zeros(9_600, np.float32), read_recording(utterances[1].path)])
    soundfile.write(utterances[1].path, samples, 16_000)  # digital silence first
    features = normalise(prepare(utterances, tmp_path / "cache"), NORMALISER)
    for index, utterance in enumerate(utterances):
        spectra = analyse(read_recording(utterance.path), SpectralAnalysis(SpeechDetector()))
        live, _ = NORMALISER.normalise(spectra, NORMALISER.initial_state())
        trained_on = features.values[features.rows(index)].astype(np.float32)
        np.testing.assert_allclose(trained_on, live, atol=0.01)  # stored as half floats
        np.testing.assert_array_equal(features.speech[features.rows(index)], spectra.speech)
        levels, _ = levels_of(spectra, LevelState())
        np.testing.assert_allclose(features.levels[features.rows(index)], levels, atol=0.05)


def test_each_stream_is_a_whole_span(utterances, tmp_path):
    features = normalise(prepare(utterances, tmp_path / "cache"), NORMALISER)
    assert features.whole[:, 0].tolist() == list(range(len(utterances)))
    assert not features.whole[:, 1].any()
    seconds = [len(read_recording(one.path)) / 16_000 for one in utterances]
    np.testing.assert_allclose(features.whole[:, 2] * 0.04, seconds, atol=0.04)


def test_a_speaker_is_prepared_once_for_all_splits(utterances, tmp_path, forbid_preparing):
    whole = prepare(utterances, tmp_path / "cache")
    forbid_preparing()
    first_speaker = [one for one in utterances if one.speaker == utterances[0].speaker]
    again = prepare(first_speaker, tmp_path / "cache")
    assert len(again) == 4
    for one, other in zip(whole, again, strict=False):
        np.testing.assert_array_equal(one.log_power, other.log_power)
        np.testing.assert_array_equal(one.speech, other.speech)


def test_a_recording_that_has_changed_is_prepared_again(utterances, tmp_path, forbid_preparing):
    before = prepare(utterances[:1], tmp_path / "cache")
    soundfile.write(utterances[0].path, 0.5 * read_recording(utterances[0].path), 16_000)
    os.utime(utterances[0].path, (1, 1))
    after = prepare(utterances[:1], tmp_path / "cache")
    assert not np.array_equal(before[0].log_power, after[0].log_power)
    forbid_preparing()
    np.testing.assert_array_equal(
        prepare(utterances[:1], tmp_path / "cache")[0].speech, after[0].speech
    )


def test_caches_of_older_code_are_not_used_and_comments_do_not_count(
    utterances, tmp_path, monkeypatch, forbid_preparing
):
    assert (
        source_digest("a = 1  # one\n")
        == source_digest("a = (\n    1\n)")
        != source_digest("a = 2\n")
    )
    assert source_digest('def f():\n    """A."""\n    return 1') == source_digest(
        "def f():\n    return 1"
    )
    assert source_digest('def f():\n    return "A"') != source_digest('def f():\n    return "B"')
    assert source_digest("from model.b import c") == source_digest("from model.d import c")
    assert source_digest("from model.b import c") != source_digest("from model.b import d")
    assert source_digest("from numpy.fft import rfft") != source_digest(
        "from scipy.fft import rfft"
    )
    prepare(utterances[:1], tmp_path / "cache")
    monkeypatch.setattr(data, "front_end_sources", lambda: "older")
    forbid_preparing()
    with pytest.raises(TypeError):
        prepare(utterances[:1], tmp_path / "cache")


def test_the_prior_is_the_mean_spectrum_of_speech_whatever_its_level(utterances, tmp_path):
    prior = estimate_prior(prepare(utterances[:2], tmp_path / "cache"))
    assert prior.sum() == pytest.approx(1.0)
    assert prior.min() > 0  # a normaliser divides by it
    assert prior[:LOWEST_BIN].max() < 1e-6 < prior[LOWEST_BIN:].max()
    soundfile.write(utterances[0].path, 0.1 * read_recording(utterances[0].path), 16_000)
    os.utime(utterances[0].path, (1, 1))
    softer = estimate_prior(prepare(utterances[:2], tmp_path / "cache"))
    np.testing.assert_allclose(softer, prior, rtol=0.05, atol=1e-4)


def test_recordings_without_speech_are_refused():
    with pytest.raises(SerLiveError, match="finds no speech in the recordings to train on"):
        usable_prior(np.zeros(FREQUENCY_BINS))


def test_the_papers_features_have_mean_0_and_deviation_1_over_each_utterance(utterances, tmp_path):
    examples = prepare(utterances, tmp_path / "cache")
    louder = [replace(one, log_power=one.log_power + np.float16(1.5)) for one in examples]
    for features in (standardise(examples), standardise(louder)):
        for index in range(len(examples)):
            values = features.values[features.rows(index)].astype(np.float64)
            assert not values[..., :LOWEST_BIN].any()
            values = values[..., LOWEST_BIN:]
            assert values.mean() == pytest.approx(0.0, abs=1e-2)
            assert values.std() == pytest.approx(1.0, abs=1e-2)
    heard = np.concatenate([one.log_power for one in examples]) > np.log(SILENT_POWER) + 1
    np.testing.assert_allclose(
        standardise(louder).values[heard], standardise(examples).values[heard], atol=0.05
    )
    causal = normalise(examples, NORMALISER)
    assert np.array_equal(features_of(examples, NORMALISER).values, causal.values)
    asked = features_of(examples, NORMALISER, "utterance")
    assert np.array_equal(asked.values, standardise(examples).values)
    assert np.array_equal(asked.ends, causal.ends)
