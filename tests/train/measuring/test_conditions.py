"""Recordings in noise, at other levels, over other lines and in other voices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.errors import SerLiveError
from streamer.signal import SAMPLE_RATE
from train.features.augment import active_rms, load_noises, load_rooms, noise_part
from train.measuring.choices import KINDS
from train.measuring.conditions import CLEAN, EFFECT_KINDS, Condition, heard_in
from train.measuring.effects import (
    CLIPPED_SPEECH_RMS,
    EFFECTS,
    OFFSET,
    OFFSET_GAIN,
    narrowband,
    offset,
    pitch,
    stretch,
    telephone,
)


def test_noise_lies_under_the_speech_by_the_ratio(speech, noise_root):
    noises = []
    for snr_db in (20.0, 0.0):
        mixed = heard_in(Condition(snr_db=snr_db), speech, "cremad/a", noise_root)
        noises.append(mixed - speech)
        rms = np.sqrt(np.mean(noises[-1].astype(np.float64) ** 2))
        assert 20 * np.log10(active_rms(speech) / rms) == pytest.approx(snr_db, abs=0.05)
    np.testing.assert_allclose(noises[0] * 10, noises[1], atol=1e-4)  # the same noise, louder
    other = heard_in(Condition(snr_db=0.0), speech, "cremad/b", noise_root)
    assert not np.allclose(other - speech, noises[1], atol=1e-3)


def test_gain_clips_as_a_converter_does(speech, noise_root):
    loud = heard_in(Condition(gain_db=40.0), speech, "a", noise_root)
    assert np.abs(loud).max() == 1.0
    quiet = heard_in(Condition(gain_db=-20.0), speech, "a", noise_root)
    np.testing.assert_allclose(quiet, speech / 10, rtol=1e-6)
    assert heard_in(CLEAN, speech, "a", noise_root) is speech


def test_training_noise_is_not_used_in_evaluation(noise_root, tmp_path):
    paths = sorted((noise_root / "House").rglob("*.wav"))
    parts = {part: load_noises(noise_root, part) for part in ("train", "test")}
    assert all(parts.values())
    assert sum(map(len, parts.values())) == len(paths)
    assert [noise_part(path) for path in paths].count("test") == len(parts["test"])
    with pytest.raises(SerLiveError, match="no background recordings"):
        heard_in(Condition(snr_db=0.0), np.zeros(9, np.float32), "a", tmp_path / "nowhere")


def test_noises_of_one_minute_are_on_one_side():
    def part(minute, second):
        return noise_part(Path(f"Roads/background-safe-{minute}{second:02d}-abc.opus"))

    minutes = [f"2019070912{minute:02d}" for minute in range(60)]
    for minute in minutes:
        assert len({part(minute, second) for second in range(60)}) == 1
    assert {part(minute, 0) for minute in minutes} == {"train", "test"}


def tone(hertz, seconds=1.0, level=0.1):
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def level_of(samples):
    return np.sqrt(np.mean(samples[4_000:-4_000].astype(np.float64) ** 2))


def loudest_hertz(samples):
    return (
        np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax()
        * SAMPLE_RATE
        / len(samples)
    )


def test_every_condition_can_be_asked_for():
    assert {effect for names in EFFECT_KINDS.values() for effect in names} == set(EFFECTS)
    assert set(KINDS) == {"snr", "gain", "streams", "profiles", *EFFECT_KINDS}
    with pytest.raises(ValueError, match="effect must be one of"):
        Condition(effect="underwater")


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_changes_speech_and_is_always_the_same(effect, speech, noise_root):
    clip = speech[:33_333]
    heard = heard_in(Condition(effect=effect), clip, "a", noise_root)
    assert heard.dtype == np.float32
    assert len(heard) == (round(33_333 / 1.25) if effect == "tempo 1.25" else 33_333)
    assert np.isfinite(heard).all()
    assert np.abs(heard).max() <= 1.5
    assert active_rms(heard) > 0.01
    np.testing.assert_array_equal(heard, heard_in(Condition(effect=effect), clip, "a", noise_root))
    assert not np.array_equal(heard[:26_000], clip[:26_000])
    for nothing in (np.zeros(9, np.float32), np.zeros(9_000, np.float32)):
        assert np.isfinite(heard_in(Condition(effect=effect), nothing, "a", noise_root)).all()


def test_at_8_khz_the_band_below_4_khz_stays():
    for hertz in (100, 1_000, 3_500):
        assert level_of(narrowband(tone(hertz))) == pytest.approx(level_of(tone(hertz)), rel=0.01)
    assert level_of(narrowband(tone(4_300))) < 1e-4 * level_of(tone(4_300))


def test_a_telephone_passes_its_band_and_no_more():
    assert level_of(telephone(tone(1_000))) == pytest.approx(level_of(tone(1_000)), rel=0.1)
    for hertz in (100, 3_900, 6_000):
        assert level_of(telephone(tone(hertz))) < 0.1 * level_of(tone(hertz))


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_speech_of_any_level_is_clipped_alike(gain, speech, noise_root):
    heard = heard_in(Condition(effect="clipping"), speech * np.float32(gain), "a", noise_root)
    assert np.abs(heard).max() == 1.0
    assert (np.abs(heard) >= 1.0).mean() == pytest.approx(0.22, abs=0.05)
    quiet = np.abs(speech) < 0.1 / CLIPPED_SPEECH_RMS * active_rms(speech)
    found = active_rms(speech) / CLIPPED_SPEECH_RMS * heard[quiet]
    np.testing.assert_allclose(found, speech[quiet], atol=1e-6)


def test_an_offset_lies_under_quiet_speech(speech):
    heard = offset(speech)
    np.testing.assert_allclose((heard - OFFSET) / OFFSET_GAIN, speech, atol=1e-6)


def test_pitch_changes_and_tempo_does_not():
    for semitones in (-5.0, 5.0):
        found = pitch(tone(400.0, 2.0), semitones)
        assert loudest_hertz(found) == pytest.approx(400.0 * 2 ** (semitones / 12), rel=0.02)


def test_tempo_changes_and_pitch_does_not():
    found = stretch(tone(400.0, 2.0), 0.8)
    assert len(found) == 25_600
    assert loudest_hertz(found) == pytest.approx(400.0, rel=0.02)


def test_stretching_by_one_changes_nothing(speech):
    np.testing.assert_allclose(stretch(speech, 1.0), speech, atol=1e-6)


def test_a_far_voice_is_quieter_reverberant_and_in_noise(speech, noise_root, tmp_path):
    heard = heard_in(Condition(effect="far"), speech, "a", noise_root)
    ratio = active_rms(heard) / active_rms(speech)
    assert 20 * np.log10(ratio) == pytest.approx(-10.0, abs=0.5)
    quiet = np.concatenate([speech[:16_000], np.zeros(16_000, np.float32)])
    tail = heard_in(Condition(effect="far"), quiet, "a", noise_root)[-8_000:]
    noise = np.sqrt(np.mean(tail.astype(np.float64) ** 2))
    assert 20 * np.log10(noise / active_rms(quiet)) == pytest.approx(-25.0, abs=1.0)
    with pytest.raises(SerLiveError, match="no background recordings"):
        heard_in(Condition(effect="far"), speech, "a", tmp_path / "nowhere")


def test_a_far_voice_is_in_no_room_that_training_hears(speech, noise_root):
    before = heard_in(Condition(effect="far"), speech, "a", noise_root)
    (noise_root / "impulse_responses" / "room.wav").unlink()
    load_rooms.cache_clear()
    np.testing.assert_array_equal(
        heard_in(Condition(effect="far"), speech, "a", noise_root), before
    )
    assert not np.array_equal(heard_in(Condition(effect="far"), speech, "b", noise_root), before)
