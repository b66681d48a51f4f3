"""The everyday prior: which is chosen, and that it can be applied to what was heard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.recognition.decision import UNCERTAIN
from streamer.recognition.recognizer import Recognizer
from tests.helpers.generated import EMOTIONS
from train.judging.priors import PriorTrial, choose, everyday_shares
from train.measuring.false_alarms import Acted, Alarms, count_alarms, judge_ordinary
from train.measuring.hearing import decide_again, hear


def test_a_prior_applied_later_equals_the_recognizers(model_file, tmp_path, speech):
    from model.export import describe_model

    metadata = Recognizer.load(model_file).metadata
    shares = everyday_shares(metadata.labels, 0.8)
    assert shares == pytest.approx((0.2 / 3, 0.2 / 3, 0.8, 0.2 / 3))
    describe_model(model_file, replace(metadata, everyday_prior=shares), tmp_path / "own.onnx")
    balanced = hear(Recognizer.load(tmp_path / "own.onnx"), speech)
    live = hear(Recognizer.load(tmp_path / "own.onnx", prior="everyday"), speech)
    again = decide_again(balanced, metadata, shares=shares)
    assert again.labels == live.labels != balanced.labels
    np.testing.assert_allclose(again.probabilities, live.probabilities, rtol=1e-6)
    assert judge_ordinary([balanced], replace(metadata, everyday_prior=())).everyday is None
    known = replace(metadata, everyday_prior=shares)
    assert judge_ordinary([balanced], known).everyday == count_alarms([live], known)


def trial(called, recall, shown=50.0):
    shares = {"angry": called, "happy": 0.0, "neutral": 100.0 - called, "sad": 0.0}
    emotions = ("angry", "happy", "sad")
    acted = Acted(dict.fromkeys(EMOTIONS, shown), dict.fromkeys(EMOTIONS, recall), None, emotions)
    alarms = Alarms(1, 1.0, {**shares, UNCERTAIN: 0.0}, 0, 0.0, emotions)
    return PriorTrial(0.5, (), None, alarms, acted)


def test_the_prior_that_finds_most_among_the_quiet_ones_is_chosen():
    trials = [trial(21.0, 90.0), trial(20.0, 70.0), trial(19.0, 72.0), trial(5.0, 40.0)]
    assert choose(trials) is trials[2]
    assert choose([trials[0], trial(30.0, 10.0)]).alarms.called == 21.0
    assert choose([trial(10.0, 70.0, shown=30.0), trial(10.0, 69.0, shown=60.0)]).found == 64.5


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("one", [trial(float("nan"), 90.0), trial(10.0, float("nan"))])
def test_a_prior_tried_without_speech_is_not_measured(one):
    assert not one.is_measured
    assert trial(10.0, 90.0).is_measured
