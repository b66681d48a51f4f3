"""Augmentation: making and removing noise, and the possible settings."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from train.features.augment import (
    Augmentation,
    active_rms,
    coloured_noise,
    load_noises,
    made_background,
    noise_part,
    take_out_noise,
)


@pytest.mark.parametrize("make", [coloured_noise, made_background])
@pytest.mark.parametrize("samples", [1, 700, 48_000])
def test_made_noise_has_unit_rms_and_follows_from_the_generator(make, samples):
    noise = make(samples, np.random.default_rng(samples))
    assert (noise.shape, noise.dtype) == ((samples,), np.float32)
    assert np.sqrt(np.mean(noise.astype(np.float64) ** 2)) == pytest.approx(1.0, abs=0.01)
    np.testing.assert_array_equal(noise, make(samples, np.random.default_rng(samples)))


def test_made_backgrounds_waver_where_coloured_noise_is_steady():
    def deviation_db(make, seed):
        noise = make(80_000, np.random.default_rng(seed))
        return np.std(10 * np.log10(np.square(noise.reshape(-1, 4_000)).mean(axis=1)))

    made, steady = (
        np.mean([deviation_db(make, seed) for seed in range(20)])
        for make in (made_background, coloured_noise)
    )
    assert made > 2 * steady


def test_noise_is_taken_out_and_speech_is_not(speech):
    noise = np.random.default_rng(0).standard_normal(len(speech)) * active_rms(speech) * 0.05
    noisy = (speech + noise).astype(np.float32)
    clean = take_out_noise(noisy)
    assert len(clean) == len(noisy)
    assert active_rms(clean) == pytest.approx(active_rms(speech), rel=0.1)
    pauses = np.argsort(np.square(speech[: len(speech) // 320 * 320].reshape(-1, 320)).mean(1))[:40]

    def power_in_pauses(samples):
        return np.square(samples[: len(samples) // 320 * 320].reshape(-1, 320)[pauses]).mean()

    assert power_in_pauses(clean) < 0.1 * power_in_pauses(noisy)


def parts_of(root, names):
    return {name: noise_part(root / name) for name in names}


def test_takes_of_one_recording_and_minutes_of_one_place_are_in_one_part(tmp_path):
    takes = [
        f"dog-bark/{fold}-{n}-{take}.opus" for fold in "123" for n in range(40) for take in "AB"
    ]
    parts = parts_of(tmp_path, takes)
    for name in takes[::2]:
        assert parts[name] == parts[name.replace("-A.", "-B.")]
    minutes = [f"Metro/safe-20190701{m}{s}-x.opus" for m in range(1000, 1050) for s in (11, 47)]
    parts |= parts_of(tmp_path, minutes)
    for name in minutes[::2]:
        assert parts[name] == parts[name.replace("11-x", "47-x")]
    shares = [list(parts.values()).count(part) / len(parts) for part in ("train", "test")]
    assert shares == pytest.approx([0.8, 0.2], abs=0.08)


def test_adding_a_background_moves_no_other(tmp_path):
    hum = np.random.default_rng(0).normal(0, 0.1, 16_000)
    for number in range(12):
        (tmp_path / "rain").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "rain" / f"{number}-A.wav", hum * (number + 1) / 12, 16_000)
    trained, kept = load_noises(tmp_path, "train"), load_noises(tmp_path, "test")
    assert len(trained) + len(kept) == 12
    assert trained and kept
    load_noises.cache_clear()
    soundfile.write(tmp_path / "rain" / "99-A.wav", hum, 16_000)
    again = load_noises(tmp_path, "train"), load_noises(tmp_path, "test")
    for before, after in zip((trained, kept), again, strict=True):
        assert {one.tobytes() for one in before} <= {one.tobytes() for one in after}


def test_files_that_are_not_backgrounds_are_skipped(tmp_path):
    hum = np.random.default_rng(0).normal(0, 0.1, 16_000)
    for folder in ("impulse_responses", "short", "baby-cry", "person-sneeze", "rain"):
        (tmp_path / folder).mkdir()
        for number in range(5):
            soundfile.write(tmp_path / folder / f"{number}.wav", hum, 16_000)
        soundfile.write(tmp_path / folder / "click.wav", hum[:1_000], 16_000)
    soundfile.write(tmp_path / "rain" / "._0.wav", hum, 16_000)
    found = [*load_noises(tmp_path, "train"), *load_noises(tmp_path, "test")]
    assert [len(one) for one in found] == [16_000] * 5


def test_backgrounds_are_sound_files_of_any_kind(tmp_path):
    hum = np.random.default_rng(0).normal(0, 0.1, 16_000)
    for name in ("a.mp3", "b.WAV", "c.flac"):
        soundfile.write(tmp_path / name, hum, 16_000)
    assert len([*load_noises(tmp_path, "train"), *load_noises(tmp_path, "test")]) == 3


def test_a_damaged_background_is_read_up_to_the_damage(tmp_path):
    hum = np.random.default_rng(0).normal(0, 0.1, 32_000)
    path = tmp_path / "hum.flac"
    soundfile.write(path, hum, 16_000)
    path.write_bytes(path.read_bytes()[:-8_000])
    (found,) = load_noises(tmp_path, noise_part(path))
    assert 8_000 <= len(found) < 32_000
    np.testing.assert_allclose(found, hum[: len(found)], atol=1e-4)


def test_a_kind_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"'reverb': there are speed, .*rooms"):
        Augmentation().without(["reverb"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"room": 1.5}, "room must be a number, from 0 to 1; is 1.5"),
        ({"denoise": -0.1}, "denoise must be"),
        ({"real_noise": "often"}, "real_noise must be"),
        ({"silent": 2}, "silent must be"),
        ({"telephone": 2}, "telephone must be"),
        ({"codec": "low"}, "codec must be"),
        ({"clipping": -1}, "clipping must be"),
        ({"offset": 2}, "offset must be"),
        ({"band_limit": 2}, "band_limit must be"),
        ({"speed": (1.1, 0.9)}, "speed must be two numbers, the lower one first"),
        ({"speed": (0.0, 1.0)}, "speed must be"),
        ({"gain_db": (1.0,)}, "gain_db must be"),
        ({"floor_db": -20.0}, "floor_db must be"),
        ({"masked_bins": 202}, "masked_bins must be a whole number, from 0 to 201"),
        ({"masked_timesteps": 1.5}, "masked_timesteps must be"),
        ({"mixup": -1}, "mixup must be"),
        ({"tilt_db": float("nan")}, "tilt_db must be"),
    ],
)
def test_impossible_ranges_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**setting)
