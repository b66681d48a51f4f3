"""``python -m train shapes``: compare shapes of the network, each trained briefly.

Each shape imitates first and learns emotions then, as the shipped network does, by the two recipes
that the file of shapes names.
What its training hears, how long, and who judges it are the same for all shapes.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from model.config import NetworkConfig
from model.cost import step_cost
from model.network import look_ahead_ms
from streamer.errors import SerLiveError
from streamer.measures import Accuracy, confusion_matrix
from streamer.outputs import OutputFile, say_on_stderr, show, write_line
from train.comparing.offline import OfflineNetwork
from train.corpora.known import Utterance, read_corpus
from train.fitting.epoch_log import record_of
from train.fitting.recipe import Recipe
from train.fitting.recipe_file import check_known, read_recipe, recipe_at
from train.fitting.run_folder import Folders, RunFolder
from train.fitting.training import POOLING, check_start
from train.place import Place, find_place
from train.ranges import check_number, check_table
from train.stages.earlier_runs import EarlierRuns
from train.stages.run import finished_or_run
from train.teaching.pretraining import run_pretraining

#: Folder of a shape's imitation within its run.
IMITATION = "imitation"
#: Name of a shape: also of a folder.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
#: What a file of shapes holds.
SETTINGS = ("imitation", "emotions", "epochs", "shapes")


@dataclass(frozen=True)
class Shape:
    """A shape of the network and how it is trained.

    Attributes:
        name: its name in the file.
        imitation: recipe of its imitation.
        emotions: recipe of its training on emotions; it starts from the imitation's run, which
            shapes share that differ only in their pooling.
    """

    name: str
    imitation: Recipe
    emotions: Recipe


@dataclass(frozen=True)
class ShapeTrial:
    """The results of a shape.

    Attributes:
        name: its name.
        parameters: number of its parameters.
        multiply_adds: cost of an estimate, see :mod:`model.cost`.
        look_ahead_ms: its look-ahead.
        imitation_loss: loss of the last epoch of its imitation.
        validation: UAR in % on each validation set, and their mean, at the best epoch.
        unheard: UAR in % of recordings alone, of each corpus that the recipe only tests; by the
            same network.
    """

    name: str
    parameters: int
    multiply_adds: int
    look_ahead_ms: float
    imitation_loss: float
    validation: dict[str, float]
    unheard: dict[str, float]


def run_shapes(options: argparse.Namespace) -> None:
    """Train and judge all shapes of a file, then show the table.

    Raises:
        SerLiveError: as for :func:`read_shapes` and :func:`try_shape`, a shape named on the
            command line is not in the file, or the JSON file cannot be written.
    """
    shapes = read_shapes(options.shapes, options.runs)
    if unknown := set(options.only) - {one.name for one in shapes}:
        names = ", ".join(one.name for one in shapes)
        raise SerLiveError(
            f"no shape {', '.join(sorted(unknown))} in {options.shapes}: there are {names}"
        )
    wanted = [one for one in shapes if not options.only or one.name in options.only]
    with ExitStack() as stack:
        out = None
        if options.json is not None:
            out = stack.enter_context(OutputFile(options.json, options.force, [options.shapes]))
        place = stack.enter_context(find_place(options.device))
        if not place.leads:  # one process does the work
            return
        trials = []
        for index, shape in enumerate(wanted, 1):
            say_on_stderr(f"train: shape {index} of {len(wanted)}: {shape.name}")
            folders = Folders(options.corpora, options.cache, options.runs / shape.name)
            trials.append(try_shape(shape, folders, replace(place, ranks=1)))
        show(table_of(trials))
        if out is not None:
            write_line(out, json.dumps([asdict(one) for one in trials], indent=1))


def read_shapes(path: Path, runs: Path) -> list[Shape]:
    """Read a file of shapes: two recipes, a number of epochs, and changes of their network.

    Args:
        path: path of the TOML file.
        runs: folder of the shapes' runs.

    Raises:
        SerLiveError: the file or a recipe is missing, holds an unknown or impossible setting, or
            the recipes do not fit each other.
    """
    with recipe_at(path) as values:
        check_known("shapes", values, SETTINGS)
        if missing := [name for name in SETTINGS if name not in values]:
            raise ValueError(f"{missing[0]} is missing")
        for name in ("imitation", "emotions"):
            if not isinstance(values[name], str):
                raise ValueError(f"{name} must be the path of a recipe, is {values[name]!r}")
        check_number("epochs", values["epochs"], 1, whole=True)
        check_table("shapes", values["shapes"])
        if not values["shapes"]:
            raise ValueError("shapes must hold one or more")
        for name, changes in values["shapes"].items():
            check_table(f"shapes.{name}", changes)
            if not NAME.fullmatch(name):
                raise ValueError(f"shapes.{name}: a name has letters, digits and hyphens only")
    recipes = read_recipe(Path(values["imitation"])), read_recipe(Path(values["emotions"]))
    with recipe_at(path):
        check_pair_of_recipes(*recipes)
        # However it is spelled; and a checkout with its runs may move.
        place = runs.resolve()
        if place.is_relative_to(Path.cwd()):
            place = place.relative_to(Path.cwd())
        shapes: list[Shape] = []
        for name, changes in values["shapes"].items():
            try:
                shape = _shape(name, changes, *recipes, values["epochs"], place)
            except (TypeError, ValueError) as error:
                raise ValueError(f"shapes.{name}: {error}") from error
            shapes.append(_sharing(shape, shapes))
        return shapes


def check_pair_of_recipes(imitation: Recipe, emotions: Recipe) -> None:
    """Raise a ValueError unless one imitates, the other does not, and the second starts there."""
    if not imitation.imitates:
        raise ValueError(f"imitation: the recipe {imitation.name} imitates nobody")
    if emotions.imitates:
        raise ValueError(f"emotions: the recipe {emotions.name} learns no emotions")
    if not isinstance(emotions.network, NetworkConfig):
        raise ValueError(f"emotions: the recipe {emotions.name} is of another system")
    try:
        check_start(imitation.network, emotions.network, imitation.name)
    except SerLiveError as error:
        raise ValueError(str(error)) from error


def _shape(
    name: str,
    changes: Mapping[str, Any],
    imitation: Recipe,
    emotions: Recipe,
    epochs: int,
    runs: Path,
) -> Shape:
    # Imitation trains only the layers before the pooling.
    body = {setting: value for setting, value in changes.items() if setting not in POOLING}
    imitating = replace(_changed(imitation, body), epochs=epochs)
    feeling = replace(_changed(emotions, changes), epochs=epochs, refit=False)
    return Shape(name, imitating, replace(feeling, pretrained=str(runs / name / IMITATION)))


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    config = recipe.network
    changed = type(config).from_dict(config.to_dict() | dict(changes))
    return replace(recipe, network=changed)


def _sharing(shape: Shape, earlier: Sequence[Shape]) -> Shape:
    """Let a shape start from the imitation of an earlier one with the same."""
    for other in earlier:
        if other.imitation == shape.imitation:
            start = other.emotions.pretrained
            return replace(shape, emotions=replace(shape.emotions, pretrained=start))
    return shape


def try_shape(shape: Shape, folders: Folders, place: Place) -> ShapeTrial:
    """Train a shape, or what is left of it, and judge it.

    Args:
        shape: the shape.
        folders: corpora, cache, and the folder of the shape's run.
        place: device; one process does the work.

    Raises:
        SerLiveError: as :func:`train.teaching.pretraining.run_pretraining` and
            :func:`train.stages.run.run`, or a corpus or the answers of teachers are missing.
    """
    recipe = shape.emotions
    unheard = {
        name: read_corpus(name, folders.corpora, recipe.network.labels) for name in recipe.transfer
    }
    if answers := EarlierRuns.of(recipe).answers:
        answers.result("teach")  # raise here, not after the imitation
    imitating = replace(folders, run=Path(recipe.pretrained))
    if not RunFolder(imitating.run).finished_by(shape.imitation):
        run_pretraining(shape.imitation, imitating, place)
    result = finished_or_run(recipe, folders, place, warns=False)
    assert isinstance(recipe.network, NetworkConfig)
    best = record_of(result["epoch"], folders.run)
    uars = (float(np.nanmean(np.array(one, float))) for one in best["validation_uar"])
    return ShapeTrial(
        name=shape.name,
        parameters=result["parameters"],
        multiply_adds=step_cost(recipe.kept_network),
        look_ahead_ms=look_ahead_ms(recipe.network),
        imitation_loss=record_of(shape.imitation.epochs, imitating.run)["loss"],
        validation=dict(zip(best["validation_sets"], uars, strict=True)) | {"mean": best["mean"]},
        unheard=_unheard(recipe, unheard, folders),
    )


def _unheard(
    recipe: Recipe, corpora: Mapping[str, Sequence[Utterance]], folders: Folders
) -> dict[str, float]:
    """Judge the run's network on corpora that it has not heard."""
    network = OfflineNetwork(folders)
    labels = recipe.network.labels
    found = {}
    for name, utterances in corpora.items():
        told = np.array([labels.index(one.label) for one in utterances], np.int64)
        answered = network.answers(utterances)
        found[name] = Accuracy(confusion_matrix(told, answered, len(labels))).uar
    return found


def table_of(trials: Sequence[ShapeTrial]) -> Table:
    """Format the shapes as a table."""
    table = Table(title="UAR %; validation speakers choose", title_justify="left")
    table.add_column("shape")
    for title in ("parameters", "multiply-adds", "look-ahead ms", "imitation loss"):
        table.add_column(title, justify="right")
    for title in (*trials[0].validation, *trials[0].unheard):
        table.add_column(title, justify="right")
    for trial in trials:
        figures = (*trial.validation.values(), *trial.unheard.values())
        table.add_row(
            trial.name,
            f"{trial.parameters:,}",
            f"{trial.multiply_adds:,}",
            f"{trial.look_ahead_ms:g}",
            f"{trial.imitation_loss:.3f}",
            *(f"{figure:.1f}" for figure in figures),
        )
    return table
