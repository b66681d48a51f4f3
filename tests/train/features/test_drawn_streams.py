"""Examples drawn anew: stretches of streams, with the features that the runtime would compute."""

from __future__ import annotations

import multiprocessing
import zlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch
from scipy import signal

import train.features.sound
from model.config import ORDINARY
from streamer.errors import SerLiveError
from streamer.recognition.spectra import Spectra, SpectralAnalysis, frames_of
from streamer.recognition.spectra import power_spectra as runtime_spectra
from streamer.recognition.voice_gate import SpeechDetector
from streamer.signal import (
    FRAMES_PER_TIMESTEP,
    FREQUENCY_BINS,
    SAMPLE_RATE,
    SPEECH_THRESHOLD,
    TIMESTEP_SAMPLES,
)
from streamer.sound.files.recording import read_recording
from tests.helpers.generated import EMOTIONS, STREAMED
from tests.helpers.places import CLIPS
from train.corpora.ordinary import is_word, ordinary_speech
from train.features import bank as bank_module
from train.features.arrangement import Placement, Pool, Streams, arrange
from train.features.augment import KINDS, Augmentation, active_rms
from train.features.bank import load_bank
from train.features.data import analyse
from train.features.sound import JUDGED_ON, make_surroundings, place, surround, thin_out
from train.features.spectra import normalise, power_spectra, samples_of
from train.fitting.drawer import (
    AFTERWARDS_S,
    FIRST_SPEECH_S,
    Drawer,
    DrawnBatches,
    StreamSet,
    own_weights,
)
from train.place import CPU, Place

pytestmark = pytest.mark.usefixtures("few_surroundings")

NOTHING = Augmentation().without(KINDS)
#: Every augmentation applies, at full strength.
ALL = Augmentation(
    gain_db=(-9.0, -8.0), denoise=1.0, floor_db=(-10.0, -10.0), silent=0.0, real_noise=0.5,
    room=1.0, tilt_db=12.0, band_limit=1.0, telephone=1.0, codec=1.0, clipping=1.0, offset=1.0,
    speed=(1.1, 1.1), masked_bins=60, masked_timesteps=20, mixup=1.0,
)  # fmt: skip
CLASSES = (*EMOTIONS, ORDINARY)
SPEAKERS = ("1001", "1002", "1003")
SEED = (1, 1, 0)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Four emotions by three speakers, then two sentences and two words of ordinary speech."""
    root = tmp_path_factory.mktemp("recordings")
    paths = []
    for number, speaker in enumerate(SPEAKERS):
        for clip in CLIPS:
            samples = read_recording(clip) * (0.5 + number / 2)
            paths.append(root / f"{speaker}-{clip.stem}.flac")
            soundfile.write(paths[-1], samples, SAMPLE_RATE)
    for number, clip in enumerate(CLIPS):
        kind = root / ("keywords" if number % 2 else "intent")
        kind.mkdir(exist_ok=True)
        paths.append(kind / f"{number}.flac")
        paths[-1].write_bytes(clip.read_bytes())
    return paths


@pytest.fixture(scope="module")
def data(recordings, tmp_path_factory):
    """The material of all these recordings."""
    bank = load_bank(recordings, tmp_path_factory.mktemp("cache"))
    labelled = len(SPEAKERS) * len(CLIPS)
    classes = np.arange(labelled) % len(CLIPS)
    return StreamSet(
        bank,
        np.eye(len(CLASSES), dtype=np.float32)[classes],
        ["cremad"] * labelled,
        [speaker for speaker in SPEAKERS for _ in CLIPS],
        np.eye(len(CLASSES), dtype=np.float32)[-1],
        [is_word(path) for path in recordings[labelled:]],
        noises=[np.random.default_rng(5).standard_normal(48_000).astype(np.float32)],
        rooms=[],
        normaliser=replace(STREAMED.normaliser_with(bank.prior), prior_timesteps=40.0),
    )


def recipe_with(augmentation=NOTHING, streams=None, **changes):
    streams = streams or Streams(seconds=8.0)
    return replace(STREAMED, augmentation=augmentation, streams=streams, **changes)


def drawer_of(data, augmentation=NOTHING, streams=None, **changes):
    return Drawer(data, recipe_with(augmentation, streams, **changes), CPU)


def drawn(data, augmentation=NOTHING, streams=None, batch=3, seed=SEED):
    return drawer_of(data, augmentation, streams).draw(batch, seed)


# The front end


def test_spectra_and_features_are_those_of_the_runtime(speech, data):
    samples = torch.from_numpy(speech[: samples_of(200)])
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


# The bank


def test_the_bank_holds_recordings_as_they_are_with_their_speech_probability(data, recordings):
    bank = data.bank
    assert len(bank) == len(recordings) == 16
    for index in (0, 7, 13):
        samples = read_recording(recordings[index])
        rows = slice(bank.starts[index], bank.ends[index])
        stored = bank.recorded[rows] / 32767.0 / bank.gains[index]
        np.testing.assert_allclose(stored, samples, atol=2.0 / 32767)
        assert bank.lengths[index] == len(samples)
        assert bank.levels[index] == pytest.approx(active_rms(samples))
        heard = analyse(samples, SpectralAnalysis(SpeechDetector())).speech
        timesteps = slice(bank.speech_starts[index], bank.speech_ends[index])
        np.testing.assert_array_equal(bank.speech[timesteps], heard)
    assert bank.prior.sum() == pytest.approx(1.0)


def test_the_bank_is_decoded_once(recordings, tmp_path, monkeypatch):
    before = load_bank(recordings[:3], tmp_path / "cache")
    monkeypatch.setattr(bank_module, "worker_pool", None)  # nothing is left to do
    again = load_bank(recordings[:3], tmp_path / "cache")
    np.testing.assert_array_equal(before.recorded, again.recorded)
    np.testing.assert_array_equal(before.speech_ends, again.speech_ends)
    with pytest.raises(TypeError):
        load_bank(recordings[:4], tmp_path / "cache")


def test_a_bank_grouped_by_speaker_is_the_same_and_shared_by_splits(
    recordings, tmp_path, monkeypatch
):
    chosen = [recordings[index] for index in (5, 0, 9, 4, 1, 12)]
    speakers = ["b", "a", "c", "b", "a"]  # the speaker of the last is unknown
    plain = load_bank(chosen, tmp_path / "plain")
    sorted_out = load_bank(chosen, tmp_path / "cache", speakers=speakers)
    for name in ("recorded", "denoised", "ends", "speech", "speech_ends", "levels", "gains"):
        np.testing.assert_array_equal(getattr(sorted_out, name), getattr(plain, name))
    np.testing.assert_allclose(sorted_out.prior, plain.prior)
    monkeypatch.setattr(bank_module, "worker_pool", None)  # nothing is left to do
    fewer = load_bank([chosen[1], chosen[4]], tmp_path / "cache", speakers=["a", "a"])
    np.testing.assert_array_equal(
        fewer.recorded[: fewer.ends[0]], plain.recorded[plain.starts[1] : plain.ends[1]]
    )


# The arrangement


def pool_of(data, labelled=12):
    kinds = data.targets.argmax(axis=1).tolist()
    return Pool.of(data.bank.lengths[:labelled], data.corpora, data.speakers, kinds)


def arranged(data, streams, count=150, ordinary=None, speeds=(1.0, 1.0)):
    generator = np.random.default_rng(3)
    return [arrange(pool_of(data), ordinary, streams, speeds, generator) for _ in range(count)]


def test_emotions_of_one_stretch_come_from_one_speaker_and_change(data):
    stretches = arranged(data, Streams(seconds=20.0, stays=0.3))
    kinds = []
    for stretch in stretches:
        assert len({data.speakers[one.recording] for one in stretch}) == 1
        kinds.append([one.recording % 4 for one in stretch])
    assert {data.speakers[stretch[0].recording] for stretch in stretches} == set(SPEAKERS)
    pairs = [pair for one in kinds for pair in pairwise(one)]
    # Three in ten keep the emotion; of the other draws, a quarter gives the same emotion again.
    assert np.mean([a == b for a, b in pairs]) == pytest.approx(0.3 + 0.7 / 4, abs=0.06)


def test_lead_and_pauses_stay_in_range_and_fill_it(data):
    streams = Streams(seconds=30.0, lead_s=6.0, pause_s=4.0)
    leads, pauses = [], []
    for stretch in arranged(data, streams):
        leads.append(stretch[0].at / SAMPLE_RATE)
        for one, following in pairwise(stretch):
            pauses.append((following.at - one.at - one.samples) / SAMPLE_RATE)
        assert stretch[-1].at + stretch[-1].samples <= streams.timesteps * TIMESTEP_SAMPLES
    assert 0 <= min(leads) < 0.05 and 5 < max(leads) <= 6
    assert 0 <= min(pauses) < 0.05 and 3.5 < max(pauses) <= 4
    assert np.mean(np.array(leads) <= 0.2) == pytest.approx(0.25, abs=0.12)


def of_two_kinds(data):
    """Return the same with two neutral and two angry sentences per speaker."""
    kinds = 2 * (np.arange(len(data.targets)) % 2)
    return replace(data, targets=np.eye(len(CLASSES), dtype=np.float32)[kinds])


def test_the_given_share_of_streams_begins_with_known_speech(data):
    streams = Streams(seconds=8.0, known=0.6, known_s=4.0)
    generator = np.random.default_rng(3)
    pool = pool_of(of_two_kinds(data))
    stretches = [arrange(pool, None, streams, (1.0, 1.0), generator, 2) for _ in range(200)]
    known = [[one for one in stretch if one.is_known] for stretch in stretches]
    assert np.mean([bool(one) for one in known]) == pytest.approx(0.6, abs=0.1)
    for stretch, beginning in zip(stretches, known, strict=True):
        assert stretch[: len(beginning)] == beginning
        assert all(one.recording % 2 == 1 for one in beginning)  # they are neutral
        assert all(one.at + one.samples <= 4.0 * SAMPLE_RATE for one in beginning)
        rest = stretch[len(beginning) :]
        # The rest has the same voice, other recordings, and comes later.
        assert not {one.recording for one in rest} & {one.recording for one in beginning}
        assert len({data.speakers[one.recording] for one in stretch}) == 1
        assert all(b.at >= a.at + a.samples for a, b in pairwise(stretch))
    assert not any(one.is_known for stretch in arranged(data, streams) for one in stretch)


def test_a_speaker_with_one_neutral_sentence_gets_no_known_beginning():
    pool = Pool.of(np.array([20_000]), ["own"], ["A"], [2])
    streams = Streams(seconds=3.0, known=1.0, known_s=2.0)
    stretch = arrange(pool, None, streams, (1.0, 1.0), np.random.default_rng(0), 2)
    assert stretch and not any(one.is_known for one in stretch)


@pytest.mark.parametrize("seconds", [1.0, 2.0, 12.0])
def test_every_stretch_contains_speech_however_short(data, seconds):
    assert all(arranged(data, Streams(seconds=seconds, lead_s=6.0)))


def test_half_of_the_streams_are_uneven_within_the_limit(data):
    stretches = arranged(data, Streams(seconds=20.0, uneven_db=6.0))
    gains = [[one.gain_db for one in stretch] for stretch in stretches]
    assert np.mean([any(one) for one in gains]) == pytest.approx(0.5, abs=0.1)
    assert 5 < max(abs(gain) for one in gains for gain in one) <= 6


def test_a_corpus_weighs_the_fourth_root_of_its_size_by_default():
    pool = Pool.of(np.ones(17, np.int64), ["big"] * 16 + ["small"], ["a"] * 17, [0] * 17)
    assert pool.weights(Streams()) == pytest.approx({"big": 2 / 3, "small": 1 / 3})
    assert pool.weights(Streams(corpora={"small": 6.0})) == pytest.approx(
        {"big": 0.25, "small": 0.75}
    )
    generator = np.random.default_rng(0)
    only_big = Streams(corpora={"small": 0.0}, seconds=1.0)
    found = [arrange(pool, None, only_big, (1.0, 1.0), generator) for _ in range(50)]
    assert {one.recording for stretch in found for one in stretch} <= set(range(16))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"seconds": 0.5}, "seconds must be a number, from 1 to 600; is 0.5"),
        ({"lead_s": -1}, "lead_s must be"),
        ({"pause_s": "long"}, "pause_s must be"),
        ({"stays": 1.1}, "stays must be"),
        ({"uneven_db": -1}, "uneven_db must be"),
        ({"ordinary": 2}, "ordinary must be"),
        ({"corpora": {"cremad": -1}}, "weight of cremad must be"),
    ],
)
def test_impossible_streams_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        Streams(**setting)


# Targets


def test_targets_sum_to_the_batch_and_are_those_of_the_utterances(data):
    batch = drawn(data, batch=6)
    assert float(batch.targets.sum()) == pytest.approx(6.0, rel=1e-5)
    assert batch.examples == 6
    assert batch.features.shape == (6, 200, 4, 201)
    bank = data.bank
    for row in range(6):
        heard = batch.sources[row]
        for timestep in torch.nonzero(heard >= 0).flatten().tolist():
            recording = np.searchsorted(bank.speech_ends, int(heard[timestep]), side="right")
            others = batch.targets[row, timestep].clone()
            others[recording % 4] = 0.0
            assert not others.any()


def test_nothing_counts_long_after_an_utterance_or_before_its_own_speech(data):
    streams = Streams(seconds=30.0, pause_s=4.0)
    batch = drawn(data, streams=streams, batch=8)
    weights, sources = batch.targets.sum(-1).numpy(), batch.sources.numpy()
    speech = np.where(sources >= 0, data.bank.speech[sources], 0.0)
    afterwards = round(AFTERWARDS_S / 0.04)
    counted_in_pauses = 0
    for row in range(8):
        heard_s, since = 0.0, 10**6
        for timestep in range(streams.timesteps):
            is_new = sources[row, timestep] >= 0 and (
                timestep == 0 or sources[row, timestep] - sources[row, timestep - 1] not in (0, 1)
            )
            heard_s = 0.0 if is_new else heard_s
            heard_s += 0.04 * (speech[row, timestep] >= SPEECH_THRESHOLD)
            since = 0 if sources[row, timestep] >= 0 else since + 1
            if heard_s < FIRST_SPEECH_S - 1e-6 or since > afterwards:
                assert weights[row, timestep] == 0
            counted_in_pauses += since > 0 and weights[row, timestep] > 0
    assert counted_in_pauses > 20
    assert (weights > 0).mean() > 0.2


def test_an_estimate_counts_the_more_speech_it_has_heard():
    weights = own_weights(np.ones(50, np.float32))
    assert not weights[: int(FIRST_SPEECH_S / 0.04)].any()
    assert (np.diff(weights) >= 0).all()
    assert weights[-1] == 1.0
    assert weights[14] == pytest.approx(0.5)
    assert not own_weights(np.zeros(50, np.float32)).any()


def test_ordinary_speech_is_its_own_class_with_as_many_sentences_as_words(data):
    streams = Streams(seconds=8.0, ordinary=1.0)
    batch = drawn(data, streams=streams, batch=12)
    torch.testing.assert_close(
        batch.targets.sum((0, 1)), torch.tensor([0, 0, 0, 0, 12.0]), rtol=1e-5, atol=0
    )
    first = data.bank.speech_starts[12]
    heard = batch.sources[batch.sources >= 0]
    assert heard.min() >= first
    recordings = np.searchsorted(data.bank.speech_ends, heard.numpy(), side="right")
    assert {12, 13, 14, 15} == set(recordings.tolist())
    mixed = drawn(data, streams=replace(streams, ordinary=0.5), batch=40)
    is_ordinary = (mixed.sources >= first).any(dim=1)
    assert 10 <= int(is_ordinary.sum()) <= 30
    assert not ((mixed.sources < first) & (mixed.sources >= 0))[is_ordinary].any()
    assert not mixed.targets[is_ordinary][..., :-1].any()
    assert not mixed.targets[~is_ordinary][..., -1].any()


def test_ordinary_speech_has_disjoint_parts_for_training_choosing_and_judging(tmp_path):
    for number in range(200):
        kind = ("intent", "keywords/alexa")[number % 2]
        path = tmp_path / "speech" / kind / f"{number}.opus"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "speech" / "LICENSE").touch()
    found = ordinary_speech(tmp_path)
    assert len({*found.train, *found.validation, *found.test}) == 200
    assert len(found.train) + len(found.validation) + len(found.test) == 200
    # The training part is the same as before there was a test part.
    assert {zlib.crc32(path.stem.encode()) % 4 for path in found.train} == {1, 2, 3}
    for kept in (found.validation, found.test):
        assert len(kept) / 200 == pytest.approx(0.125, abs=0.06)
        assert {path.parent.name for path in kept} == {"intent", "alexa"}
    (tmp_path / "speech" / "intent" / "1000.opus").touch()
    more = ordinary_speech(tmp_path)
    assert set(found.train) <= set(more.train)
    assert set(found.validation) <= set(more.validation)
    assert set(found.test) <= set(more.test)
    with pytest.raises(SerLiveError, match="no ordinary speech in"):
        ordinary_speech(tmp_path / "elsewhere")


# Augmentation of the sound


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


# Batches


def test_known_speech_is_taken_in_whole_and_has_no_target(data):
    data = of_two_kinds(data)
    streams = Streams(seconds=8.0, known=1.0, known_s=4.0, unheard=0.0)
    drawer = drawer_of(data, streams=streams, network=replace(STREAMED.network, voice=True))
    batch = drawer.draw(6, SEED)
    known = batch.heard == 2.0
    assert known.any(dim=1).all() and (batch.heard == 1.0).any()
    assert not batch.targets[known].any()
    speech = drawer._speech(batch.sources.numpy()) >= SPEECH_THRESHOLD
    np.testing.assert_array_equal(batch.heard.numpy() > 0, speech)
    for row in known.numpy():  # at the beginning
        (where,) = np.nonzero(row)
        assert where[-1] * TIMESTEP_SAMPLES < 4.0 * SAMPLE_RATE
    never = drawer_of(
        data, streams=replace(streams, unheard=1.0), network=replace(STREAMED.network, voice=True)
    )
    assert not never.draw(3, SEED).heard.any()
    assert drawn(data, streams=streams).heard is None  # by a network that remembers no voice


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


def test_the_same_seed_draws_the_same_batch_and_another_another(data):
    first, again = (drawn(data, ALL) for _ in range(2))
    assert torch.equal(first.features, again.features)
    assert torch.equal(first.targets, again.targets)
    other = drawn(data, ALL, seed=(1, 2, 0))
    assert not torch.equal(first.features, other.features)
    assert not torch.equal(first.targets, other.targets)


def test_processes_draw_their_shares_and_no_two_the_same(data):
    recipe = recipe_with(batch=5)
    shares = [
        list(DrawnBatches(data, recipe, Place(rank=rank, ranks=2)).epoch([1])) for rank in range(2)
    ]
    assert [len(one) for one in shares] == [recipe.epoch_steps] * 2
    for one, other in zip(*shares, strict=True):
        assert len(one.features) == len(other.features) == 3
        assert not torch.equal(one.features, other.features)


def test_drawing_ahead_gives_the_same_batches_and_ends_with_the_training(data):
    """Without noise and rooms, because each process makes its own."""
    ranges = ALL.without(["noise", "rooms"])
    at_once = DrawnBatches(data, recipe_with(ranges), Place())
    before, threads = list(at_once.epoch([1, 1])), torch.get_num_threads()
    torch.set_num_threads(3)
    ahead = DrawnBatches(data, recipe_with(ranges, draws_ahead=True), Place())
    assert torch.get_num_threads() == 2
    assert (ahead.examples, ahead.steps) == (8, 2)
    drawn_ahead = list(ahead.epoch([1, 1]))
    for one, other in zip(before, drawn_ahead, strict=True):
        assert torch.equal(one.features, other.features)
        assert torch.equal(one.targets, other.targets)
        assert torch.equal(one.sources, other.sources)
        assert one.examples == other.examples
    assert len(multiprocessing.active_children()) == 1
    ahead.close()
    assert not multiprocessing.active_children()
    assert torch.get_num_threads() == 3
    torch.set_num_threads(threads)
