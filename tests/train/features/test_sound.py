"""Augmentation of the sound: converters, rooms, lines, backgrounds and speed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import signal

import train.features.sound
from streamer.signal import (
    FREQUENCY_BINS,
    SAMPLE_RATE,
)
from streamer.sound.files.recording import read_recording
from tests.helpers.drawn import ALL, NOTHING, SEED, drawer_of, drawn, pool_of
from train.features.arrangement import Placement, Streams, arrange
from train.features.augment import KINDS, active_rms
from train.features.sound import JUDGED_ON, make_surroundings, place, surround, thin_out
from train.features.spectra import power_spectra, samples_of
from train.place import CPU

pytestmark = pytest.mark.usefixtures("few_surroundings")


def test_without_augmentation_a_stretch_equals_the_recordings(data, recordings):
    samples, _ = drawer_of(data, streams=Streams(seconds=8.0, uneven_db=0.0)).sounds(4, SEED)
    placements = drawer_of(data)._arrange(4, np.random.default_rng(SEED))
    for row, stretch in enumerate(placements):
        expected = np.zeros(samples.shape[1], np.float32)
        for one in stretch:
            recording = read_recording(recordings[one.recording])[: one.samples]
            expected[one.at : one.at + len(recording)] = recording
        np.testing.assert_allclose(samples[row], expected, atol=1e-4)


def heard_of(data, augmentation):
    """Return samples and features, with all utterances at the same level."""
    streams = Streams(seconds=6.0, uneven_db=0.0, lead_s=0.5)
    samples, _ = drawer_of(data, augmentation, streams).sounds(4, SEED)
    return samples, drawn(data, augmentation, streams, batch=4).features.float()


@pytest.fixture(scope="module")
def untouched(data):
    """Samples and features without augmentation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.features.sound, "MADE_NOISES", 4)
        patch.setattr(train.features.sound, "MADE_ROOMS", 4)
        return heard_of(data, NOTHING)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_changes_the_sound_and_without_it_nothing_does(data, untouched, kind):
    alone = ALL.without(set(KINDS) - {kind})
    samples, features = heard_of(data, alone)
    louder, other = (
        (one - before).abs() for one, before in zip((samples, features), untouched, strict=True)
    )
    if kind in ("specaugment", "mixup"):
        assert not louder.any()
    else:
        assert (louder.amax(dim=1) > 0.005).all()
    if kind != "gain":  # features do not depend on the level
        changed = other.mean(dim=(1, 2, 3)) > 0.005
        assert changed.any() if kind == "mixup" else changed.all()  # some mix with themselves
    for before, after in zip(untouched, heard_of(data, alone.without([kind])), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("line", ["telephone", "codec", "clipping", "offset", "band_limit"])
def test_every_line_but_an_offset_changes_the_features(data, untouched, line):
    _, features = heard_of(data, replace(NOTHING, **{line: 1.0}))
    difference = (features - untouched[1]).abs().mean(dim=(1, 2, 3))
    assert (difference < 1e-4).all() if line == "offset" else (difference > 0.001).all()


def test_the_share_of_changed_streams_equals_the_probability(data):
    streams = Streams(seconds=2.0, uneven_db=0.0)
    for line in ("codec", "clipping", "band_limit", "telephone"):
        some = drawn(data, replace(NOTHING, **{line: 0.5}), streams, batch=30).features
        none = drawn(data, NOTHING, streams, batch=30).features
        changed = (some != none).flatten(1).any(dim=1)
        assert 7 <= int(changed.sum()) <= 23


def test_a_faster_stretch_is_shorter_with_the_same_content(data, recordings):
    whole = int(data.bank.lengths[0])
    fast = Placement(0, 0, int(whole / 1.1) - 2, 1.1, 0.0)
    heard = place(torch.from_numpy(data.bank.recorded), data.bank, [[fast]], whole)[0].numpy()
    assert not heard[fast.samples :].any()
    assert heard[fast.samples - 640 : fast.samples].any()
    expected = signal.resample_poly(read_recording(recordings[0]), 10, 11)[: fast.samples]
    assert np.corrcoef(heard[: fast.samples], expected)[0, 1] > 0.998

    def envelope(samples):
        pieces = samples[: len(samples) // 320 * 320].reshape(-1, 320)
        return np.sqrt(np.square(pieces).mean(axis=1))

    assert np.corrcoef(envelope(heard[: fast.samples]), envelope(expected))[0, 1] > 0.99


@pytest.mark.parametrize("speed", [1.0, 0.8, 1.25])
def test_the_marks_lie_where_the_sound_is_at_any_speed(data, speed):
    """Every timestep of the sound is as loud as its source in the bank."""
    bank, loud = data.bank, []
    for index in range(len(bank)):
        samples = bank.recorded[bank.starts[index] : bank.ends[index]] / bank.gains[index]
        whole = samples[: len(samples) // 640 * 640].reshape(-1, 640)
        loud.append(np.square(whole).mean(axis=1))
    loud = np.log(np.concatenate(loud) + 1.0)
    assert len(loud) == len(bank.speech)
    streams = Streams(seconds=8.0, lead_s=2.0, uneven_db=0.0)
    drawer = drawer_of(data, replace(NOTHING, speed=(speed, speed)), streams)
    sources = drawer.draw(8, SEED).sources.numpy()
    samples = drawer.sounds(8, SEED)[0][:, : 200 * 640].numpy() * 32767.0
    heard = np.log(np.square(samples.reshape(8, 200, 640)).mean(axis=2) + 1.0)
    assert heard[sources < 0].max() < 0.01

    def likeness(shift):
        rows = sources >= 0
        named = np.clip(sources[rows] + shift, 0, len(loud) - 1)
        return np.corrcoef(loud[named], heard[rows])[0, 1]

    # A timestep of the stretch overlaps two timesteps of the recording.
    assert likeness(0) > 0.88
    assert max(likeness(-1), likeness(1)) < likeness(0)


def surrounded(speech, augmentation, seed=0, rows=6):
    """Return rows of speech after the augmentation of waveforms, and their level before."""
    samples = torch.from_numpy(speech[:48_000]).repeat(rows, 1)
    level = active_rms(speech[:48_000])
    around = make_surroundings([], [], 1, CPU)
    levels = torch.full((rows,), level)
    generator = np.random.default_rng(seed)
    phoned = np.zeros(rows, bool)
    heard = surround(samples.clone(), levels, augmentation, around, phoned, generator)
    return heard.numpy(), level


def test_a_converter_that_clips_does(speech):
    heard, level = surrounded(speech, replace(NOTHING, clipping=1.0))
    for row in heard:
        bound = np.abs(row).max()
        assert -3.1 < 20 * np.log10(bound / level) < 12.1
        if bound < 0.9 * np.abs(speech[:48_000]).max():
            assert (np.abs(row) >= 0.999 * bound).sum() > 5
    assert len({float(np.abs(row).max()) for row in heard}) > 1


def test_the_noise_floor_is_drawn_relative_to_the_speech(speech):
    for floor_db in (-40.0, -10.0):
        ranges = replace(NOTHING, floor_db=(floor_db, floor_db), silent=0.0)
        heard, level = surrounded(speech, ranges)
        noise = heard - speech[:48_000]
        for row in noise:
            found_db = 20 * np.log10(np.sqrt(np.mean(row.astype(float) ** 2)) / level)
            assert found_db == pytest.approx(floor_db, abs=3)
    silent, _ = surrounded(speech, replace(ranges, silent=1.0))
    np.testing.assert_array_equal(silent, np.tile(speech[:48_000], (6, 1)))


def test_the_level_that_is_drawn_does_not_depend_on_the_recording(speech):
    ranges = replace(NOTHING, gain_db=(-12.0, -12.0))
    for gain in (0.05, 1.0):
        heard, _ = surrounded(speech * np.float32(gain), ranges)
        assert active_rms(heard[0]) == pytest.approx(0.1 * 10 ** (-12 / 20), rel=0.05)


def test_rooms_keep_level_and_words_in_place(speech):
    heard, _ = surrounded(speech, replace(NOTHING, room=1.0))
    clip = speech[:48_000]
    for row in heard:
        assert np.abs(row - clip).max() > 0.01
        assert np.sqrt(np.mean(row**2)) == pytest.approx(np.sqrt(np.mean(clip**2)), rel=0.01)
        lags = signal.correlate(row, clip, "same")
        assert abs(int(np.argmax(np.abs(lags))) - len(clip) // 2) <= 8


def test_a_telephone_leaves_nothing_above_its_band(data):
    """Neither in features nor in the sound, despite the quantisation."""
    ranges = replace(NOTHING, telephone=1.0)
    samples, _ = drawer_of(data, ranges).sounds(4, SEED)
    power = power_spectra(samples).mean(dim=(0, 1))
    above = round(4_250 / 40)
    assert power[above:].max() < 1e-5 * power.max()
    plain = power_spectra(drawer_of(data).sounds(4, SEED)[0]).mean(dim=(0, 1))
    assert plain[above:].max() > 1e-5 * plain.max()
    features = drawn(data, ranges).features[..., above:].float()
    assert features.mean() < 0.1 * drawn(data).features[..., above:].float().mean()


def test_a_telephone_gives_its_band_and_its_quantisation(data):
    streams = Streams(seconds=2.0, uneven_db=0.0)
    drawer = drawer_of(data, replace(NOTHING, telephone=0.5), streams)
    heard = drawer.sounds(24, SEED)[0]
    plain = drawer_of(data, NOTHING, streams).sounds(24, SEED)[0]
    power = power_spectra(heard).mean(dim=1)
    has_band = power[:, 110:].amax(dim=1) < 1e-5 * power.amax(dim=1)
    assert torch.equal(has_band, (heard - plain).abs().amax(dim=1) > 1e-5)
    assert 6 <= int(has_band.sum()) <= 18
    stepped = surround(
        torch.from_numpy(np.linspace(-0.3, 0.3, 8_000, dtype=np.float32))[None],
        torch.tensor([0.1]),
        NOTHING,
        make_surroundings([], [], 1, CPU),
        np.ones(1, bool),
        np.random.default_rng(0),
    )
    assert 100 < len(torch.unique(stepped)) <= 255


def test_a_codec_zeroes_bins_beside_louder_ones_and_adds_nothing():
    power = torch.rand(2, 30, FREQUENCY_BINS, generator=torch.Generator().manual_seed(0)) ** 8
    thinned = power.clone()
    thin_out(thinned, 1.0, np.random.default_rng(0))
    gone = thinned == 0
    assert gone.any() and not gone.all()
    assert torch.equal(thinned[~gone], power[~gone])
    near = torch.nn.functional.max_pool1d(power, 21, stride=1, padding=10)
    assert (power[gone] < 0.07 * near[gone]).all()


def test_backgrounds_are_looped_to_length_at_equal_loudness():
    short = np.random.default_rng(1).standard_normal(8_000).astype(np.float32) * 0.01
    around = make_surroundings([short, short[:100]], [np.eye(1, 50_000, 30)[0]], 1, CPU)
    assert (around.recorded, around.measured) == (1, 1)  # short ones are left out
    assert around.noises.shape == (5, 12 * SAMPLE_RATE)
    rms = around.noises.square().mean(dim=1).sqrt()
    torch.testing.assert_close(rms, torch.ones(5), atol=0.02, rtol=0)
    assert float(around.rooms[0, 0]) == 1.0  # the direct path first
    again = make_surroundings([short, short[:100]], [np.eye(1, 50_000, 30)[0]], 1, CPU)
    assert torch.equal(around.noises, again.noises)
    assert torch.equal(around.rooms, again.rooms)


def test_surroundings_of_judging_and_training_differ_for_any_seed():
    trained, judged = (make_surroundings([], [], 0, CPU, *more) for more in ((), (JUDGED_ON,)))
    for one, other in ((trained.rooms, judged.rooms), (trained.noises, judged.noises)):
        assert not any(torch.equal(a, b) for a in one for b in other)


def test_a_gpu_places_recordings_like_a_cpu(data):
    generator = np.random.default_rng(8)
    streams = Streams(seconds=9.0)
    length = samples_of(streams.timesteps)
    for speeds in ((1.0, 1.0), (0.9, 1.12)):
        stretches = [arrange(pool_of(data), None, streams, speeds, generator) for _ in range(5)]
        recorded = torch.from_numpy(data.bank.recorded)
        one_by_one = place(recorded, data.bank, [*stretches, []], length)
        at_once = train.features.sound._place_at_once(recorded, data.bank, [*stretches, []], length)
        torch.testing.assert_close(at_once, one_by_one, atol=1e-6, rtol=0)
        assert one_by_one.abs().max() > 0.1
