"""Features are those of the runtime, prepared once and by speaker."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from streamer.audio import read_recording
from streamer.frontend import FREQUENCY_BINS, Normaliser, SpectralAnalysis
from streamer.speech import SpeechDetector
from tests.generated import EMOTIONS
from train import data
from train.augment import Augmentation
from train.corpora import read_corpus
from train.data import MAX_BEFORE, analyse, normalise_copy, prepare_copy

NORMALISER = Normaliser(np.full(FREQUENCY_BINS, 1 / FREQUENCY_BINS))


@pytest.fixture
def utterances(tiny_corpus):
    return read_corpus("cremad", tiny_corpus, EMOTIONS)[:6]


def test_training_features_are_those_of_the_runtime(utterances, tmp_path):
    samples = np.concatenate([np.zeros(9_600, np.float32), read_recording(utterances[1].path)])
    soundfile.write(utterances[1].path, samples, 16_000)  # digital silence first
    features = normalise_copy(prepare_copy(utterances, tmp_path / "cache", tmp_path), NORMALISER)
    for index, utterance in enumerate(utterances):
        spectra = analyse(read_recording(utterance.path), SpectralAnalysis(SpeechDetector()))
        live, _ = NORMALISER.normalise(spectra, NORMALISER.initial_state())
        trained_on = features.values[features.rows(index)].astype(np.float32)
        np.testing.assert_allclose(trained_on, live, atol=0.01)  # stored as half floats
        np.testing.assert_array_equal(features.speech[features.rows(index)], spectra.speech)


def test_what_comes_before_an_utterance_is_kept_up_to_a_limit(utterances, tmp_path):
    ranges = Augmentation(previous=1.0, lead_s=0.2)
    copy = prepare_copy(utterances, tmp_path / "cache", tmp_path, ranges, seed=1)
    features = normalise_copy(copy, NORMALISER)
    for index, example in enumerate(copy):
        assert features.starts[index] == min(example.start, MAX_BEFORE) > 0
        # Cut after normalising: the stream has heard what is cut off.
        whole, _ = NORMALISER.normalise(example.spectra(), NORMALISER.initial_state())
        kept = whole[example.start - features.starts[index] :]
        np.testing.assert_allclose(features.values[features.rows(index)], kept, atol=0.01)


def test_a_speaker_is_prepared_once_whatever_else_is_wanted(utterances, tmp_path, monkeypatch):
    ranges = Augmentation()
    whole = prepare_copy(utterances, tmp_path / "cache", tmp_path, ranges, seed=3)
    monkeypatch.setattr(data, "worker_pool", None)  # nothing is left to do
    first_speaker = [one for one in utterances if one.speaker == utterances[0].speaker]
    again = prepare_copy(first_speaker, tmp_path / "cache", tmp_path, ranges, seed=3)
    for one, other in zip(whole, again, strict=False):
        np.testing.assert_array_equal(one.log_power, other.log_power)
        assert one.start == other.start
    masked = Augmentation(masked_bins=0, mixup=0.5)
    assert len(prepare_copy(utterances, tmp_path / "cache", tmp_path, masked, seed=3)) == 6


def test_copies_of_other_seeds_or_ranges_differ(utterances, tmp_path):
    def copy(seed, ranges):
        found = prepare_copy(utterances[:1], tmp_path / "cache", tmp_path, ranges, seed)
        return found[0].log_power

    first = copy(1, Augmentation())
    assert not np.array_equal(first, copy(2, Augmentation()))
    assert not np.array_equal(first, copy(1, Augmentation(gain_db=(0.0, 0.0))))
