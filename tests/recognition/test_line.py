"""Telephone lines: found soon, whatever the level, and nowhere else; clicks do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from streamer.recognition.line import LINE_SHAPE, after_each, after_one, telephone_share
from streamer.recognition.spectra import SpectralAnalysis
from streamer.recognition.voice_gate import SpeechDetector
from streamer.signal import SAMPLE_RATE, SPEECH_THRESHOLD, TIMESTEP_S
from tests.helpers.estimates import analyse
from train.measuring.effects import narrowband, telephone


@pytest.fixture(scope="module")
def analysis() -> SpectralAnalysis:
    return SpectralAnalysis(SpeechDetector())


def judged(analysis, samples):
    """Return the inputs of :func:`after_each`."""
    spectra = analyse(analysis, samples.astype(np.float32))
    return spectra.power.mean(axis=1, dtype=np.float64), spectra.speech >= SPEECH_THRESHOLD


def shares(analysis, samples):
    """Return how much of a telephone the line is after each timestep."""
    return telephone_share(after_each(np.zeros(LINE_SHAPE), *judged(analysis, samples)))


def in_16_bits(samples):
    return np.round(samples * 32_768.0) / 32_768.0


def without_lows(samples):
    lows = signal.butter(4, 300, "highpass", fs=SAMPLE_RATE, output="sos")
    return signal.sosfilt(lows, samples)


def with_pauses(samples):
    return np.concatenate([samples, np.zeros(3 * SAMPLE_RATE, np.float32)] * 3)


@pytest.mark.parametrize("gain_db", [0, -10, -20, -30])
@pytest.mark.parametrize("pauses", [np.asarray, with_pauses])
def test_a_telephone_is_found_at_any_level(analysis, speech, gain_db, pauses):
    over_line = in_16_bits(telephone(pauses(speech)) * 10.0 ** (gain_db / 20.0))
    found = shares(analysis, over_line)
    assert np.mean(found) > 0.9
    assert np.abs(np.diff(found[25:])).max() < 0.2  # it does not flicker


@pytest.mark.parametrize("gain_db", [0, -20])
@pytest.mark.parametrize("line", [np.asarray, narrowband, without_lows, in_16_bits])
def test_a_missing_band_alone_is_no_telephone(analysis, speech, gain_db, line):
    """Nothing above 4 kHz, or no lows: recordings at 8 kHz, and high voices."""
    found = shares(analysis, in_16_bits(line(speech) * 10.0 ** (gain_db / 20.0)))
    assert np.mean(found) < 0.05


def test_silence_and_white_noise_tell_nothing(analysis):
    noise = np.random.default_rng(0).normal(0.0, 0.01, 5 * SAMPLE_RATE)
    for samples in (np.zeros(SAMPLE_RATE), noise, narrowband(noise.astype(np.float32))):
        assert not shares(analysis, samples).any()


def test_speech_with_lows_is_no_telephone_though_the_pauses_have_none(analysis, speech):
    """As where a codec fills pauses with noise of its own, or a gate closes."""
    power, is_speech = judged(analysis, narrowband(speech))
    power[~is_speech, :5] = 0.0
    assert not telephone_share(after_each(np.zeros(LINE_SHAPE), power, is_speech))[75:].any()
    power[is_speech, :5] = 0.0
    assert telephone_share(after_each(np.zeros(LINE_SHAPE), power, is_speech))[25:].all()


@pytest.mark.parametrize("harm", ["click", "noise"])
def test_a_click_or_a_burst_of_noise_does_not_change_the_line(analysis, speech, harm):
    samples = telephone(np.concatenate([speech, speech]))
    middle = len(samples) // 2
    if harm == "click":
        samples[middle] = 0.3
    else:
        burst = np.random.default_rng(0).normal(0.0, 0.03, SAMPLE_RATE // 10)
        samples[middle : middle + len(burst)] += burst.astype(np.float32)
    found = shares(analysis, samples)
    assert found[25:].min() > 0.7


def test_a_change_of_the_line_is_followed_within_twelve_seconds(analysis, speech):
    several = np.concatenate([speech] * (1 + 15 * SAMPLE_RATE // len(speech)))
    other = telephone(several)
    to_telephone = shares(analysis, np.concatenate([several, other]))
    to_wideband = shares(analysis, np.concatenate([other, several]))
    change, later = int(len(several) / SAMPLE_RATE / TIMESTEP_S), round(12.0 / TIMESTEP_S)
    assert to_telephone[:change].max() < 0.01 and to_telephone[change + later :].min() > 0.5
    assert to_wideband[25:change].min() > 0.7 and to_wideband[change + later :].max() < 0.01


@pytest.mark.parametrize("line", [np.asarray, narrowband, telephone])
def test_single_timesteps_and_batches_follow_a_line_as_many_timesteps_do(analysis, speech, line):
    power, is_speech = judged(analysis, line(speech))
    together = after_each(np.zeros(LINE_SHAPE), power, is_speech)
    state = np.zeros((2, *LINE_SHAPE))
    for timestep, expected in enumerate(together):
        both = np.stack([power[timestep]] * 2), np.array([is_speech[timestep]] * 2)
        state = after_one(state, *both)
        for row in state:
            np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-9)
