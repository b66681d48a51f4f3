"""``python -m train shapes``: compare shapes of the network, each trained briefly.

Each shape imitates first and learns emotions then, as the shipped network does, by the two recipes
that the file of shapes names.
What its training hears, how long, and who judges it are the same for all shapes.
"""

from __future__ import annotations

import argparse
import json
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
from train.corpora.known import read_corpus
from train.fitting.recipe import Recipe
from train.fitting.recipe_file import check_known, read_recipe, recipe_at
from train.fitting.run_folder import LOG, Folders, RunFolder
from train.fitting.training import POOLING
from train.place import Place, find_place
from train.ranges import check_names, check_number, check_table
from train.stages.run import finished_or_run
from train.teaching.pretraining import run_pretraining

#: Folder of a shape's imitation within its run.
IMITATION = "imitation"
#: What a file of shapes holds.
SETTINGS = ("imitation", "emotions", "epochs", "shapes")


@dataclass(frozen=True)
class Shape:
    """A shape of the network and how it is trained.

    Attributes:
        name: its name in the file.
        imitation: recipe of its imitation.
        emotions: recipe of its training on emotions; it starts from :attr:`start`.
        start: name of the first shape with the same layers before the pooling, whose imitation
            serves both.
    """

    name: str
    imitation: Recipe
    emotions: Recipe
    start: str


@dataclass(frozen=True)
class ShapeTrial:
    """The results of a shape.

    Attributes:
        name: its name.
        parameters: number of its parameters.
        multiply_adds: cost of an estimate, see :mod:`model.cost`.
        look_ahead_ms: its look-ahead.
        imitation_loss: loss of the last epoch of its imitation.
        validation: UAR in % on each validation set after the last epoch, and their mean.
        unheard: UAR in % of recordings alone, of each corpus that the recipe only tests.
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
    folders = Folders(options.corpora, options.cache, options.runs)
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
        SerLiveError: the file or a recipe is missing, or holds an unknown or impossible setting.
    """
    with recipe_at(path) as values:
        check_known("shapes", values, SETTINGS)
        if missing := [name for name in SETTINGS if name not in values]:
            raise ValueError(f"{missing[0]} is missing")
        check_names("recipes", [values["imitation"], values["emotions"]])
        check_number("epochs", values["epochs"], 1, whole=True)
        check_table("shapes", values["shapes"])
        for name, changes in values["shapes"].items():
            check_table(f"shapes.{name}", changes)
        shapes, epochs = values["shapes"], values["epochs"]
    imitation, emotions = (read_recipe(Path(values[name])) for name in SETTINGS[:2])
    with recipe_at(path):
        return [_shape(name, shapes, imitation, emotions, epochs, runs) for name in shapes]


def _shape(
    name: str,
    shapes: Mapping[str, Mapping[str, Any]],
    imitation: Recipe,
    emotions: Recipe,
    epochs: int,
    runs: Path,
) -> Shape:
    body = _body(shapes[name])
    start = next(other for other, changes in shapes.items() if _body(changes) == body)
    return Shape(
        name,
        replace(_changed(imitation, body), epochs=epochs),
        replace(
            _changed(emotions, shapes[name]),
            epochs=epochs,
            pretrained=str(runs / start / IMITATION),
            refit=False,
        ),
        start,
    )


def _body(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of the layers before the pooling; imitation trains only those."""
    return {name: value for name, value in changes.items() if name not in POOLING}


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    config = recipe.network
    changed = type(config).from_dict(config.to_dict() | dict(changes))
    return replace(recipe, network=changed)


def try_shape(shape: Shape, folders: Folders, place: Place) -> ShapeTrial:
    """Train a shape, or what is left of it, and judge it.

    Args:
        shape: the shape.
        folders: corpora, cache, and the folder of all shapes' runs.
        place: device; one process does the work.

    Raises:
        SerLiveError: as :func:`train.teaching.pretraining.run_pretraining` and
            :func:`train.stages.run.run`.
    """
    imitating = replace(folders, run=folders.run / shape.start / IMITATION)
    started = RunFolder(imitating.run)
    if not (started.is_finished and shape.imitation.made(started.result()["recipe"])):
        run_pretraining(shape.imitation, imitating, place)
    own = replace(folders, run=folders.run / shape.name)
    result = finished_or_run(shape.emotions, own, place, warns=False)
    config = shape.emotions.network
    assert isinstance(config, NetworkConfig)
    last = _last_epoch(own.run)
    sets = zip(last["validation_sets"], last["validation_uar"], strict=True)
    return ShapeTrial(
        name=shape.name,
        parameters=result["parameters"],
        multiply_adds=step_cost(config),
        look_ahead_ms=look_ahead_ms(config),
        imitation_loss=_last_epoch(imitating.run)["loss"],
        validation={name: float(np.mean(uars)) for name, uars in sets} | {"mean": last["mean"]},
        unheard=_unheard(shape.emotions, own),
    )


def _last_epoch(run: Path) -> dict[str, Any]:
    lines = (run / LOG).read_text(encoding="utf-8").splitlines()
    epoch: dict[str, Any] = json.loads(lines[-1])
    return epoch


def _unheard(recipe: Recipe, folders: Folders) -> dict[str, float]:
    """Judge the run's network on the corpora that its recipe only tests."""
    network = OfflineNetwork(folders)
    labels = recipe.network.labels
    found = {}
    for name in recipe.transfer:
        utterances = read_corpus(name, folders.corpora, labels)
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
