"""Recipes of teachers of emotions, see ``train/teaching/teaching.py``."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from model.config import check_choice, live
from streamer.recognition.metadata import check_model_names
from train.features.arrangement import Streams
from train.features.augment import KINDS, Augmentation
from train.fitting.recipe import Recipe
from train.fitting.recipe_file import augmentation_of, check_known, recipe_at, tuples
from train.ranges import check_names, check_number

#: Longest piece of a recording that is heard, in seconds; the encoder has positions for 30.
LONGEST_S = 15.0


@dataclass(frozen=True)
class TeacherRecipe:
    """The settings of emotion teachers.

    Attributes:
        name: name of the recipe file.
        corpora: corpora to train on; their validation speakers get answers, too.
        labels: labels to learn.
        encoder: file of Whisper's encoder, in the folder of the corpora.
        trains: "all" of the encoder, on augmented examples, with one answer for a recording; or
            only a "head" on the frames that networks imitate, see
            :mod:`train.teaching.pretraining`, with an answer at every timestep.
        split: split into training, validation and test speakers.
        noises: folders of background recordings among the corpora, for "all".
        augmentation: drawn anew for every example of "all".
        folds: number of folds of the training speakers.
        seconds: length of an example; longer recordings are cropped.
        steps: training steps of each teacher.
        batch: recordings per step.
        learning_rate: the encoder's peak learning rate; a head leaves the encoder as it is.
        head_learning_rate: the head's peak learning rate.
        weight_decay: weight decay of both.
        dropout: dropout before the classifier, and of the frames that a head hears.
        seed: seed of all random draws.
    """

    name: str
    corpora: tuple[str, ...]
    labels: tuple[str, ...]
    encoder: str
    trains: Literal["all", "head"] = "all"
    split: str = "fixed"
    noises: tuple[str, ...] = ()
    augmentation: Augmentation = field(default_factory=Augmentation)
    folds: int = 4
    seconds: float = 4.0
    steps: int = 700
    batch: int = 64
    learning_rate: float = 5e-5
    head_learning_rate: float = 2e-3
    weight_decay: float = 0.02
    dropout: float = 0.4
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("corpora", "labels", "noises"):
            check_names(name, getattr(self, name))
        check_model_names(self.name, self.labels)
        for name in ("encoder", "split"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a name, is {getattr(self, name)!r}")
        check_choice("trains", self.trains, ("all", "head"))
        if self.trains == "head" and (self.noises or self.augmentation != Augmentation()):
            raise ValueError("a head hears recordings as they are: leave noises, augmentation out")
        for name in ("steps", "batch"):
            check_number(name, getattr(self, name), 1, whole=True)
        check_number("folds", self.folds, 2, 100, whole=True)
        check_number("seed", self.seed, whole=True)
        check_number("seconds", self.seconds, 1, LONGEST_S)
        for name in ("learning_rate", "head_learning_rate"):
            check_number(name, getattr(self, name), 1e-8, 1)
        check_number("weight_decay", self.weight_decay, 0, 1)
        check_number("dropout", self.dropout, 0, 0.99)

    @property
    def streams(self) -> Streams:
        """Settings for the length of an example."""
        return Streams(seconds=self.seconds)

    def drawn(self) -> Recipe:
        """A recipe for the drawer, with examples of one recording each, not streams."""
        return Recipe(
            self.name,
            self.corpora,
            live(self.labels),
            split=self.split,
            augmentation=self.augmentation.without(KINDS if self.trains == "head" else ()),
            streams=self.streams,
            noises=self.noises,
            seed=self.seed,
        )


def read_teacher_recipe(path: Path) -> TeacherRecipe:
    """Read a teacher recipe: a TOML file of the fields of :class:`TeacherRecipe`.

    Raises:
        SerLiveError: the file is missing, not TOML, or holds an unknown or impossible setting.
    """
    with recipe_at(path) as values:
        ranges = augmentation_of(values.pop("augmentation", {}))
        check_known("teacher", values, {one.name for one in fields(TeacherRecipe)} - {"name"})
        return TeacherRecipe(path.stem, augmentation=ranges, **tuples(values))
