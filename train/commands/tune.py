"""``python -m train tune``: chooses decision layer and everyday prior on validation speakers."""

from __future__ import annotations

import argparse
from pathlib import Path

from train.commands.options import add_corpora, model_file

HELP = "choose decision layer and everyday prior on validation speakers"
DESCRIPTION = (
    "Join utterances of validation speakers to streams of changing emotion, try "
    "settings of the decision layer, and show which costs least: seconds without the right "
    "label, and a second for each change to a wrong one. Then try how much of everyday speech "
    "is neutral: choose what finds most of acted emotion while "
    "at most 20 % of ordinary speech is called one."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="model file")
    add_corpora(parser)
    parser.add_argument(
        "--corpus",
        nargs="+",
        default=[],
        metavar="NAME",
        help="corpora that the model was trained on, your own recordings by their path (default: "
        "all known ones that are at hand)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=model_file,
        metavar="FILE",
        help="write the model with the best setting",
    )
    parser.add_argument("--force", action="store_true", help="overwrite that file")


def run(options: argparse.Namespace) -> int:
    """Try settings and show the best; raises as :func:`train.judging.assess.choose`."""
    from train.judging.assess import choose

    choose(options)
    return 0
