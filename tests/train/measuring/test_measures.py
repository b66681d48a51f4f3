"""Verdicts of the network in training, and measures of their accuracy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamer.recognition.decision import Verdict
from streamer.signal import SPEECH_THRESHOLD
from train.fitting.scoring import Votes, fit_temperature, verdicts, vote_weights
from train.measuring.measures import reliability, score, uar_interval, untempered

EMOTIONS = ("angry", "happy", "neutral", "sad")


def test_timesteps_vote_as_in_the_runtime():
    generator = np.random.default_rng(0)
    for length in (3, 8, 20, 60):
        speech = generator.random(length).astype(np.float32) * generator.uniform(0.4, 1.5)
        speech[0] = 0.9
        logits = torch.from_numpy(generator.standard_normal((length, 4)))
        live = Verdict(EMOTIONS, 16, SPEECH_THRESHOLD)
        for one, probability in zip(torch.softmax(logits, -1), speech, strict=True):
            live.add(one.numpy(), probability)
        weights = torch.from_numpy(vote_weights(speech, 0, length, window=16))
        offline = verdicts([Votes(logits, weights)], 1.0)[0]
        np.testing.assert_allclose(offline, live.probabilities)


def test_what_comes_before_an_utterance_does_not_vote():
    speech = np.concatenate([np.zeros(25), np.ones(15)]).astype(np.float32)
    weights = vote_weights(speech, 30, 33, window=20)
    # The window is the stream's: it holds five timesteps of speech from before the utterance.
    np.testing.assert_allclose(weights[29:34] * (36 + 49 + 64), [0.0, 36.0, 49.0, 64.0, 0.0])
    assert vote_weights(np.zeros(4, np.float32), 1, 3, window=20).tolist() == [0.0, 0.5, 0.5, 0.0]


def test_verdicts_are_weighted_means_over_votes():
    logits = torch.tensor([[0.0, 0.0], [0.0, np.log(3.0)]])
    votes = [Votes(logits, torch.tensor([0.2, 0.8]))]
    np.testing.assert_allclose(verdicts(votes, 1.0), [[0.3, 0.7]], rtol=1e-6)


def test_temperature_undoes_overconfidence():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3_000, 1, 4, generator=generator)
    drawn = torch.multinomial(torch.softmax(logits[:, 0], -1), 1, generator=generator)
    votes = [Votes(3.0 * one, torch.ones(1)) for one in logits]
    assert fit_temperature(votes, drawn[:, 0].numpy()) == pytest.approx(3.0, rel=0.1)


def test_the_temperature_of_a_model_can_be_undone():
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 3
    shipped = torch.softmax(logits / 0.7, -1).numpy()
    np.testing.assert_allclose(
        untempered(shipped, 0.7), torch.softmax(logits, -1).numpy(), rtol=1e-4, atol=1e-6
    )
    assert np.isfinite(untempered(np.array([1.0, 0.0], np.float32), 0.7)).all()


LABELS = np.array([0, 0, 0, 1])
PROBABILITIES = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.2, 0.8]])


def test_scores_are_mean_recalls():
    result = score(PROBABILITIES, LABELS)
    assert result.uar == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert result.wa == pytest.approx(75.0)
    assert result.macro_f1 == pytest.approx(100 * (4 / 5 + 2 / 3) / 2)
    assert result.confusion.tolist() == [[2, 1, 0], [0, 1, 0]]
    assert result.calibration_error == pytest.approx(0.5 * 0.1 + 0.5 * 0.3)


def test_a_recording_without_speech_is_an_error_of_its_own_label():
    has_verdict = np.array([False, True, True, True])
    result = score(PROBABILITIES, LABELS, has_verdict)
    assert result.confusion.tolist() == [[1, 1, 1], [0, 1, 0]]
    assert result.recall == pytest.approx([100 / 3, 100])
    assert result.wa == pytest.approx(50.0)
    assert result.macro_f1 < score(PROBABILITIES, LABELS).macro_f1
    heard = score(PROBABILITIES[1:], LABELS[1:])
    assert result.calibration_error == pytest.approx(heard.calibration_error)


def test_a_label_that_nobody_speaks_does_not_count():
    result = score(np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1]]), np.array([1, 0]))
    assert (result.uar, result.macro_f1) == (100.0, 100.0)
    assert np.isnan(result.recall[2])


def test_the_interval_holds_the_point_and_widens_where_speakers_differ():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 600)
    speakers = np.repeat([f"S{i}" for i in range(12)], 50)

    def answered(share_right):
        """Make answers: right in a share of each speaker's recordings, otherwise the next label."""
        right = generator.random(600) < np.repeat(share_right, 50)
        return np.where(right, labels, (labels + 1) % 4)

    alike, different = answered([0.6] * 12), answered([0.2, 1.0] * 6)
    widths = []
    for given in (alike, different):
        low, high = uar_interval(given, labels, speakers)
        assert low < score(np.eye(4)[given], labels).uar < high
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]
    # Recalls of 20 or 100 % spread by 40; of a mean over 12 speakers that is 40 / sqrt(12).
    assert widths[1] == pytest.approx(2 * 1.96 * 40 / np.sqrt(12), rel=0.2)
    assert np.isnan(uar_interval(alike, labels, ["S0"] * 600)).all()


def test_reliability_sets_accuracy_against_confidence():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.96, 0.04], [0.94, 0.06], [0.92, 0.08], [0.45, 0.55]])
    found = reliability(probabilities, labels)
    np.testing.assert_allclose(found[9], [0.94, 2 / 3, 3])
    np.testing.assert_allclose(found[5], [0.55, 1, 1])
    assert not found[:5].any()
