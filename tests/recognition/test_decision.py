"""Labels: silence is not an emotion, doubt is shown, and a label does not flicker."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.recognition.decision import (
    SILENCE,
    UNCERTAIN,
    WARMING_UP,
    Decision,
    DecisionConfig,
    Verdict,
)

LABELS = ("angry", "happy", "sad")
ANGRY, HAPPY, EVEN = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.34, 0.33, 0.33)
WINDOW = 75


def labels(steps, **settings):
    """Return the labels of (probabilities, speech) pairs."""
    decision = Decision(LABELS, WINDOW, DecisionConfig(**settings))
    state, result = decision.initial_state(), []
    for probabilities, speech in steps:
        label, state = decision.decide(np.array(probabilities, np.float32), speech, state)
        result.append(label)
    return result


def test_without_speech_there_is_only_silence():
    assert set(labels([(ANGRY, 0.1)] * 50)) == {SILENCE}


def test_an_emotion_is_named_after_the_warm_up():
    got = labels([(ANGRY, 0.9)] * 20, warm_up_s=0.4)
    assert got == [WARMING_UP] * 9 + ["angry"] * 11


def test_warm_up_begins_again_once_the_window_has_forgotten():
    steps = [(ANGRY, 0.9)] * 20 + [(ANGRY, 0.0)] * WINDOW + [(HAPPY, 0.9)] * 20
    got = labels(steps, hangover_s=0.0)
    assert got[20:95] == [SILENCE] * WINDOW
    assert got[95:104] == [WARMING_UP] * 9
    assert got[104:] == ["happy"] * 11


def test_short_pauses_are_bridged_and_long_ones_are_silence():
    steps = [(ANGRY, 0.9)] * 20 + [(ANGRY, 0.1)] * 15
    got = labels(steps, hangover_s=0.4)
    assert got[20:30] == ["angry"] * 10
    assert got[30:] == [SILENCE] * 5


def test_doubt_is_shown_as_uncertain():
    assert set(labels([(EVEN, 0.9)] * 30)[10:]) == {UNCERTAIN}


def test_a_small_lead_does_not_change_the_label():
    steps = [(ANGRY, 0.9)] * 20 + [((0.44, 0.50, 0.06), 0.9)] * 100
    assert set(labels(steps, switch_margin=0.1)[10:]) == {"angry"}


def test_a_clear_lead_does():
    got = labels([(ANGRY, 0.9)] * 20 + [(HAPPY, 0.9)] * 30)
    assert got[-1] == "happy"
    assert got[20] == "angry"


def test_certainty_has_two_bounds():
    def with_probability(p):
        return ((p, (1 - p) / 2, (1 - p) / 2), 0.9)

    settings = {"smoothing_s": 0.0, "uncertain_below": 0.4, "certain_from": 0.5}
    steps = [with_probability(p) for p in [0.45] * 15 + [0.55, 0.45, 0.38, 0.45]]
    assert labels(steps, **settings)[14:] == [UNCERTAIN, "angry", "angry", UNCERTAIN, UNCERTAIN]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"speech_on": 1.5}, "speech_on"),
        ({"speech_off": 0.6}, "speech_off"),
        ({"warm_up_s": float("nan")}, "warm_up_s"),
        ({"uncertain_below": 0.5}, "uncertain_below"),
    ],
)
def test_impossible_settings_are_named(settings, name):
    with pytest.raises(ValueError, match=name):
        DecisionConfig(**settings)


def verdict(steps, window=8):
    result = Verdict(LABELS, window, 0.5)
    for probabilities, speech in steps:
        result.add(np.array(probabilities, np.float32), speech)
    return result


def test_estimates_weigh_in_the_verdict_by_the_speech_that_they_heard():
    steps = [(HAPPY, 0.9), (HAPPY, 0.1), (ANGRY, 0.9), (ANGRY, 0.9)]
    expected = (1 * np.array(HAPPY) + 4 * np.array(ANGRY) + 9 * np.array(ANGRY)) / 14
    np.testing.assert_allclose(verdict(steps).probabilities, expected, atol=1e-6)


def test_estimates_over_a_full_window_weigh_alike_and_a_pause_empties_it():
    full = [(HAPPY, 0.9)] * 8
    steps = [*full, *[(ANGRY, 0.9)] * 2, *[(ANGRY, 0.1)] * 8, (ANGRY, 0.9)]
    weights = np.array([sum(n * n for n in range(1, 9)), 2 * 64 + 1])
    expected = weights @ np.array([HAPPY, ANGRY]) / weights.sum()
    np.testing.assert_allclose(verdict(steps).probabilities, expected, atol=1e-6)


def test_the_verdict_uses_speech_only_and_needs_10_timesteps_of_it():
    assert verdict([*[(HAPPY, 0.9)] * 10, *[(ANGRY, 0.1)] * 40]).overall == "happy"
    little = verdict([*[(HAPPY, 0.9)] * 9, *[(ANGRY, 0.1)] * 40])
    assert little.overall == "silence"
    assert little.probabilities.argmax() == HAPPY.index(max(HAPPY))


def test_the_verdict_names_no_emotion_that_was_not_shown():
    # Twenty timesteps that are hardly happy, then five that are surely angry.
    steps = [(np.array([0.46, 0.54], np.float32), 0.9)] * 20
    steps += [(np.array([0.52, 0.48], np.float32), 0.9)] * 5
    shown = Verdict(LABELS[:2], 8, 0.5)
    for probabilities, speech in steps:
        shown.add(probabilities, speech, "angry")
    assert shown.probabilities.argmax() == 1
    assert (LABELS[1], shown.overall) == ("happy", "angry")
    for label in ("uncertain", "happy"):  # none shown; then it was shown once
        shown = Verdict(LABELS[:2], 8, 0.5)
        for probabilities, speech in steps:
            shown.add(probabilities, speech, label)
        assert shown.overall == "happy"


def test_the_verdict_names_no_emotion_that_never_led():
    mixed = Verdict(("angry", "happy", "sad"), 8, 0.5)
    for number in range(20):
        first, last = (0.55, 0.0) if number % 2 else (0.0, 0.55)
        mixed.add(np.array([first, 0.45, last], np.float32), 0.9)
    assert mixed.probabilities.argmax() == 1
    assert mixed.overall in ("angry", "sad")


def test_the_verdict_without_speech_is_silence():
    nothing = verdict([(ANGRY, 0.1)] * 9)
    assert nothing.overall == SILENCE
    np.testing.assert_allclose(nothing.probabilities, 1 / 3)


def test_the_weights_behind_a_label_are_greatest_for_the_label_shown():
    decision = Decision(LABELS, WINDOW, DecisionConfig())
    generator = np.random.default_rng(0)
    state, shown = decision.initial_state(), set()
    for _ in range(400):
        probabilities = generator.dirichlet([0.6] * len(LABELS)).astype(np.float32)
        label, state = decision.decide(probabilities, float(generator.random() > 0.1), state)
        weighed = decision.weighed(state)
        if label in LABELS:
            assert LABELS[int(weighed.argmax())] == label
            assert weighed.sum() == pytest.approx(1)
            shown.add(label)
    assert len(shown) > 1
    assert decision.weighed(decision.initial_state()) is None
