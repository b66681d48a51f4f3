"""The voice gate hears speech at any level, and none in silence or noise."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.speech import SpeechDetector


def probabilities(samples, step=640):
    detector = SpeechDetector()
    state, result = detector.initial_state(), []
    for first in range(0, len(samples) - step + 1, step):
        probability, state = detector.accept(samples[first : first + step], state)
        result.append(probability)
    return np.array(result)


@pytest.mark.parametrize("gain_db", [0, -20, -40])
def test_speech_is_found_at_any_level(speech, gain_db):
    samples = (speech * 10 ** (gain_db / 20)).astype(np.float32)
    found = probabilities(samples) >= 0.5
    assert found.mean() > 0.4
    assert (found == (probabilities(speech) >= 0.5)).mean() > 0.97


@pytest.mark.parametrize("rms", [0.0, 1e-5, 1e-3, 0.1])
def test_no_speech_in_silence_and_noise(rms):
    noise = np.random.default_rng(0).standard_normal(80_000).astype(np.float32) * np.float32(rms)
    assert (probabilities(noise) >= 0.5).mean() < 0.02


def test_decisions_do_not_depend_on_the_blocks(speech):
    detector = SpeechDetector()
    ends = []
    for step in (512, 64):
        state = detector.initial_state()
        for first in range(0, 62 * 512, step):
            probability, state = detector.accept(speech[first : first + step], state)
        ends.append((probability, state.envelope))
    assert ends[0] == ends[1]


def test_a_click_does_not_deafen_for_long(speech):
    quiet = speech * np.float32(0.03 / np.abs(speech).max())
    burst = np.random.default_rng(0).uniform(-0.9, 0.9, 1_600).astype(np.float32)
    undisturbed = probabilities(quiet) >= 0.5
    disturbed = probabilities(np.concatenate([burst, quiet, quiet])) >= 0.5
    assert disturbed[-len(undisturbed) :].mean() > 0.8 * undisturbed.mean()
