"""Spectra and features of drawn streams equal the runtime's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import signal

from streamer.recognition.spectra import Spectra, SpectralAnalysis, frames_of
from streamer.recognition.spectra import power_spectra as runtime_spectra
from streamer.recognition.voice_gate import SpeechDetector
from streamer.signal import (
    FRAMES_PER_TIMESTEP,
    FREQUENCY_BINS,
    SAMPLE_RATE,
    SPEECH_THRESHOLD,
)
from tests.helpers.drawn import SEED, drawer_of, drawn
from train.features.data import analyse
from train.features.spectra import normalise, power_spectra, samples_of
from train.measuring.effects import narrowband, telephone

pytestmark = pytest.mark.usefixtures("few_surroundings")


def half_a_telephone(samples):
    """A line whose lows are neither there nor missing."""
    lows = signal.butter(2, 240, "highpass", fs=SAMPLE_RATE, output="sos")
    return narrowband(signal.sosfilt(lows, samples).astype(np.float32))


@pytest.mark.parametrize("line", [np.asarray, telephone, narrowband, half_a_telephone])
def test_spectra_and_features_are_those_of_the_runtime(speech, data, line):
    samples = torch.from_numpy(line(speech[: samples_of(200)]))
    power = power_spectra(samples[None])
    own = runtime_spectra(frames_of(samples.numpy()))
    np.testing.assert_allclose(power[0], own, rtol=1e-3, atol=1e-5)
    spectra = analyse(samples.numpy(), SpectralAnalysis(SpeechDetector()))
    assert 0.3 < (spectra.speech[:200] >= SPEECH_THRESHOLD).mean() < 0.95
    live, _ = data.normaliser.normalise(spectra, data.normaliser.initial_state())
    decisions = torch.from_numpy(spectra.speech[None, :200])
    features = normalise(power, decisions, data.normaliser)
    np.testing.assert_allclose(features[0], live[:200], atol=1e-3)


def test_drawn_features_equal_the_runtimes_for_the_same_sound(data):
    """Uses the speech probabilities of each recording alone."""
    batch = drawn(data)
    samples, speech = drawer_of(data).sounds(3, SEED)
    for row in range(3):
        power = runtime_spectra(frames_of(samples[row].numpy()))
        power = power.reshape(-1, FRAMES_PER_TIMESTEP, FREQUENCY_BINS)
        spectra = Spectra(power, speech[row].numpy())
        live, _ = data.normaliser.normalise(spectra, data.normaliser.initial_state())
        own = power_spectra(samples[row : row + 1])
        features = normalise(own, speech[row : row + 1], data.normaliser)[0]
        np.testing.assert_allclose(features, live, atol=1e-3)
        # A batch stores features with eight bits.
        np.testing.assert_allclose(batch.features[row].float(), live, atol=0.01)


def test_an_offset_of_the_converter_is_not_heard(speech, data):
    samples = speech[: samples_of(200)]
    features, decisions = [], []
    for offset in (0.0, 0.02):
        shifted = (samples + offset).astype(np.float32)
        found = analyse(shifted, SpectralAnalysis(SpeechDetector())).speech[:200]
        decisions.append(found >= SPEECH_THRESHOLD)
        power = power_spectra(torch.from_numpy(shifted)[None])
        features.append(normalise(power, torch.from_numpy(found)[None], data.normaliser))
    assert (decisions[0] == decisions[1]).mean() > 0.99
    assert (features[0] - features[1]).abs().mean() < 1e-3
