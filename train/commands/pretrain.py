"""``python -m train pretrain``: trains a network to imitate Whisper's encoder."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from streamer.outputs import say_on_stderr
from train.commands.options import add_corpora, add_place, add_run

HELP = "let a network imitate what Whisper's encoder hears, before it learns emotions"
DESCRIPTION = (
    "As the recipe says, such as train/recipes/imitation.toml. The recipes that start from the run "
    "name its folder. A stopped run goes on."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="TOML file with imitates")
    add_corpora(parser)
    add_run(parser)
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Pre-train, or resume; raises as :func:`train.teaching.pretraining.run_pretraining`."""
    from train.fitting.recipe_file import read_recipe
    from train.fitting.run_folder import Folders
    from train.place import find_place
    from train.teaching.pretraining import run_pretraining

    recipe = read_recipe(options.recipe)
    folder = options.run or Path("runs") / recipe.name
    with find_place(options.device) as place:
        if place.leads:  # one process does the work
            say_on_stderr(f"train: {recipe.name}, kept in {folder}; preparing")
            folders = Folders(options.corpora, options.cache, folder)
            run_pretraining(recipe, folders, replace(place, ranks=1))
            say_on_stderr(f"train: a recipe that starts from it says pretrained = {str(folder)!r}")
    return 0
