"""``python -m train gate``: trains the voice gate."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.numbers import Whole
from streamer.outputs import check_output
from train.commands.options import add_cache, add_corpora, model_file

HELP = "teach Silero's network to hear through noise: the runtime's voice gate"
DESCRIPTION = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "recipe",
        type=Path,
        nargs="?",
        default=Path("train/recipes/open.toml"),
        help="whose streams it learns from (%(default)s)",
    )
    parser.add_argument(
        "--steps", type=Whole(0), default=260, help="batches (%(default)s); 0: Silero's own weights"
    )
    add_corpora(parser)
    add_cache(parser)
    parser.add_argument(
        "-o", "--output", type=model_file, required=True, help="model file to write"
    )
    parser.add_argument("--force", action="store_true", help="overwrite that file")


def run(options: argparse.Namespace) -> int:
    """Train the voice gate; raises as :func:`train.teaching.gate.write_gate`."""
    from train.fitting.recipe_file import read_recipe
    from train.fitting.run_folder import Folders
    from train.teaching.gate import write_gate

    check_output(options.output, options.force)
    folders = Folders(options.corpora, options.cache, options.output.parent)
    write_gate(read_recipe(options.recipe), folders, options.steps, options.output)
    return 0
