"""How fast a network trains on the processor, with all of torch's threads."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from model.config import NetworkConfig
from streamer.frontend import FRAMES_PER_TIMESTEP, FREQUENCY_BINS, TIMESTEP_S
from train.batches import Batch
from train.place import Place
from train.recipe import OWN, read_recipe
from train.training import Training

UTTERANCE_TIMESTEPS = round(4.0 / TIMESTEP_S)
#: Steps before the clock runs: what is allocated once, and the kernels that are chosen once.
WARM_UP_STEPS = 2


def training_rate(config: NetworkConfig, seconds: float) -> float:
    """Utterances of 4 s that training takes in a second, forwards and backwards, in bfloat16.

    Nothing else is counted: no reading, no copies, no teacher, no judging of epochs.

    Args:
        config: of the network; batches, optimiser and averaging are those of the recipe for own
            recordings.
        seconds: how long, at least one step.
    """
    recipe = replace(read_recipe(OWN), network=config, schedule="constant")
    training = Training(recipe, epoch_steps=1, place=Place())
    batch = _batch(recipe.batch, len(config.labels))
    training.train_epoch([batch] * WARM_UP_STEPS)
    steps, began = 0, time.perf_counter()
    while not steps or time.perf_counter() - began < seconds:
        training.train_epoch([batch])
        steps += 1
    return steps * recipe.batch / (time.perf_counter() - began)


def _batch(examples: int, labels: int) -> Batch:
    """Noise of the shape of utterances, every timestep of which counts alike."""
    generator = torch.Generator().manual_seed(0)
    shape = (examples, UTTERANCE_TIMESTEPS, FRAMES_PER_TIMESTEP, FREQUENCY_BINS)
    features = torch.rand(shape, generator=generator).to(torch.bfloat16)
    targets = torch.full((examples, UTTERANCE_TIMESTEPS, labels), 1 / labels / UTTERANCE_TIMESTEPS)
    return Batch(features, targets, examples)
