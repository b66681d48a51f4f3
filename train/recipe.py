"""Recipes: everything that decides what comes out of a training, as one TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from model.config import CONFIGURATIONS, NetworkConfig
from streamer.errors import SerLiveError
from train.augment import Augmentation
from train.splits import HELD_OUT


@dataclass(frozen=True)
class Recipe:
    """One training.

    Attributes:
        name: of the recipe file.
        corpora: trained on (their training speakers) and chosen on (their validation speakers).
        transfer: never trained on; all of it is tested.
        network: shape of the network.
        normaliser: settings of :class:`streamer.frontend.Normaliser` that differ from its
            defaults; the prior spectrum comes from the data.
        augmentation: ranges of the augmented copies.
        copies: augmented copies of every training utterance; the recordings as they are
            are one more.
        epochs: passes over the utterances, each time another copy.
        batch: utterances a step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        label_smoothing: share of the label spread over all classes.
        shortest: utterances of fewer timesteps are not trained on.
        longest: more timesteps of an example are cropped.
        masked_bins: widest band that SpecAugment sets to zero, twice an example.
        masked_timesteps: longest stretch that it sets to zero, twice an example.
        averaging: decay a step of the exponential moving average of the weights.
        seed: of everything drawn at random.
    """

    name: str
    corpora: tuple[str, ...]
    network: NetworkConfig
    transfer: tuple[str, ...] = ()
    normaliser: dict[str, float] = field(default_factory=dict)
    augmentation: Augmentation = field(default_factory=Augmentation)
    copies: int = 6
    epochs: int = 20
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    shortest: int = 12
    longest: int = 150
    masked_bins: int = 30
    masked_timesteps: int = 8
    averaging: float = 0.998
    seed: int = 1

    def __post_init__(self) -> None:
        if both := set(self.corpora) & set(self.transfer):
            raise ValueError(f"{', '.join(both)}: both trained on and kept for transfer")
        if without := set(self.corpora) - set(HELD_OUT):
            raise ValueError(f"{', '.join(without)}: no split into train, validation and test")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    ``[network]`` names a configuration of ``model/config.py`` as ``base`` and may change its
    fields; the other tables hold fields of their dataclasses.

    Raises:
        SerLiveError: the file is missing, no TOML, or holds an unknown or impossible setting.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        network = dict(values.pop("network"))
        base = CONFIGURATIONS[network.pop("base")](tuple(values.pop("labels")))
        config = NetworkConfig.from_dict(base.to_dict() | network)
        return replace(
            Recipe(path.stem, tuple(values.pop("corpora")), config),
            transfer=tuple(values.pop("transfer", ())),
            normaliser=values.pop("normaliser", {}),
            augmentation=_augmentation(values.pop("augmentation", {})),
            **values.pop("training", {}),
            **values,
        )
    except OSError as error:
        raise SerLiveError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise SerLiveError(f"{path}: {error}") from error


def _augmentation(values: dict[str, Any]) -> Augmentation:
    known = {item.name for item in fields(Augmentation)}
    if unknown := set(values) - known:
        raise ValueError(f"unknown augmentation settings: {', '.join(sorted(unknown))}")
    return Augmentation(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    )
