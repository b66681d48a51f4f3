"""The bias of the voice answer, fitted on recordings of known voices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import live
from model.voice import HEARD, KNOWN, SHARE
from streamer.signal import SPEECH_THRESHOLD
from tests.helpers.generated import EMOTIONS, features
from tests.helpers.networks import enlivened, stream_from
from train.corpora.own_recordings import UNKNOWN
from train.fitting.scoring import LOG_TEMPERATURES, Votes, verdicts
from train.fitting.validation import ValidationSet
from train.fitting.voice_bias import EXPECTED, add_voice_bias, fit_voice_bias, known_votes

CONFIG = replace(live(EMOTIONS), channels=(2, 3), hidden=8, memory=4, voice=True)
NEUTRAL = EMOTIONS.index("neutral")
PLANTED = torch.tensor([2.0, -1.0, 0.5, -1.5])


def recordings(labels, speakers=None, corpora=None, lengths=(30, 50)):
    """Return recordings alone, of one speaker by default, with pauses and uneven levels."""
    labels = np.array(labels)
    heard = features(labels, lengths=lengths)
    generator = np.random.default_rng(3)
    heard.levels[:] = generator.normal(-30.0, 8.0, len(heard.levels))
    heard.speech[:] = generator.random(len(heard.speech))
    speakers = speakers or ["1001"] * len(labels)
    corpora = corpora or ["cremad"] * len(labels)
    return ValidationSet("alone", heard, heard.whole, labels, corpora, speakers)


@pytest.fixture
def alone():
    """Return recordings of two speakers, more of some emotions than of others."""
    labels = [0, 1, 2, 3, 2, 2, 0, 0, 1, 2, 0, 2] * 2
    return recordings(labels, ["1001"] * 12 + ["1002"] * 12)


def streamed(network, heard, indices):
    """Return the logits of the last recording, timestep by timestep, after the others' voice."""
    voice = network.initial_state().voice
    for index in indices:
        rows = heard.features.rows(index)
        values = torch.from_numpy(heard.features.values[rows]).float()
        how = HEARD if index == indices[-1] else KNOWN
        told = how * (heard.features.speech[rows] >= SPEECH_THRESHOLD).astype(np.float32)
        if network.config.level:
            told = np.stack([told, heard.features.levels[rows]], axis=-1)
        state = replace(network.initial_state(), voice=voice)
        logits, _, state = stream_from(state, network, values[None], torch.from_numpy(told)[None])
        voice = state.voice
    return logits[0]


@pytest.mark.parametrize("level", [False, True])
@torch.no_grad()
def test_votes_are_those_of_a_stream_whose_voice_is_known(level):
    network = enlivened(replace(CONFIG, level=level))
    heard = recordings([NEUTRAL, 0, NEUTRAL, NEUTRAL])
    found = list(known_votes(network, heard))
    assert [one.label for one in found] == heard.labels.tolist()  # all draws are of all the others
    for index, one in enumerate(found):
        known = [other for other in (0, 2, 3) if other != index]
        expected = streamed(network, heard, [*known, index])
        torch.testing.assert_close(one.votes.logits, expected, rtol=1e-4, atol=1e-4)
        assert len(one.shares) == len(expected)
        assert (one.shares >= 0).all() and (one.shares < SHARE).all() and one.shares.any()
        speech = heard.features.speech[heard.features.rows(index)] >= SPEECH_THRESHOLD
        np.testing.assert_array_equal(one.votes.weights.numpy() > 0, speech)


@torch.no_grad()
def test_shares_say_how_a_bias_moves_the_votes(alone):
    network = enlivened(CONFIG)
    before = list(known_votes(network, alone))
    add_voice_bias(network, PLANTED)
    for one, after in zip(before, known_votes(network, alone), strict=True):
        moved = one.votes.logits + one.shares * PLANTED
        torch.testing.assert_close(after.votes.logits, moved, rtol=1e-4, atol=1e-4)


def loss(found, bias, temperature):
    """Return the loss of the verdicts with a bias, each label counting equally."""
    moved = [
        Votes(one.votes.logits.double() + one.shares * torch.tensor(bias), one.votes.weights)
        for one in found
    ]
    labels = np.array([one.label for one in found])
    misses = -np.log(verdicts(moved, temperature)[np.arange(len(found)), labels])
    balanced = np.mean([misses[labels == label].mean() for label in np.unique(labels)])
    return balanced + (bias**2).sum() / (2 * EXPECTED**2 * len(found))


def test_no_other_bias_has_likelier_verdicts(alone):
    network = enlivened(CONFIG)
    add_voice_bias(network, PLANTED)
    bias = fit_voice_bias(network, alone).double().numpy()
    assert (np.sign(bias) == -np.sign(PLANTED.numpy())).all()
    found = list(known_votes(network, alone))
    temperatures = np.exp(np.linspace(*LOG_TEMPERATURES, 121))
    best = min(temperatures, key=lambda one: loss(found, bias, one))
    least = loss(found, bias, best)
    for label in range(4):
        for step in (-0.1, 0.1):
            other = bias + step * np.eye(4)[label]
            assert loss(found, other, best) > least
    others = bias + np.random.default_rng(5).normal(0.0, 0.3, (50, 4))
    assert all(loss(found, other, best) > least for other in others)


def test_a_voice_is_known_by_others_of_its_sentences_in_its_own_corpus():
    network = enlivened(CONFIG)
    labels = [NEUTRAL, NEUTRAL, 0]
    named = recordings(labels * 2, ["1001"] * 6, ["cremad"] * 3 + ["ravdess"] * 3)
    apart = recordings(labels * 2, ["1001"] * 3 + ["1002"] * 3)
    together = recordings(labels * 2)
    own, mixed = list(known_votes(network, named)), list(known_votes(network, together))
    for one, other in zip(own, known_votes(network, apart), strict=True):
        torch.testing.assert_close(one.votes.logits, other.votes.logits, rtol=0, atol=0)
    assert len(mixed) > len(own)  # there are several draws of three from more sentences


def test_empty_recordings_and_speakers_without_a_name_are_left_out(alone):
    network = enlivened(CONFIG)
    features = alone.features
    ends = np.insert(features.ends, 3, features.ends[2])
    names = np.insert(np.array(alone.speakers), 3, alone.speakers[3]).tolist()
    labels = np.insert(alone.labels, 3, NEUTRAL)
    longer = ValidationSet(
        "alone", replace(features, ends=ends), alone.spans, labels, ["cremad"] * len(names), names
    )
    for one, other in zip(known_votes(network, longer), known_votes(network, alone), strict=True):
        torch.testing.assert_close(one.votes.logits, other.votes.logits, rtol=0, atol=0)
    unnamed = replace(alone, speakers=[UNKNOWN] * len(alone.speakers))
    assert not list(known_votes(network, unnamed))
    assert fit_voice_bias(network, unnamed) is None


@pytest.mark.parametrize(
    ("labels", "speakers"),
    [
        ([0, 1, 3, 0, 1, 3], ["1001"] * 6),  # nothing is neutral
        ([NEUTRAL, 0, 1, 3], ["1001"] * 4),  # the neutral one has no other
        ([NEUTRAL] * 3 + [0, 1, 3], ["1001"] * 5 + ["1002"]),  # nor has the voice of one label
    ],
)
def test_without_recordings_of_every_label_there_is_no_bias(labels, speakers):
    assert fit_voice_bias(enlivened(CONFIG), recordings(labels, speakers)) is None


def test_labels_without_neutral_have_no_bias():
    config = replace(CONFIG, labels=("angry", "happy", "calm", "sad"))
    assert fit_voice_bias(enlivened(config), recordings([0, 1, 2, 3, 2, 2])) is None
