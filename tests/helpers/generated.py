"""A tiny network, features that are easy to separate, and utterances without files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from model.config import BlockConfig, NetworkConfig
from streamer.recognition.normaliser import Normaliser
from streamer.signal import FREQUENCY_BINS
from train.corpora.known import Utterance
from train.features.arrangement import Streams
from train.features.augment import Augmentation
from train.features.data import Features
from train.fitting.batches import TrainingSet
from train.fitting.recipe import Recipe
from train.fitting.validation import ValidationSet

EMOTIONS = ("angry", "happy", "neutral", "sad")
NORMALISER = Normaliser(np.full(FREQUENCY_BINS, 1 / FREQUENCY_BINS))

TINY = NetworkConfig(
    EMOTIONS,
    channels=(2, 4),
    hidden=16,
    memory=8,
    blocks=(BlockConfig(2, 1),),
    attention_hidden=4,
    window_timesteps=20,
)

RECIPE = Recipe(
    "tiny",
    ("cremad",),
    TINY,
    epochs=3,
    batch=8,
    learning_rate=1e-2,
    averaging=0.9,
    augmentation=Augmentation(masked_bins=10, masked_timesteps=2),
)


#: Few and short stretches of streams, drawn by the process that trains.
STREAMED = replace(
    RECIPE, streams=Streams(seconds=3.0, lead_s=1.0), epoch_steps=2, batch=4, draws_ahead=False
)


def recipe_with(**changes):
    return replace(RECIPE, **changes)


def features(labels, seed=0, lengths=(14, 30)):
    """Make noise that is louder in the frequency bins of the label; every timestep is speech."""
    generator = np.random.default_rng(seed)
    timesteps = generator.integers(*lengths, len(labels))
    values = generator.random((timesteps.sum(), 4, 201), np.float32)
    for row, label in enumerate(np.repeat(labels, timesteps)):
        values[row, :, 30 * label : 30 * label + 30] += 1.0
    return Features(
        values.astype(np.float16),
        np.ones(timesteps.sum(), np.float32),
        np.full(timesteps.sum(), -30.0, np.float32),
        np.cumsum(timesteps),
    )


def training_set(utterances=24, classes=4):
    labels = np.arange(utterances) % classes
    return TrainingSet(
        features(labels),
        np.eye(classes, dtype=np.float32)[labels],
        ["cremad"] * utterances,
        NORMALISER,
    )


def validation_sets(utterances=12):
    labels = np.arange(utterances) % len(EMOTIONS)
    heard = features(labels, 99)
    corpora, speakers = ["cremad"] * utterances, ["1001"] * utterances
    return [ValidationSet("alone", heard, heard.whole, labels, corpora, speakers)]


def utterances(speakers, each=10):
    """Return utterances of every emotion by every speaker; there are no files."""
    return [
        Utterance(Path(f"{speaker}_{label}_{i}.wav"), label, speaker, "cremad")
        for speaker in speakers
        for label in EMOTIONS
        for i in range(each)
    ]
