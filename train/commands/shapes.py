"""``python -m train shapes``: shapes of the network, each trained briefly."""

from __future__ import annotations

import argparse
from pathlib import Path

from train.commands.options import add_corpora, add_json, add_place

HELP = "shapes of the network, each with a short imitation and a short training"
DESCRIPTION = (
    "Train the shapes that a file lists, as the shipped network is trained but briefly, and "
    "compare them on validation speakers. A stopped trial goes on; a finished one is not run "
    "again."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "shapes",
        type=Path,
        nargs="?",
        default=Path("train/recipes/shapes.toml"),
        metavar="SHAPES",
        help="TOML file (default: %(default)s)",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these shapes")
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("runs/shapes"),
        help="folder of the runs (default: %(default)s)",
    )
    add_json(parser)
    add_corpora(parser)
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Run the shapes; raises as :func:`train.comparing.shapes.run_shapes`."""
    from train.comparing.shapes import run_shapes

    run_shapes(options)
    return 0
