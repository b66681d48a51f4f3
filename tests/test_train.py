"""Corpora, splits and scores, on generated and real recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from streamer.decision import Verdict
from streamer.errors import SerLiveError
from streamer.speech import SPEECH_THRESHOLD
from train.corpora import Utterance, read_corpus
from train.scoring import fit_temperature, reliability, score, verdicts, voting_timesteps
from train.splits import split

CORPORA = Path.home() / ".cache" / "ser-live" / "corpora"
EMOTIONS = ("angry", "happy", "neutral", "sad")


def make_tree(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_corpora_are_read_in_their_official_layout(tmp_path):
    make_tree(tmp_path / "cremad" / "AudioWAV", ["1001_DFA_ANG_XX.wav", "1002_IEO_DIS_HI.wav"])
    make_tree(
        tmp_path / "ravdess",
        [
            "Actor_01/03-01-05-02-01-01-01.wav",
            "Actor_01/03-02-05-02-01-01-01.wav",  # song
            "Actor_02/03-01-02-02-01-01-02.flac",  # calm
            "Actor_02/03-01-04-01-01-01-02.flac",
        ],
    )
    make_tree(tmp_path / "nemo" / "samples", ["WR0_happiness_84.opus", "WR0_surprised_1.opus"])
    found = {
        name: [(u.label, u.speaker) for u in read_corpus(name, tmp_path, EMOTIONS)]
        for name in ("cremad", "ravdess", "nemo")
    }
    assert found == {
        "cremad": [("angry", "1001")],
        "ravdess": [("angry", "01"), ("sad", "02")],
        "nemo": [("happy", "WR0")],
    }


def test_a_missing_corpus_says_where_to_get_it(tmp_path):
    with pytest.raises(SerLiveError, match="zenodo"):
        read_corpus("ravdess", tmp_path, EMOTIONS)
    with pytest.raises(SerLiveError, match="known are"):
        read_corpus("emodb9", tmp_path, EMOTIONS)


def everyone():
    speakers = {
        "cremad": [str(1001 + i) for i in range(91)],
        "ravdess": [f"{i:02d}" for i in range(1, 25)],
        "nemo": [f"S{i}" for i in range(9)],
    }
    return [
        Utterance(Path(f"{corpus}/{speaker}"), "sad", speaker, corpus)
        for corpus, names in speakers.items()
        for speaker in names
    ]


def test_no_speaker_is_in_two_parts():
    parts = split(everyone())
    speakers = {part: {(u.corpus, u.speaker) for u in found} for part, found in parts.items()}
    assert all(speakers.values())
    assert not speakers["train"] & speakers["validation"]
    assert not speakers["train"] & speakers["test"]
    assert not speakers["validation"] & speakers["test"]
    assert sum(map(len, speakers.values())) == len(everyone())


def test_a_speaker_more_or_less_moves_nobody():
    def parts(utterances):
        found = split(utterances)
        return {(u.corpus, u.speaker): part for part, us in found.items() for u in us}

    whole, fewer = parts(everyone()), parts(everyone()[1::2])
    assert fewer.items() <= whole.items()


def test_splits_are_the_agreed_ones():
    parts = split(everyone())

    def of(part, corpus):
        return [u.speaker for u in parts[part] if u.corpus == corpus]

    assert of("test", "ravdess") == ["02", "05", "14", "15", "16"]
    assert of("validation", "ravdess") == ["03", "06"]
    assert of("test", "cremad")[:3] == ["1001", "1008", "1013"]
    assert of("validation", "cremad")[:3] == ["1002", "1009", "1014"]
    assert len(of("test", "nemo")) == 9


@pytest.mark.skipif(not CORPORA.exists(), reason=f"needs the corpora in {CORPORA}")
def test_the_corpora_at_hand_are_whole():
    counts = {
        name: len(read_corpus(name, CORPORA, EMOTIONS)) for name in ("cremad", "ravdess", "nemo")
    }
    assert counts == {"cremad": 4303, "ravdess": 672, "nemo": 3076}


def test_the_gate_votes_as_in_the_runtime():
    generator = np.random.default_rng(0)
    for length in (3, 8, 20, 60):
        speech = generator.random(length).astype(np.float32) * generator.uniform(0.4, 1.5)
        speech[0] = 0.9
        logits = torch.from_numpy(generator.standard_normal((length, 4)))
        live = Verdict(EMOTIONS, SPEECH_THRESHOLD)
        for one, probability in zip(torch.softmax(logits, -1), speech, strict=True):
            live.add(one.numpy(), probability)
        votes = torch.from_numpy(voting_timesteps(speech, 0))
        np.testing.assert_allclose(verdicts([logits[votes]], 1.0)[0], live.probabilities)


def test_what_comes_before_an_utterance_does_not_vote():
    assert not voting_timesteps(np.ones(40, np.float32), 30)[:35].any()
    assert voting_timesteps(np.zeros(3, np.float32), 1).tolist() == [False, True, True]


def test_scores_are_mean_recalls():
    labels = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.2, 0.8]])
    result = score(probabilities, labels)
    assert result.uar == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert result.wa == pytest.approx(75.0)
    assert result.confusion.tolist() == [[2, 1], [0, 1]]
    assert result.calibration_error == pytest.approx(0.5 * 0.1 + 0.5 * 0.3)


def test_temperature_undoes_overconfidence():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3_000, 1, 4, generator=generator)
    drawn = torch.multinomial(torch.softmax(logits[:, 0], -1), 1, generator=generator)
    assert fit_temperature(list(3.0 * logits), drawn[:, 0].numpy()) == pytest.approx(3.0, rel=0.1)


def test_verdicts_are_means_over_votes():
    logits = [torch.tensor([[0.0, 0.0], [0.0, np.log(3.0)]])]
    np.testing.assert_allclose(verdicts(logits, 1.0), [[0.375, 0.625]])


def test_reliability_sets_accuracy_against_confidence():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.96, 0.04], [0.94, 0.06], [0.92, 0.08], [0.45, 0.55]])
    found = reliability(probabilities, labels)
    np.testing.assert_allclose(found[9], [0.94, 2 / 3, 3])
    np.testing.assert_allclose(found[5], [0.55, 1, 1])
    assert not found[:5].any()
