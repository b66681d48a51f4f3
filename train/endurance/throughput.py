"""Training speed of a network on the CPU, with all of torch's threads."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from model.config import NetworkConfig
from streamer.signal import FRAMES_PER_TIMESTEP, FREQUENCY_BINS, TIMESTEP_S
from train.features.arrangement import Streams
from train.features.bank import load_bank
from train.fitting.batches import Batch
from train.fitting.drawer import StreamSet
from train.fitting.recipe_file import OWN, read_recipe
from train.fitting.training import Training
from train.place import Place

UTTERANCE_TIMESTEPS = round(4.0 / TIMESTEP_S)
#: Steps before the clock starts, for one-time allocations and kernel choices.
WARM_UP_STEPS = 2


def training_rate(config: NetworkConfig, seconds: float) -> float:
    """Measure 4 s utterances per second in training, forward and backward, in bfloat16.

    It excludes reading, drawing of streams, teachers and judging of epochs.

    Args:
        config: configuration of the network; batches, optimiser and averaging come from the recipe
            for own recordings.
        seconds: duration, at least one step.
    """
    config = replace(config, ordinary=False)  # own recordings hold no ordinary speech
    recipe = replace(read_recipe(OWN), network=config, schedule="constant")
    training = Training(recipe, epoch_steps=1, place=Place())
    batch = _batch(recipe.batch, len(config.labels))
    training.train_epoch([batch] * WARM_UP_STEPS)
    steps, began = 0, time.perf_counter()
    while not steps or time.perf_counter() - began < seconds:
        training.train_epoch([batch])
        steps += 1
    return steps * recipe.batch / (time.perf_counter() - began)


def drawing_share(config: NetworkConfig, recording: Path, rounds: int = 3) -> float:
    """Measure the time to draw a batch over that of its training step, on one thread each.

    Args:
        config: configuration of the network; streams and batches come from the recipe for own
            recordings.
        recording: recording to draw the streams from.
        rounds: number of batches to draw and train on.
    """
    config = replace(config, ordinary=False)
    recipe = replace(read_recipe(OWN), network=config, schedule="constant", draws_ahead=False)
    recipe = replace(recipe, streams=replace(recipe.streams or Streams(), ordinary=0.0))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with TemporaryDirectory() as cache:
            bank = load_bank([recording], Path(cache))
        target = np.eye(1, len(config.labels), dtype=np.float32)
        normaliser = recipe.normaliser_with(bank.prior)
        data = StreamSet(bank, target, ["own"], ["one"], target[0], [], [], [], normaliser)
        batches = data.batches(replace(recipe, epoch_steps=1 + rounds), Place())
        training = Training(recipe, epoch_steps=1, place=Place())
        drawn_s, learnt_s, at = [], [], time.perf_counter()
        for batch in batches.epoch([0]):
            drawn = time.perf_counter()
            training.train_epoch([batch])
            drawn_s.append(drawn - at)
            at = time.perf_counter()
            learnt_s.append(at - drawn)
        return float(np.median(drawn_s[1:]) / np.median(learnt_s[1:]))
    finally:
        torch.set_num_threads(threads)


def _batch(examples: int, labels: int) -> Batch:
    """Make a batch of noise in the shape of utterances, with equally weighted timesteps."""
    generator = torch.Generator().manual_seed(0)
    shape = (examples, UTTERANCE_TIMESTEPS, FRAMES_PER_TIMESTEP, FREQUENCY_BINS)
    features = torch.rand(shape, generator=generator).to(torch.bfloat16)
    targets = torch.full((examples, UTTERANCE_TIMESTEPS, labels), 1 / labels / UTTERANCE_TIMESTEPS)
    return Batch(features, targets, examples)
