"""Targets of utterances: labels, and raters' votes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from streamer.errors import SerLiveError
from tests.helpers.generated import EMOTIONS, recipe_with
from train.corpora.known import Utterance
from train.fitting.targets import read_votes, targets

CREMAD = Path.home() / ".cache" / "ser-live" / "corpora" / "cremad"
HEADER = ",A,D,F,H,N,S,fileName,numResponses"


@pytest.fixture
def voted(tmp_path):
    """CREMA-D's table of votes, at its place in the official layout."""
    folder = tmp_path / "cremad" / "processedResults"
    folder.mkdir(parents=True)
    rows = [
        "100001,0,0,0,1,9,0,1001_IEO_HAP_LO,10",
        "100002,0,4,6,0,0,0,1001_IEO_SAD_LO,10",
        "200001,5,0,0,5,0,0,1001_IEO_HAP_LO,10",
        "300001,0,2,0,6,2,0,1001_IEO_HAP_LO,10",
    ]
    (folder / "tabulatedVotes.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return tmp_path


def utterance(name, label, corpus="cremad"):
    return Utterance(Path(f"/audio/{name}.wav"), label, "1001", corpus)


def test_votes_take_over_their_share_of_the_label(voted):
    spoken = [utterance("1001_IEO_HAP_LO", "happy")]
    soft = targets(spoken, recipe_with(soft_labels=0.5), voted)
    np.testing.assert_allclose(soft, [[0, 0.55, 0.45, 0]], rtol=1e-6)
    soft = targets(spoken, recipe_with(soft_labels=1.0, votes="both"), voted)
    np.testing.assert_allclose(soft, [[0, 0.75, 0.25, 0]], rtol=1e-6)  # without disgust


def test_extra_labels_have_votes_too(voted):
    recipe = recipe_with(soft_labels=1.0, votes="both", extra_labels=("disgust", "surprise"))
    soft = targets([utterance("1001_IEO_HAP_LO", "happy")], recipe, voted)
    np.testing.assert_allclose(soft, [[0, 0.6, 0.2, 0, 0.2, 0]], rtol=1e-6)


def test_teachers_answers_replace_their_share_of_the_target(tmp_path):
    answers = {"cremad/1001_IEO_HAP_LO": [0.1, 0.3, 0.2, 0.4]}
    (tmp_path / "answers.json").write_text(
        json.dumps({"labels": ["sad", "happy", "disgust", "angry"], "answers": answers})
    )
    spoken = [
        Utterance(tmp_path / "cremad" / f"{name}.wav", "happy", "1001", "cremad")
        for name in ("1001_IEO_HAP_LO", "1001_IEO_HAP_HI")
    ]
    soft = targets(spoken, recipe_with(answers=str(tmp_path), answers_weight=0.5), tmp_path)
    # Disgust is not a label here; without it the others have 0.5, 0.375 and 0.125.
    np.testing.assert_allclose(soft, [[0.25, 0.6875, 0, 0.0625], [0, 1, 0, 0]], atol=1e-6)
    with pytest.raises(SerLiveError, match=r"no answers of teachers in .*nowhere"):
        targets(spoken, recipe_with(answers=str(tmp_path / "nowhere")), tmp_path)


def test_without_votes_for_the_classes_the_label_counts_alone(voted):
    spoken = [
        utterance("1001_IEO_SAD_LO", "sad"),  # heard as disgust and fear alone
        utterance("1001_IEO_ANG_LO", "angry"),  # nobody voted
        utterance("1001_IEO_HAP_LO", "sad", corpus="ravdess"),
    ]
    soft = targets(spoken, recipe_with(soft_labels=0.9), voted)
    np.testing.assert_array_equal(soft, [[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1]])


def test_missing_votes_are_reported(tmp_path):
    with pytest.raises(SerLiveError, match=r"tabulatedVotes\.csv"):
        targets([utterance("a", "sad")], recipe_with(soft_labels=0.1), tmp_path)


@pytest.mark.skipif(not CREMAD.exists(), reason=f"needs CREMA-D in {CREMAD}")
def test_raters_hear_neutral_in_most_sad_voices():
    """As in the corpus's README: by voice alone few raters recognise the acted emotion."""
    votes = read_votes(CREMAD, EMOTIONS, "voice")
    sad = [share for name, share in votes.items() if "_SAD_" in name]
    assert len(votes) > 6_000
    assert np.mean(sad, axis=0)[EMOTIONS.index("neutral")] > 0.6
    assert all(share.sum() == pytest.approx(1.0) for share in votes.values())
