"""Load a recipe's training data, validation sets and other material."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.config import ORDINARY
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import LONGEST_NAME, HeardCorpus, Material
from streamer.recognition.normaliser import Normaliser
from streamer.sound.files.recording import Recording
from train.corpora import ordinary
from train.corpora.known import CORPORA, Utterance, read_corpus
from train.corpora.lineage import heard_corpora
from train.corpora.splits import split_of, too_few_speakers
from train.corpora.voices import VOICES
from train.features.augment import (
    BACKGROUNDS,
    load_noises,
    load_rooms,
    noise_files,
    room_files,
)
from train.features.bank import load_bank
from train.features.data import estimate_prior, features_of, prepare
from train.features.sound import JUDGED_ON, make_surroundings
from train.fitting.answers import has_timestep_answers
from train.fitting.batches import TrainingSet
from train.fitting.drawer import StreamSet
from train.fitting.epochs import TrainingData
from train.fitting.recipe import Recipe
from train.fitting.run_folder import Folders
from train.fitting.targets import one_hot, targets, timestep_targets, votes_file
from train.fitting.validation import ValidationSet, alone, in_streams
from train.place import CPU

#: Folder of background recordings among the corpora; impulse responses lie below it.
NOISE = "noise"
#: Name of the measured rooms in a model's lineage, and their licence.
ROOMS = "measured rooms"
ROOMS_LICENCE = "MIT"
#: Seed of the backgrounds and rooms used in validation.
SURROUNDINGS_SEED = 0
#: A label with fewer recordings than this gives a warning.
FEWEST_RECORDINGS = 50


@dataclass(frozen=True)
class Parts:
    """Utterances of the recipe's corpora; extra labels appear in training only.

    Attributes:
        train: to fit the weights.
        validation: to choose the epoch, the temperature and the voice answer's bias.
        test: to measure the result.
        refit: training and validation speakers, to fit the weights once the epoch is chosen.
        heard: the split of each corpus.
        warnings: warnings about the split, for the user.
    """

    train: list[Utterance]
    validation: list[Utterance]
    test: list[Utterance]
    refit: list[Utterance]
    heard: tuple[HeardCorpus, ...]
    warnings: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in ("train", "validation", "test")}


def read_parts(recipe: Recipe, corpora: Path) -> Parts:
    """Read and split the recipe's corpora.

    Raises:
        SerLiveError: a corpus is missing, or a label has no training or validation utterances.
    """
    found = [one for name in recipe.corpora for one in read_corpus(name, corpora, recipe.labelled)]
    whole = split_of(recipe.split, found)
    named = f"the split {recipe.split!r} of {', '.join(recipe.corpora)}"
    if not whole.validation:
        raise SerLiveError(f"{named} leaves no validation speakers to choose the epoch on")
    parts = Parts(
        list(whole.train),
        [one for one in whole.validation if one.label in recipe.network.labels],
        [one for one in whole.test if one.label in recipe.network.labels],
        [*whole.train, *whole.validation],
        heard_corpora(whole, recipe.split),
        (*whole.warnings, *_too_few(whole.train, recipe.labelled)),
    )
    for part, utterances, labels in (
        ("training", parts.train, recipe.labelled),
        ("validation", parts.validation, recipe.network.labels),
    ):
        if without := set(labels) - {one.label for one in utterances}:
            if not any(name in CORPORA for name in recipe.corpora):
                raise SerLiveError(_own_labels_missing(recipe, found, part, without, utterances))
            raise SerLiveError(f"no {part} utterances of {', '.join(sorted(without))} in {named}")
    return parts


def _own_labels_missing(
    recipe: Recipe,
    found: Sequence[Utterance],
    part: str,
    without: Set[str],
    utterances: Sequence[Utterance],
) -> str:
    """Say why own recordings have none of some labels for training or validation.

    Args:
        recipe: the recipe.
        found: all recordings with labels of the recipe.
        part: "training" or "validation".
        without: labels that the part lacks.
        utterances: the part.
    """
    where = ", ".join(recipe.corpora)
    labels = ", ".join(sorted(without))
    lacking = [one for one in found if one.label in without]
    if none := sorted(without - {one.label for one in lacking}):
        return f"{where}: no recording is {' or '.join(none)}, a label of the recipe {recipe.name}"
    if few := too_few_speakers(lacking):
        return f"{where}: {few}"
    speakers = ", ".join(sorted({one.speaker for one in utterances}))
    return (
        f"{where}: no recordings of {labels} by the speakers for {part} ({speakers}): record "
        "them, too, or choose other speakers with split in a recipe"
    )


def check_readable(utterances: Iterable[Utterance]) -> None:
    """Open every recording, so that a bad test file fails before training, not after.

    Raises:
        SerLiveError: a file is not a recording.
    """
    for one in utterances:
        with Recording(one.path):
            pass


def _too_few(train: Sequence[Utterance], labels: Sequence[str]) -> list[str]:
    """Return a warning if a label has too few recordings."""
    counts = Counter(one.label for one in train)
    few = [f"{label} {counts[label]}" for label in labels if counts[label] < FEWEST_RECORDINGS]
    if not few:
        return []
    return [
        f"few recordings to learn from ({', '.join(few)}; the others are of speakers held out to "
        "validate and test): a label takes hundreds"
    ]


def prepare_run(
    recipe: Recipe, parts: Parts, folders: Folders
) -> tuple[TrainingData, list[ValidationSet], Normaliser]:
    """Return the training data, the validation sets and their normaliser."""
    train = training_data(recipe, parts.train, folders)
    normaliser = train.normaliser
    labels = one_hot(parts.validation, recipe.network.labels).argmax(axis=1)
    given = (parts.validation, labels, normaliser, folders.cache)
    validation = [alone(*given, recipe.normalisation)]
    if recipe.streams is not None:
        # Rooms not used in training; only synthetic noise, whatever the recipe mixes in.
        rooms = load_rooms(folders.corpora / NOISE)
        around = make_surroundings([], rooms, SURROUNDINGS_SEED, CPU, JUDGED_ON)
        joined = (in_streams(*given), in_streams(*given, (recipe.augmentation, around)))
        validation += [one for one in joined if one is not None]
    return train, validation, normaliser


def training_data(
    recipe: Recipe,
    utterances: Sequence[Utterance],
    folders: Folders,
    normaliser: Normaliser | None = None,
    gate: Path | None = None,
) -> TrainingSet | StreamSet:
    """Build the recipe's training data.

    Args:
        recipe: the recipe.
        utterances: labelled utterances.
        folders: folders of the corpora and the cache.
        normaliser: the front end's normaliser; None takes the prior spectrum of these recordings.
        gate: file of the voice gate that finds speech in streams; None uses the shipped one.
    """
    wanted = targets(utterances, recipe, folders.corpora)
    corpora = [one.corpus for one in utterances]
    if recipe.streams is None:
        if has_timestep_answers(recipe.answers):
            raise SerLiveError(
                f"{recipe.answers} has answers at every timestep: the recipe needs streams"
            )
        clean = prepare(utterances, folders.cache)
        normaliser = normaliser or recipe.normaliser_with(estimate_prior(clean))
        features = features_of(clean, normaliser, recipe.normalisation)
        return TrainingSet(features, wanted, corpora, normaliser)
    heard = ordinary_of(recipe, folders)
    voices = [f"{one.corpus}/{one.speaker}" for one in utterances]
    bank = load_bank([*(one.path for one in utterances), *heard], folders.cache, gate, voices)
    return StreamSet(
        bank,
        wanted,
        corpora,
        [one.speaker for one in utterances],
        np.array([name == ORDINARY for name in recipe.classes], np.float32),
        [ordinary.is_word(path) for path in heard],
        [one for name in recipe.noises for one in _noises(folders.corpora / name)],
        load_rooms(folders.corpora / NOISE),
        normaliser or recipe.normaliser_with(bank.prior),
        timestep_targets(utterances, recipe, folders.corpora, bank.timesteps[: len(utterances)]),
    )


def ordinary_of(recipe: Recipe, folders: Folders) -> tuple[Path, ...]:
    """Return the recordings of ordinary speech that the recipe trains on."""
    if recipe.streams is None or not recipe.streams.ordinary:
        return ()
    return ordinary.ordinary_speech(folders.corpora).train


def material_files(recipe: Recipe, folders: Folders) -> list[Path]:
    """Return what the recipe learns from beside labelled recordings: others, votes, an encoder.

    Raises:
        SerLiveError: the recipe wants votes and they are missing.
    """
    found = list(ordinary_of(recipe, folders))
    if recipe.soft_labels:
        found.append(votes_file(folders.corpora / "cremad"))
    if recipe.streams is not None:
        roots = [folders.corpora / name for name in recipe.noises]
        found += [one for root in roots for one in noise_files(root, "train")]
        found += room_files(folders.corpora / NOISE)
    return [*found, folders.corpora / recipe.imitates] if recipe.imitates else found


def _noises(root: Path) -> list[NDArray[np.float32]]:
    """Load the background recordings for training.

    Raises:
        SerLiveError: there are none.
    """
    found = load_noises(root, "train")
    if not found:
        raise SerLiveError(f"no background recordings in {root}, which the recipe mixes in")
    return found


def heard_beside(recipe: Recipe, corpora: Path) -> tuple[Material, ...]:
    """Return the unlabelled material that a recipe learns from."""
    is_drawn = recipe.streams is not None and recipe.augmentation.room > 0
    found = [Material(name, BACKGROUNDS.get(name, "the owner's")) for name in recipe.noises]
    if recipe.streams is not None and recipe.streams.ordinary:
        found.append(Material("ordinary speech", ordinary.LICENCE))
    if is_drawn and load_rooms(corpora / NOISE):
        found.append(Material(ROOMS, ROOMS_LICENCE))
    found += [Material(VOICES[name].title, VOICES[name].licence) for name in recipe.voices]
    if recipe.imitates:
        name = f"Whisper's encoder, {Path(recipe.imitates).name}"
        found.append(Material(name[:LONGEST_NAME], "MIT"))
    return tuple(found)
