"""``python -m train teach``: teachers of emotions, and their answers for held-out speakers."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from streamer.commands.numbers import Whole
from streamer.errors import SerLiveError
from streamer.outputs import say_on_stderr
from train.commands.options import add_corpora, add_place, add_run

HELP = "teach Whisper's encoder emotions, and keep its answers for speakers it has not heard"
DESCRIPTION = (
    "As the recipe says: a head on its frames, such as train/recipes/frame-teacher.toml, or the "
    "whole encoder, such as train/recipes/teacher.toml, which takes a GPU. A recipe of a fit that "
    "names the run as answers learns from it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="TOML file of teachers")
    add_corpora(parser)
    add_run(parser)
    add_place(parser)
    parser.add_argument(
        "--fold", type=Whole(0), metavar="N", help="train only this teacher, counted from 0"
    )


def run(options: argparse.Namespace) -> int:
    """Train the teachers; raises as :func:`train.teaching.teaching.run_teaching`."""
    from train.fitting.run_folder import Folders
    from train.place import find_place
    from train.teaching.teacher_recipe import read_teacher_recipe
    from train.teaching.teaching import run_teaching

    recipe = read_teacher_recipe(options.recipe)
    folder = options.run or Path("runs") / recipe.name
    if options.fold is not None and options.fold >= recipe.folds:
        raise SerLiveError(f"--fold must lie in 0..{recipe.folds - 1}, is {options.fold}")
    with find_place(options.device) as place:
        if place.leads:  # one process does the work
            say_on_stderr(f"train: {recipe.name}, kept in {folder}; preparing")
            folders = Folders(options.corpora, options.cache, folder)
            if run_teaching(recipe, folders, replace(place, ranks=1), options.fold):
                say_on_stderr(f"train: a recipe that learns from it says answers = {str(folder)!r}")
    return 0
