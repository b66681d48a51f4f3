"""Functionals and the support vector machine, on generated values and real recordings."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from streamer.errors import SerLiveError
from tests.helpers.places import CLIPS
from train.comparing import functionals
from train.comparing.functionals import Functionals, fit_functionals, prepare_functionals
from train.corpora.known import Utterance, read_corpus
from train.corpora.splits import split_of

CORPORA = Path.home() / ".cache" / "ser-live" / "corpora"
EMOTIONS = ("angry", "happy", "neutral", "sad")
UTTERANCES = [Utterance(path, EMOTIONS[i], "1007", "cremad") for i, path in enumerate(CLIPS)]


def generated(seed, corpora=("one", "two"), spread=1.0):
    """Make two classes, separate in every functional; units differ by a factor of 1000."""
    generator = np.random.default_rng(seed)
    labels = np.arange(60) % 2
    values = (generator.normal(0, 1, (60, 88)) + spread * labels[:, None]) * np.geomspace(
        1, 1e3, 88
    )
    return Functionals(values.astype(np.float32), labels, np.resize(corpora, 60))


def test_separable_classes_are_separated():
    pytest.importorskip("sklearn")
    fitted = fit_functionals(generated(0), generated(1))
    scores = fitted.scores(generated(2, corpora=("three", "three", "four")))
    assert list(scores) == ["three", "four"]
    assert all(one.uar > 95 for one in scores.values())
    assert scores["three"].confusion.sum() == 40


def test_the_penalty_is_chosen_on_the_validation_speakers():
    pytest.importorskip("sklearn")
    train_part, validation = generated(0, spread=0.2), generated(1, spread=0.2)
    fitted = fit_functionals(train_part, validation)
    every = [functionals._fit(train_part, validation, c) for c in functionals.PENALTIES]
    assert len({one.validation_uar for one in every}) > 1
    assert fitted.validation_uar == max(one.validation_uar for one in every)
    assert fitted.validation_uar == np.mean([s.uar for s in fitted.scores(validation).values()])


def test_functionals_are_extracted_once(tmp_path, monkeypatch):
    pytest.importorskip("opensmile")
    first = prepare_functionals(UTTERANCES, EMOTIONS, tmp_path)
    assert first.values.shape == (4, 88)
    assert np.isfinite(first.values).all()
    assert len(np.unique(first.values[:, 0])) == 4
    assert first.labels.tolist() == [0, 1, 2, 3]
    monkeypatch.setattr(functionals, "WorkerPool", None)
    again = prepare_functionals(UTTERANCES, EMOTIONS, tmp_path)
    np.testing.assert_array_equal(first.values, again.values)


@pytest.mark.parametrize("missing", ["opensmile", "sklearn.pipeline"])
def test_a_missing_package_says_what_to_install(missing, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SerLiveError, match=r"pip install .*baselines") as caught:
        if missing == "opensmile":
            prepare_functionals(UTTERANCES, EMOTIONS, tmp_path)
        else:
            fit_functionals(generated(0), generated(1))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not (CORPORA / "cremad").exists(), reason=f"needs CREMA-D in {CORPORA}")
def test_emotions_of_unseen_speakers_are_recognised_above_chance(tmp_path):
    pytest.importorskip("opensmile")
    pytest.importorskip("sklearn")
    labels = ("angry", "sad")
    parts = split_of("fixed", read_corpus("cremad", CORPORA, labels))
    trained, validation, test = (
        prepare_functionals(utterances, labels, tmp_path)
        for utterances in (parts.train[::30], parts.validation[::30], parts.test[::15])
    )
    assert fit_functionals(trained, validation).scores(test)["cremad"].uar > 75  # chance: 50
