"""Examples drawn anew: their targets, their seeds, and drawing ahead."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.voice import KNOWN
from streamer.recognition.level import LevelState, levels_of
from streamer.recognition.spectra import Spectra, frames_of
from streamer.recognition.spectra import power_spectra as runtime_spectra
from streamer.signal import (
    SAMPLE_RATE,
    SPEECH_THRESHOLD,
    TIMESTEP_SAMPLES,
)
from tests.helpers.drawn import ALL, NOTHING, SEED, drawer_of, drawn, of_two_kinds, streamed
from tests.helpers.generated import STREAMED
from train.features import sound
from train.features.arrangement import Placement, Streams
from train.fitting.drawer import (
    AFTERWARDS_S,
    FIRST_SPEECH_S,
    DrawnBatches,
    own_weights,
)
from train.place import Place

MADE_NOISES, MADE_ROOMS = sound.MADE_NOISES, sound.MADE_ROOMS

pytestmark = pytest.mark.usefixtures("few_surroundings")


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


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_targets_at_every_timestep_are_those_of_its_source(data, speed):
    """So a teacher's answer reaches the moment that it is about; the last one stays a little."""
    labelled = int(data.bank.speech_ends[len(data.targets) - 1])
    generator = np.random.default_rng(1)
    told = generator.dirichlet(np.ones(5), labelled).astype(np.float32)
    streams = Streams(seconds=8.0, ordinary=0.4)
    augmentation = replace(NOTHING, speed=(speed, speed))
    batch = drawn(replace(data, timestep_targets=told), augmentation, streams, batch=8)
    weights = drawn(data, augmentation, streams, batch=8).targets.sum(-1)
    compared, afterwards, ordinary = 0, 0, 0
    for row in range(8):
        last = -1
        for timestep, source in enumerate(batch.sources[row].tolist()):
            last = source if source >= 0 else last
            if weights[row, timestep] > 0:
                is_labelled = last < labelled
                target = torch.from_numpy(told[last] if is_labelled else data.ordinary)
                expected = weights[row, timestep] * target
                torch.testing.assert_close(batch.targets[row, timestep], expected)
                compared += is_labelled
                afterwards += source < 0
                ordinary += not is_labelled
    assert compared > 100 and afterwards > 10 and ordinary > 100


def test_an_utterance_that_ends_within_its_first_timestep_counts_for_nothing(data):
    drawer = drawer_of(replace(data, timestep_targets=np.ones((len(data.bank.speech), 5))))
    placed = [Placement(0, 0, 700, 1.0, 0.0), Placement(1, 639, 30_000, 1.0, 0.0)]
    sources, targets = drawer._marks([placed])
    assert np.isfinite(targets).all() and (sources[0, 1:40] >= data.bank.speech_ends[0]).all()


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


def test_a_memory_that_hears_levels_is_told_those_of_the_runtime(data):
    data = of_two_kinds(data)
    streams = Streams(seconds=8.0, known=1.0, known_s=4.0, unheard=0.0)
    config = replace(STREAMED.network, voice=True)
    without = drawer_of(data, streams=streams, network=config).draw(4, SEED)
    config = replace(config, level=True)
    drawer = drawer_of(data, streams=streams, network=config)
    batch = drawer.draw(4, SEED)
    assert torch.equal(batch.heard[..., 0], without.heard)
    assert torch.equal(batch.features, without.features)
    samples, speech = drawer.sounds(4, SEED)
    for row in range(4):
        power = runtime_spectra(frames_of(samples[row].numpy()))
        spectra = Spectra(power.reshape(-1, 4, 201), speech[row].numpy())
        expected, _ = levels_of(spectra, LevelState())
        np.testing.assert_allclose(batch.heard[row, :, 1], expected, atol=0.05)
    assert batch.heard[..., 1].std() > 1.0


def test_after_a_beginning_heard_elsewhere_the_front_end_begins_anew(data):
    data = of_two_kinds(data)
    here = Streams(seconds=8.0, known=1.0, known_s=4.0, unheard=0.0)
    elsewhere = replace(here, elsewhere=1.0, elsewhere_db=5.0)
    config = replace(STREAMED.network, voice=True, level=True)
    drawer = drawer_of(data, streams=elsewhere, network=config)
    batch, before = (
        drawer.draw(6, SEED),
        drawer_of(data, streams=here, network=config).draw(6, SEED),
    )
    samples, speech = drawer.sounds(6, SEED)
    ends = drawer._known_ends(drawer._arrange(6, np.random.default_rng(SEED)))
    offsets = []
    for row, end in enumerate(ends):
        (known,) = np.nonzero((batch.heard[row, :, 0] == KNOWN).numpy())
        assert known.max() < end
        assert torch.equal(batch.features[row, :end], before.features[row, :end])
        offset = (batch.heard - before.heard)[row, :end, 1]
        assert offset.max() - offset.min() < 1e-4  # one microphone
        offsets.append(float(offset[0]))
        power = runtime_spectra(frames_of(samples[row, end * TIMESTEP_SAMPLES :].numpy()))
        spectra = Spectra(power.reshape(-1, 4, 201), speech[row, end:].numpy())
        levels, _ = levels_of(spectra, LevelState())
        np.testing.assert_allclose(batch.heard[row, end:, 1], levels, atol=0.05)
        features, _ = data.normaliser.normalise(spectra, data.normaliser.initial_state())
        np.testing.assert_allclose(batch.features[row, end:].float(), features, atol=0.01)
    assert 2.0 < np.std(offsets) < 10.0


def test_the_same_seed_draws_the_same_batch_and_another_another(data):
    first, again = (drawn(data, ALL) for _ in range(2))
    assert torch.equal(first.features, again.features)
    assert torch.equal(first.targets, again.targets)
    other = drawn(data, ALL, seed=(1, 2, 0))
    assert not torch.equal(first.features, other.features)
    assert not torch.equal(first.targets, other.targets)


def test_processes_draw_their_shares_and_no_two_the_same(data):
    recipe = streamed(batch=5)
    shares = [
        list(DrawnBatches(data, recipe, Place(rank=rank, ranks=2)).epoch([1])) for rank in range(2)
    ]
    assert [len(one) for one in shares] == [recipe.epoch_steps] * 2
    for one, other in zip(*shares, strict=True):
        assert len(one.features) == len(other.features) == 3
        assert not torch.equal(one.features, other.features)


def test_drawing_ahead_gives_the_same_batches_and_ends_with_the_training(data, monkeypatch):
    # Another process makes as many backgrounds and rooms as usual.
    monkeypatch.setattr(sound, "MADE_NOISES", MADE_NOISES)
    monkeypatch.setattr(sound, "MADE_ROOMS", MADE_ROOMS)
    ranges = ALL
    at_once = DrawnBatches(data, streamed(ranges), Place())
    before, threads = list(at_once.epoch([1, 1])), torch.get_num_threads()
    torch.set_num_threads(3)
    ahead = DrawnBatches(data, streamed(ranges, draws_ahead=True), Place())
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
