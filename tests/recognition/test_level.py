"""The level of a voice: that of its latest speech, whatever the block sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from streamer.recognition.level import UNKNOWN_DB, LevelState, levels_of
from streamer.recognition.spectra import Spectra, SpectralAnalysis
from streamer.recognition.voice_gate import SpeechDetector
from streamer.signal import SAMPLE_RATE, SPEECH_THRESHOLD
from tests.helpers.estimates import analyse, block_sizes


def spectra_of(samples, speech=1.0):
    """Spectra whose timesteps are all speech, or as given."""
    spectra = analyse(SpectralAnalysis(SpeechDetector()), samples.astype(np.float32))
    return Spectra(spectra.power, np.broadcast_to(np.float32(speech), len(spectra.speech)))


def noise(seconds, level_db):
    generator = np.random.default_rng(1)
    return 10.0 ** (level_db / 20.0) * generator.normal(size=round(seconds * SAMPLE_RATE))


def levels(spectra, state=None):
    found, after = levels_of(spectra, state or LevelState())
    return np.array(found), after


@pytest.mark.parametrize("level_db", [-10.0, -30.0, -60.0])
def test_a_level_is_that_of_the_samples(level_db):
    found, _ = levels(spectra_of(noise(4, level_db)))
    assert found[-1] == pytest.approx(level_db, abs=0.3)
    tone = 2**0.5 * np.sin(np.arange(4 * SAMPLE_RATE)) * 10.0 ** (level_db / 20.0)
    assert levels(spectra_of(tone))[0][-1] == pytest.approx(level_db, abs=0.1)


def test_an_offset_and_rumble_are_no_level():
    seconds = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    rumble = 0.1 + 0.05 * np.sin(2 * np.pi * 15 * seconds)
    found, _ = levels(spectra_of(noise(4, -40.0) + rumble))
    assert found[-2] == pytest.approx(-40.0, abs=0.5)


def test_a_rise_is_followed_within_a_second_and_a_fall_within_two():
    found, _ = levels(spectra_of(np.concatenate([noise(4, -20.0), noise(4, -40.0)])))
    assert found[99] == pytest.approx(-20.0, abs=0.5)
    assert found[125] == pytest.approx(-29.0, abs=1.0)
    assert found[150] == pytest.approx(-36.5, abs=1.0)
    assert found[190] == pytest.approx(-40.0, abs=0.5)
    found, _ = levels(spectra_of(np.concatenate([noise(4, -40.0), noise(4, -20.0)])))
    assert found[105] == pytest.approx(-24.0, abs=1.0)
    assert found[125] == pytest.approx(-20.6, abs=0.5)


def test_only_speech_has_a_level():
    samples = np.concatenate([noise(2, -60.0), noise(2, -20.0), noise(2, -60.0)])
    spectra = spectra_of(samples)
    speech = np.where(np.arange(150) // 50 == 1, 1.0, 0.0).astype(np.float32)
    found, _ = levels(Spectra(spectra.power, speech))
    assert (found[:50] == UNKNOWN_DB).all()
    assert found[99] == pytest.approx(-20.0, abs=0.5)
    assert (found[100:] == found[99]).all()


def test_after_a_long_pause_only_the_new_speech_counts():
    _, state = levels(spectra_of(noise(2, -10.0)))
    _, state = levels(spectra_of(noise(4000, -90.0), speech=0.0), state)
    found, _ = levels(spectra_of(noise(1, -50.0)), state)
    assert found[0] == pytest.approx(-50.0, abs=1.0)


def test_digital_silence_has_a_finite_level():
    found, _ = levels(spectra_of(np.zeros(SAMPLE_RATE)))
    assert (found == -100.0).all()


@settings(max_examples=10, deadline=None)
@given(sizes=block_sizes)
def test_blocks_do_not_change_the_levels(speech, sizes):
    spectra = analyse(SpectralAnalysis(SpeechDetector()), speech)
    assert (spectra.speech >= SPEECH_THRESHOLD).any()
    whole, _ = levels_of(spectra, LevelState())
    cuts = np.minimum(np.cumsum(sizes) // 640, len(whole))
    parts, state = [], LevelState()
    for power, part in zip(
        np.split(spectra.power, cuts), np.split(spectra.speech, cuts), strict=True
    ):
        found, state = levels_of(Spectra(power, part), state)
        parts += found
    assert parts == whole
