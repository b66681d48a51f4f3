"""Streams drawn from a few recordings, with and without augmentation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.config import ORDINARY
from tests.helpers.generated import EMOTIONS, STREAMED
from train.features.arrangement import Pool, Streams
from train.features.augment import KINDS, Augmentation
from train.fitting.drawer import Drawer
from train.place import CPU

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


def streamed(augmentation=NOTHING, streams=None, **changes):
    streams = streams or Streams(seconds=8.0)
    return replace(STREAMED, augmentation=augmentation, streams=streams, **changes)


def drawer_of(data, augmentation=NOTHING, streams=None, **changes):
    return Drawer(data, streamed(augmentation, streams, **changes), CPU)


def drawn(data, augmentation=NOTHING, streams=None, batch=3, seed=SEED):
    return drawer_of(data, augmentation, streams).draw(batch, seed)


def pool_of(data, labelled=12):
    kinds = data.targets.argmax(axis=1).tolist()
    return Pool.of(data.bank.lengths[:labelled], data.corpora, data.speakers, kinds)


def of_two_kinds(data):
    """Return the same with two neutral and two angry sentences per speaker."""
    kinds = 2 * (np.arange(len(data.targets)) % 2)
    return replace(data, targets=np.eye(len(CLASSES), dtype=np.float32)[kinds])
