"""``python -m train fit``: trains by a recipe."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from streamer.commands.numbers import Whole
from streamer.errors import SerLiveError
from streamer.outputs import say_on_stderr
from train.commands.options import add_corpora, add_place, add_run

HELP = "train as a recipe says; a stopped run goes on"
DESCRIPTION = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "recipe",
        type=Path,
        metavar="RECIPE|DATA",
        help="TOML file, see train/recipes; or your own recordings, a folder of "
        "LABEL/SPEAKER/x.wav or a .csv of file, label, speaker, which own.toml trains on",
    )
    add_corpora(parser)
    add_run(parser)
    add_place(parser)
    parser.add_argument(
        "--corpus",
        nargs="+",
        metavar="NAME",
        help="train on these of the recipe's corpora; the others are tested, never trained on",
    )
    parser.add_argument("--seed", type=Whole(0), metavar="N", help="instead of the recipe's")
    parser.add_argument(
        "--without",
        type=lambda kinds: kinds.split(","),
        default=[],
        metavar="KIND,...",
        help="leave out kinds of augmentation, such as mixup,rooms",
    )


def run(options: argparse.Namespace) -> int:
    """Train, or resume; raises as :func:`train.stages.run.run`."""
    from train.fitting.recipe_file import recipe_of
    from train.fitting.run_folder import Folders, RunFolder
    from train.place import find_place
    from train.stages.run import run

    recipe = recipe_of(options.recipe, options.without)
    if options.corpus:
        recipe = recipe.of_corpora(options.corpus)
    try:
        recipe = replace(recipe, name="-without-".join((recipe.name, *options.without)))
    except ValueError as error:  # too long
        raise SerLiveError(f"--without, in the recipe's name: {error}") from error
    name = recipe.name
    if options.seed is not None:
        recipe, name = replace(recipe, seed=options.seed), f"{name}-seed-{options.seed}"
    folders = Folders(options.corpora, options.cache, options.run or Path("runs") / name)
    with find_place(options.device) as place:
        if place.leads:
            state = "already finished" if RunFolder(folders.run).is_finished else "preparing"
            say_on_stderr(f"train: {recipe.name}, kept in {folders.run}; {state}")
        result = run(recipe, folders, place)
        if place.leads:
            print(f"best epoch: {result['epoch']}, validation UAR {result['validation_uar']} %")
            if recipe.normalisation == "causal":
                say_on_stderr(
                    f"train: python -m train export {folders.run} -o FILE.onnx comes next"
                )
    return 0
