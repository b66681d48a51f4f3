"""``python -m train soak``: a day of audio through one stream."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.numbers import Number, Whole
from train.commands.options import add_corpora, add_json

HELP = "a day of audio through one stream: memory, step time, time stamps, forgetting"
DESCRIPTION = (
    "Corpora, noise and silence in random order and at random levels, through one "
    "stream at full speed. A day takes about 15 minutes of a core."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--hours",
        type=Number("hours", 0.01, 1000),
        default=24.0,
        help="of audio (%(default)g)",
    )
    parser.add_argument(
        "--seed", type=Whole(0), default=0, help="of order and levels (%(default)s)"
    )
    parser.add_argument("--model", type=Path, help="model file (default: the shipped one)")
    add_corpora(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Run the test; raises as :func:`train.endurance.soak.run_soak`."""
    from train.endurance.soak import run_soak

    run_soak(options)
    return 0
