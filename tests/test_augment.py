"""Augmented copies: what is drawn, what an ablation leaves out, what settings are possible."""

from __future__ import annotations

import numpy as np
import pytest

from train.augment import (
    KINDS,
    Augmentation,
    active_rms,
    augment,
    coloured_noise,
    made_background,
    take_out_noise,
)

NOTHING = Augmentation().without(KINDS)


def test_augmentation_is_deterministic_and_keeps_the_words_in_place(speech):
    clip = speech[:32_000]
    ranges = Augmentation(speed=(1.0, 1.0), room=0.0, floor_db=(-60.0, -60.0), real_noise=0.0)

    def copy(seed):
        return augment(clip, speech[40_000:60_000], ranges, [], [], np.random.default_rng(seed))

    first, start = copy(1)
    again, _ = copy(1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, copy(2)[0])
    assert len(first) == start + len(clip) >= 20_000 + len(clip)
    lag = np.argmax(np.correlate(first[start - 200 : start + 8_200], clip[:8_000], "valid"))
    assert abs(lag - 200) <= 8  # the colouring filter is symmetric


def test_the_noise_floor_is_drawn_relative_to_the_speech(speech):
    for floor_db in (-40.0, -10.0):
        ranges = Augmentation(
            speed=(1.0, 1.0), room=0.0, tilt_db=0.0, real_noise=0.0, denoise=1.0, lead_s=2.0,
            previous=0.0, floor_db=(floor_db, floor_db),
        )  # fmt: skip
        heard, start = augment(speech[:40_000], None, ranges, [], [], np.random.default_rng(3))
        ratio_db = 20 * np.log10(active_rms(heard[:start]) / active_rms(heard[start:]))
        assert ratio_db == pytest.approx(floor_db, abs=3)


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


def test_without_all_kinds_a_copy_is_the_recording(speech):
    for seed in range(8):
        heard, start = augment(speech, None, NOTHING, [speech], [], np.random.default_rng(seed))
        assert start == 0
        np.testing.assert_allclose(heard, speech, atol=1e-6)


@pytest.mark.parametrize("kind", set(KINDS) - {"specaugment", "mixup", "before"})
def test_every_kind_changes_what_is_heard(speech, kind):
    loud = Augmentation(room=1.0, denoise=1.0, floor_db=(-10.0, -10.0))
    others = loud.without(set(KINDS) - {kind})
    heard, _ = augment(speech, None, others, [], [], np.random.default_rng(1))
    assert len(heard) != len(speech) or np.abs(heard - speech).max() > 0.01


def test_a_kind_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"'reverb': there are speed, .*rooms"):
        Augmentation().without(["reverb"])


def test_what_batches_do_makes_no_other_waveforms():
    changed = Augmentation(masked_bins=3, masked_timesteps=3, mixup=0.4)
    assert changed.of_waveforms() == Augmentation().of_waveforms()
    assert Augmentation(room=0.0).of_waveforms() != Augmentation().of_waveforms()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"room": 1.5}, "room must be a number, from 0 to 1; is 1.5"),
        ({"denoise": -0.1}, "denoise must be"),
        ({"real_noise": "often"}, "real_noise must be"),
        ({"previous": 2}, "previous must be"),
        ({"speed": (1.1, 0.9)}, "speed must be two numbers, the lower one first"),
        ({"speed": (0.0, 1.0)}, "speed must be"),
        ({"gain_db": (1.0,)}, "gain_db must be"),
        ({"floor_db": -20.0}, "floor_db must be"),
        ({"masked_bins": 202}, "masked_bins must be a whole number, from 0 to 201"),
        ({"masked_timesteps": 1.5}, "masked_timesteps must be"),
        ({"mixup": -1}, "mixup must be"),
        ({"tilt_db": float("nan")}, "tilt_db must be"),
        ({"lead_s": -1}, "lead_s must be"),
    ],
)
def test_impossible_ranges_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**setting)
