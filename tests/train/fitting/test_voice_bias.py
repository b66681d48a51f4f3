"""The bias of the voice answer, fitted on recordings by known voices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import live
from tests.helpers.generated import EMOTIONS, features
from tests.helpers.networks import enlivened
from train.fitting.validation import ValidationSet
from train.fitting.voice_bias import add_voice_bias, fit_voice_bias

CONFIG = replace(live(EMOTIONS), channels=(2, 3), hidden=8, memory=4, voice=True)
PLANTED = torch.tensor([2.0, -1.0, 0.5, -1.5])


@pytest.fixture
def alone():
    return of_speakers(["1001"] * 12 + ["1002"] * 12)


def of_speakers(speakers, labels=None):
    """Return recordings of the speakers, alone; by default their emotions take turns."""
    labels = np.arange(len(speakers)) % 4 if labels is None else np.array(labels)
    heard = features(labels, lengths=(40, 60))
    heard.levels[:] = np.random.default_rng(3).normal(-30.0, 8.0, len(heard.levels))
    corpora = ["cremad"] * len(speakers)
    return ValidationSet("alone", heard, heard.whole, labels, corpora, speakers)


@pytest.mark.parametrize("level", [False, True])
def test_what_leans_to_a_label_is_taken_back(alone, level):
    network = enlivened(replace(CONFIG, level=level))
    upright = fit_voice_bias(network, alone, 1.0)
    add_voice_bias(network, PLANTED)
    leaning = fit_voice_bias(network, alone, 1.0)
    torch.testing.assert_close(leaning + PLANTED, upright, rtol=0, atol=0.05)
    add_voice_bias(network, leaning)
    assert fit_voice_bias(network, alone, 1.0).abs().max() < 0.05


def test_a_voice_is_known_by_its_own_other_neutral_sentences():
    network = enlivened(CONFIG)
    neutral = EMOTIONS.index("neutral")
    none = torch.zeros(4)
    others = [label for label in range(4) if label != neutral]
    for labels in ([neutral, *others], others * 2):  # one neutral sentence, or none
        heard = of_speakers(["1001"] * len(labels), labels)
        without_itself = fit_voice_bias(network, heard, 1.0)
        assert torch.equal(without_itself, none) == (neutral not in labels)
    lonely = of_speakers(["1001", "1002", "1003", "1004"], [neutral] * 4)
    assert torch.equal(fit_voice_bias(network, lonely, 1.0), none)
