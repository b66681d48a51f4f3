"""The front end: no sample twice or lost, independent of blocks, of level and of noise floor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from streamer.recognition.normaliser import Normaliser
from streamer.recognition.spectra import (
    LOWEST_BIN,
    Spectra,
    SpectralAnalysis,
    frames_of,
    power_spectra,
)
from streamer.recognition.voice_gate import SpeechDetector
from streamer.signal import FRAME_SAMPLES, FREQUENCY_BINS, HOP_SAMPLES, SAMPLE_RATE
from tests.helpers.estimates import analyse
from train.measuring.effects import narrowband, telephone

FLAT = np.full(FREQUENCY_BINS, 1.0 / FREQUENCY_BINS)


@pytest.fixture(scope="module")
def analysis() -> SpectralAnalysis:
    return SpectralAnalysis(SpeechDetector())


def test_power_is_that_of_an_independent_stft(speech):
    window = np.hanning(FRAME_SAMPLES + 1)[:-1]  # periodic
    _, _, spectrum = signal.stft(
        speech.astype(np.float64),
        window=window,
        nperseg=FRAME_SAMPLES,
        noverlap=FRAME_SAMPLES - HOP_SAMPLES,
        boundary=None,
        padded=False,
    )
    reference = np.abs(spectrum.T * window.sum()) ** 2
    power = power_spectra(frames_of(speech))
    np.testing.assert_allclose(
        power[:, LOWEST_BIN:], reference[:, LOWEST_BIN:], rtol=1e-3, atol=1e-6
    )
    assert not power[:, :LOWEST_BIN].any()


def test_nothing_is_heard_below_80_hz():
    assert LOWEST_BIN * SAMPLE_RATE / FRAME_SAMPLES == 80
    offset = np.full(4_000, 0.5, np.float32)
    assert power_spectra(frames_of(offset)).max() < 1e-6 * (0.5 * FRAME_SAMPLES / 2) ** 2
    rumble = np.sin(2 * np.pi * 40 * np.arange(4_000) / SAMPLE_RATE).astype(np.float32)
    voice = np.sin(2 * np.pi * 120 * np.arange(4_000) / SAMPLE_RATE).astype(np.float32)
    heard = [power_spectra(frames_of(one)).sum() for one in (rumble, voice)]
    assert heard[0] < 0.2 * heard[1]  # the window spreads a tone over the bins beside its own


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_blocks_of_any_size_give_the_same_bits(analysis, speech, data):
    length = data.draw(st.integers(0, 40_000))
    samples = speech[:length]
    ends = data.draw(st.lists(st.integers(0, length), max_size=12))
    whole, cut = analyse(analysis, samples), analyse(analysis, samples, ends)
    np.testing.assert_array_equal(whole.power, cut.power)
    np.testing.assert_array_equal(whole.speech, cut.speech)
    assert len(whole.power) == length // 640


def test_one_sample_at_a_time_gives_the_same_bits(analysis, speech):
    samples = speech[:4_000]
    whole, cut = analyse(analysis, samples), analyse(analysis, samples, range(4_000))
    np.testing.assert_array_equal(whole.power, cut.power)
    np.testing.assert_array_equal(whole.speech, cut.speech)


@pytest.mark.parametrize("length", [0, 1, 399, 400, 639, 640, 641, 879, 880, 1279, 1280, 16_000])
def test_every_whole_40_ms_is_a_timestep(analysis, speech, length):
    assert len(analyse(analysis, speech[:length]).power) == length // 640


def test_the_last_frames_are_completed_with_zeros(analysis, speech):
    samples = speech[8_000 : 8_000 + 1280]
    power = analyse(analysis, samples).power.reshape(-1, FREQUENCY_BINS)
    np.testing.assert_array_equal(power, power_spectra(frames_of(np.pad(samples, (0, 240)))))


def reference_prior(line, normaliser):
    """Compute the prior from the judgements on a stream's timesteps so far."""
    share = 1.0
    for (count, total), (zero, one), unknown in zip(
        line, ((0.8, 0.95), (-16.0, -17.0), (-18.0, -24.0)), (0.0, 1.0, 1.0), strict=True
    ):
        share *= np.clip((total / count - zero) / (one - zero), 0.0, 1.0) if count else unknown
    left = 1 / (1 + (300 / np.maximum(40 * np.arange(FREQUENCY_BINS), 1)) ** 8)
    telephone = normaliser.prior_spectrum * np.maximum(left, 0.01)
    return (1 - share) * normaliser.prior_spectrum + share * telephone / telephone.sum()


def follow_line(line, mean, is_speech):
    """Judge a timestep and add it to the averages of its kinds, in place."""
    lows, inside, beyond = mean[:5].sum(), mean[:103].sum(), mean[103:].sum()
    if inside <= 4e-5:
        return
    is_narrow = beyond <= 1e-6 * inside + 2e-6
    lows_db = max(10 * np.log10(max(lows, 1e-30) / inside), -60.0)
    kinds = [(0, float(is_narrow))] + [(1 + is_speech, lows_db)] * int(is_narrow)
    for kind, value in kinds:
        line[kind] = np.exp(-1 / 125) * line[kind] + (1.0, value)


def reference_features(spectra, normaliser):
    """Compute the normaliser's equations in plain loops."""
    keep = np.exp(-1 / normaliser.memory_timesteps)
    floor = 10 ** (normaliser.floor_db / 10)
    total, count, loudest, features = np.zeros(FREQUENCY_BINS), 0.0, 0.0, []
    line = np.zeros((3, 2))
    for power, speech in zip(spectra.power.astype(np.float64), spectra.speech, strict=True):
        mean = power.mean(axis=0)
        loudest = max(loudest, mean.sum())
        follow_line(line, mean, bool(speech >= normaliser.speech_threshold))
        if speech >= normaliser.speech_threshold:
            total, count = keep * total + mean, keep * count + 1
        level = total.sum() / count if count else loudest
        n0, prior = normaliser.prior_timesteps, reference_prior(line, normaliser)
        reference = (n0 * level * prior + total) / (n0 + count)
        features.append(np.log1p(power / (floor * reference + 1e-10)) / np.log1p(1 / floor))
    return np.array(features)


@pytest.mark.parametrize("line", [np.asarray, telephone, narrowband])
def test_normaliser_follows_its_equations(analysis, speech, line):
    spectra = analyse(analysis, line(speech[:48_000]))
    assert 0.2 < (spectra.speech >= 0.5).mean() < 1.0
    normaliser = Normaliser(FLAT, prior_timesteps=7.0, memory_timesteps=20.0, floor_db=-18.0)
    features, _ = normaliser.normalise(spectra, normaliser.initial_state())
    np.testing.assert_allclose(features, reference_features(spectra, normaliser), atol=2e-6)


def test_a_telephones_prior_does_not_expect_its_lows():
    prior = Normaliser(FLAT).telephone_spectrum
    assert prior.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(prior[15:], prior[-1], rtol=0.01)  # from 600 Hz on
    assert 10 * np.log10(prior[5] / prior[-1]) == pytest.approx(-14.2, abs=0.5)  # 200 Hz
    assert 10 * np.log10(prior[2] / prior[-1]) == pytest.approx(-20.0, abs=0.1)


@pytest.mark.parametrize("line", [np.asarray, telephone])
def test_normaliser_carries_its_state(analysis, speech, line):
    spectra = analyse(analysis, line(speech[:48_000]))
    normaliser = Normaliser(FLAT)
    whole, _ = normaliser.normalise(spectra, normaliser.initial_state())
    state, parts = normaliser.initial_state(), []
    for rows in (slice(0, 1), slice(1, 30), slice(30, None)):
        part = Spectra(spectra.power[rows], spectra.speech[rows])
        values, state = normaliser.normalise(part, state)
        parts.append(values)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_normaliser_takes_a_batch_of_streams(analysis, speech):
    normaliser = Normaliser(FLAT)
    parts = speech[:32_000], telephone(speech[40_000:72_000])
    alone = [analyse(analysis, part) for part in parts]
    batch = Spectra(np.stack([s.power for s in alone]), np.stack([s.speech for s in alone]))
    together, _ = normaliser.normalise(batch, normaliser.initial_state((2,)))
    for row, spectra in zip(together, alone, strict=True):
        expected, _ = normaliser.normalise(spectra, normaliser.initial_state())
        np.testing.assert_allclose(row, expected, atol=1e-6)


@pytest.mark.parametrize("gain_db", [-30, -12, 12])
def test_features_do_not_depend_on_the_level(analysis, speech, gain_db):
    normaliser = Normaliser(FLAT)

    def features(samples):
        spectra = analyse(analysis, samples.astype(np.float32))
        return normaliser.normalise(spectra, normaliser.initial_state())[0]

    quiet = features(speech * 10 ** (gain_db / 20))
    assert np.abs(quiet - features(speech)).mean() < 0.01


@pytest.mark.parametrize("offset", [0.02, -0.02])
def test_features_do_not_depend_on_an_offset_of_the_converter(analysis, speech, offset):
    normaliser = Normaliser(FLAT)

    def features(samples):
        spectra = analyse(analysis, samples.astype(np.float32))
        return normaliser.normalise(spectra, normaliser.initial_state())[0], spectra.speech >= 0.5

    values, heard = features(speech)
    shifted, heard_shifted = features(speech + offset)
    assert (heard == heard_shifted).mean() > 0.99
    assert np.abs(shifted - values).mean() < 0.003


def test_noise_far_below_the_speech_does_not_change_features(analysis, speech):
    normaliser = Normaliser(FLAT)
    noise = np.random.default_rng(0).standard_normal(len(speech))
    noise *= 10 ** (-60 / 20) * np.sqrt(np.mean(speech**2))
    clean, noisy = (
        normaliser.normalise(analyse(analysis, s.astype(np.float32)), normaliser.initial_state())[0]
        for s in (speech, speech + noise)
    )
    # Before the first word there is no level that the floor could be relative to.
    assert np.abs(clean - noisy)[10:].mean() < 0.02


def test_digital_silence_is_zero_and_finite(analysis):
    normaliser = Normaliser(FLAT)
    spectra = analyse(analysis, np.zeros(16_000, np.float32))
    features, _ = normaliser.normalise(spectra, normaliser.initial_state())
    assert not features.any()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"prior_spectrum": np.ones(200)}, "prior_spectrum"),
        ({"prior_spectrum": np.zeros(FREQUENCY_BINS)}, "prior_spectrum"),
        ({"prior_timesteps": 0.0}, "prior_timesteps"),
        ({"memory_timesteps": float("nan")}, "memory_timesteps"),
        ({"floor_db": 3.0}, "floor_db"),
    ],
)
def test_impossible_settings_are_named(change, name):
    with pytest.raises(ValueError, match=name):
        Normaliser(**({"prior_spectrum": FLAT} | change))


def test_the_loudest_of_the_chunks_that_a_timestep_finishes_counts(analysis, speech):
    detector = SpeechDetector()
    chunks, _ = detector.accept(speech, detector.initial_state())
    found = analyse(analysis, speech).speech
    for timestep in range(len(speech) // 640 - 1):
        before = (640 * timestep + 240) // 512 if timestep else 0
        finished = chunks[before : (640 * timestep + 880) // 512]
        assert len(finished) in (1, 2)
        assert found[timestep] == pytest.approx(max(finished), abs=1e-5)


@pytest.mark.parametrize("line", [np.asarray, telephone])
@pytest.mark.parametrize("at_once", [2, 7, 64])
def test_many_timesteps_are_normalised_as_single_ones(analysis, speech, at_once, line):
    spectra, normaliser = analyse(analysis, line(speech)), Normaliser(FLAT)
    each, one = normaliser.normalise(spectra, normaliser.initial_state())
    together, other = normaliser.normalise(spectra, normaliser.initial_state(), at_once)
    np.testing.assert_allclose(together, each, rtol=0, atol=1e-6)
    np.testing.assert_allclose(other.power, one.power, rtol=1e-9)
    np.testing.assert_allclose(other.line, one.line, rtol=1e-9)
    assert float(other.loudest) == pytest.approx(float(one.loudest))
    assert float(other.timesteps) == pytest.approx(float(one.timesteps))
