"""``python -m train compare``: the paper's systems, and the price of look-ahead."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.numbers import Whole
from train.commands.options import add_corpora, add_place

HELP = "the paper's systems, and the price of look-ahead, by one recipe"
DESCRIPTION = (
    "Train and test every system of the paper, and the live network with other "
    "look-aheads, on the corpora at hand. A finished trial is a line in the results file and "
    "is not run again; a stopped one goes on. Takes hours; the tables are drawn at the end."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--protocol", nargs="+", default=[], metavar="NAME", help="such as cremad or ravdess"
    )
    parser.add_argument("--system", nargs="+", default=[], metavar="NAME", help="default: all")
    parser.add_argument(
        "--scale",
        choices=("small", "full"),
        help="small: three seeds, and one of each fold; full: five of each (default: full with a "
        "GPU, otherwise small)",
    )
    parser.add_argument(
        "--seeds", type=Whole(1), metavar="N", help="trainings of each, instead of the scale's"
    )
    parser.add_argument(
        "--recipe", type=Path, default=Path("train/recipes/compare.toml"), help="%(default)s"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("runs/compare.jsonl"), help="%(default)s"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/compare"), help="%(default)s")
    parser.add_argument("--tables", action="store_true", help="draw the tables, train nothing")
    add_corpora(parser)
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Run the trials that are missing; raises as :func:`train.comparing.compare.run_compare`."""
    from train.comparing.compare import run_compare

    run_compare(options)
    return 0
