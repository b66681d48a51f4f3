"""Recipe files: TOML, or the user's own recordings with the settings of ``own.toml``."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from model.baselines import REFERENCES, SYSTEMS
from model.config import CONFIGURATIONS, SystemConfig
from streamer.errors import SerLiveError
from train.corpora.own_recordings import own_labels
from train.features.arrangement import Streams
from train.features.augment import KINDS, Augmentation
from train.fitting.recipe import Recipe
from train.ranges import check_names, check_table

#: Configurations by the name that a recipe gives as a network's ``base``.
BASES = CONFIGURATIONS | SYSTEMS | REFERENCES
#: Default recipe for own recordings.
OWN = Path(__file__).parents[1] / "recipes" / "own.toml"


def read_recipe(path: Path, without: Collection[str] = ()) -> Recipe:
    """Read a recipe.

    ``[network]`` names a configuration as ``base`` and may change its fields; the other tables
    hold fields of their dataclasses. ``[augmentation]`` may also contain ``KIND = false``.

    Args:
        path: path of the TOML file.
        without: kinds of augmentation to leave out, see :data:`train.features.augment.KINDS`.

    Raises:
        SerLiveError: the file is missing, not TOML, or holds an unknown or impossible setting.
    """
    with recipe_at(path) as values:
        for name in ("network", "corpora", "labels"):
            if name not in values:
                raise ValueError(f"{name} is missing")
        network = _network(values.pop("network"), values.pop("labels"))
        training = values.pop("training", {})
        check_table("training", training)
        known = _fields(Recipe) - {"name", "network"}
        check_known("training", training, known)
        check_known("recipe", values, known | {"labels", "network", "training"})
        settings = training | values
        augmentation = augmentation_of(settings.get("augmentation", {})).without(without)
        if isinstance(settings.get("teacher"), str):
            settings["teacher"] = [settings["teacher"]]
        if "streams" in settings:
            check_table("streams", settings["streams"])
            check_known("streams", settings["streams"], _fields(Streams))
            settings["streams"] = Streams(**settings["streams"])
        given = tuples(settings) | {"augmentation": augmentation}
        return Recipe(path.stem, network=network, **given)


@contextmanager
def recipe_at(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the values of a recipe file, and name the file in errors of the block.

    Raises:
        SerLiveError: the file is missing or not TOML, or the block raised a TypeError or
            ValueError.
    """
    try:
        yield tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SerLiveError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (TypeError, ValueError) as error:
        fault = "no recipe, it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise SerLiveError(f"{path}: {fault}") from error


def recipe_of(path: Path, without: Collection[str] = ()) -> Recipe:
    """Read a recipe file; for own recordings (a folder or .csv), use :data:`OWN` and their labels.

    Own recordings are used alone, without background recordings, ordinary speech or a teacher.

    Raises:
        SerLiveError: as for :func:`read_recipe`, or the recordings do not fit the expected form.
    """
    kind = path.suffix.lower()
    if kind == ".toml" and not path.is_dir():
        return read_recipe(path, without)
    if not path.exists():
        raise SerLiveError(f"there is no {path}: give a recipe (.toml), a folder or a table (.csv)")
    if not path.is_dir() and kind != ".csv":
        raise SerLiveError(f"{path} is neither a recipe (.toml), a folder nor a table (.csv)")
    recipe = read_recipe(OWN, without)
    if len(labels := own_labels(str(path))) < 2:
        found = f"its only label is {labels[0]}" if labels else "no recordings"
        raise SerLiveError(f"{path}: {found}; a model needs two or more labels")
    place = Path(os.path.realpath(path)) if ".." in path.parts else path.absolute()
    try:
        return replace(
            recipe,
            name=place.stem,
            corpora=(str(place),),  # the run is exported from any folder
            transfer=(),
            network=replace(recipe.network, labels=labels),
        )
    except ValueError as error:
        raise SerLiveError(f"{path}: {error}") from error


def _network(values: dict[str, Any], labels: list[str]) -> SystemConfig:
    check_names("labels", labels)
    check_table("network", values)
    base = values.get("base")
    if not isinstance(base, str) or base not in BASES:
        raise ValueError(f"base of the network must be one of {', '.join(BASES)}; is {base!r}")
    config = BASES[base](tuple(labels))
    changes = {name: value for name, value in values.items() if name != "base"}
    return type(config).from_dict(config.to_dict() | changes)


def augmentation_of(values: dict[str, Any]) -> Augmentation:
    """Parse a recipe's ``[augmentation]``: fields, and ``KIND = false``."""
    check_table("augmentation", values)
    switches = {name: value for name, value in values.items() if isinstance(value, bool)}
    ranges = {name: value for name, value in values.items() if name not in switches}
    check_known("augmentation", switches, KINDS)
    check_known("augmentation", ranges, _fields(Augmentation))
    off = [name for name, is_on in switches.items() if not is_on]
    return Augmentation(**tuples(ranges)).without(off)


def _fields(kind: type) -> set[str]:
    return {item.name for item in fields(kind)}


def check_known(where: str, values: Iterable[str], known: Collection[str]) -> None:
    """Raise a ValueError that names the unknown settings."""
    if unknown := set(values) - set(known):
        raise ValueError(
            f"unknown {where} settings: {', '.join(sorted(unknown))}; there are "
            f"{', '.join(sorted(known))}"
        )


def tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Convert TOML's lists to tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
