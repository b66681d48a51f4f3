"""Batches of utterances as recorded, each process with its share; masks and mixing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamer.errors import SerLiveError
from tests.helpers.generated import NORMALISER, features, recipe_with, training_set
from train.features.augment import KINDS, Augmentation
from train.fitting.batches import (
    Batch,
    Batches,
    TrainingSet,
    loss_weights,
    mask,
    mix,
    training_order,
)
from train.place import Place

PLAIN = recipe_with(augmentation=Augmentation().without(KINDS))


def epoch(data, recipe=PLAIN, place=None, seed=(1, 1)):
    return list(Batches(data, recipe, place or Place()).epoch(seed))


def test_the_loss_counts_by_the_speech_heard_so_far():
    speech = np.ones(60, np.float32)
    speech[:20] = 0
    weights = loss_weights(speech[None])[0]
    assert weights.sum() == pytest.approx(1.0)
    assert not weights[:27].any()
    assert weights[-1] > weights[30] > 0
    np.testing.assert_allclose(loss_weights(np.zeros((1, 8), np.float32)), 1 / 8, rtol=1e-6)


def test_small_corpora_come_more_often():
    order = training_order(["big"] * 80 + ["small"] * 10)
    assert order.count(0) == 1
    assert order.count(85) == 5


def test_an_epoch_holds_every_utterance_once():
    labels = np.arange(30) % 4
    data = TrainingSet(features(labels), np.eye(30, dtype=np.float32), ["cremad"] * 30, NORMALISER)
    batches = epoch(data)
    assert [len(batch.features) for batch in batches] == [batch.examples for batch in batches]
    torch.testing.assert_close(sum(batch.targets.sum((0, 1)) for batch in batches), torch.ones(30))


def test_batches_are_cut_from_the_utterances():
    data = training_set()
    heard = data.features
    utterances = [heard.values[heard.rows(index)] for index in range(len(heard))]
    for batch in epoch(data):
        for example in batch.features:
            # Only ends are cut off.
            assert any(
                len(one) >= len(example)
                and torch.equal(torch.from_numpy(one[: len(example)]).bfloat16(), example)
                for one in utterances
            )


def test_the_same_seed_gives_the_same_epoch_and_another_another():
    recipe = recipe_with(augmentation=Augmentation(mixup=0.4))
    first, again = epoch(training_set(), recipe), epoch(training_set(), recipe)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.features, other.features)
        assert torch.equal(one.targets, other.targets)
    other = epoch(training_set(), recipe, seed=(1, 2))
    assert not all(
        one.features.shape == two.features.shape and torch.equal(one.features, two.features)
        for one, two in zip(first, other, strict=True)
    )


def test_processes_share_every_batch():
    data = training_set()
    whole = epoch(data)
    shares = [epoch(data, place=Place(rank=rank, ranks=3)) for rank in range(3)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sum(len(part.features) for part in parts) == len(batch.features)
        assert {part.examples for part in parts} == {len(batch.features) / 3}
        timesteps = {part.features.shape[1] for part in parts}
        assert timesteps == {batch.features.shape[1]}


def test_short_utterances_are_left_out_and_long_ones_cropped():
    data = training_set()
    recipe = recipe_with(shortest=20, longest=22)
    batches = epoch(data, recipe)
    assert sum(len(batch.features) for batch in batches) == (data.features.lengths >= 20).sum()
    assert {batch.features.shape[1] for batch in batches} <= {20, 21, 22}
    with pytest.raises(SerLiveError, match="no utterance has 90 timesteps"):
        epoch(data, recipe_with(shortest=90))


def test_masks_take_stretches_and_bands_and_nothing_wider():
    generator = np.random.default_rng(0)
    masked = torch.ones(200, 40, 4, 201)
    mask(masked, timesteps=5, bins=30, generator=generator)
    timesteps = (masked == 0).all(dim=(2, 3)).sum(1)
    bins = (masked == 0).all(dim=(1, 2)).sum(1)
    assert timesteps.min() >= 0 and timesteps.max() <= 10 and timesteps.float().mean() > 3
    assert bins.min() >= 0 and bins.max() <= 60 and bins.float().mean() > 20
    untouched = torch.ones(3, 40, 4, 201)
    mask(untouched, timesteps=0, bins=0, generator=generator)
    assert untouched.all()


def test_mixed_examples_mix_their_targets_alike():
    values = torch.eye(8)[:, None, None, :].expand(8, 3, 4, 8)
    batch = Batch(values, torch.eye(8)[:, None, :].expand(8, 3, 8) / 3, 8)
    mixed = mix(batch, 1.0, np.random.default_rng(0))
    torch.testing.assert_close(mixed.features[:, :, 0] / 3, mixed.targets)
    own = mixed.features[:, 0, 0].diagonal()
    assert (own >= 0.5).all() and (own < 1).any()
    torch.testing.assert_close(mixed.targets.sum((1, 2)), torch.ones(8))
    assert mix(batch, 0.0, np.random.default_rng(0)) is batch
