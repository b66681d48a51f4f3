"""``ser-live picture``: draws the screen at one moment of a recording, as SVG."""

from __future__ import annotations

import argparse

from streamer.commands.numbers import Number
from streamer.commands.options import (
    SPEEDS,
    add_adaptation,
    add_file,
    add_model,
    add_prior,
    local_file,
)

HELP = "the screen at one moment of a recording, as SVG"
DESCRIPTION = (
    "Replay a recording and write the terminal UI at one moment of it as SVG, or the seconds "
    "before that moment as an SVG that moves."
)
#: The longest moving picture.
LONGEST_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("file", type=local_file, metavar="FILE", help="recording")
    add_file(parser)
    parser.add_argument(
        "--at",
        type=Number("seconds", 0),
        default=float("inf"),
        metavar="S",
        help="moment (default: the end)",
    )
    parser.add_argument(
        "--moving",
        type=Number("seconds", 0, LONGEST_S, excludes_low=True),
        metavar="S",
        help="a moving picture of the S seconds before that moment",
    )
    parser.add_argument(
        "--size", default="120x40", metavar="COLUMNSxROWS", help="default: %(default)s"
    )
    parser.add_argument(
        "--speed",
        choices=SPEEDS,
        default="max",
        help="a paced picture shows its latency (default: %(default)s)",
    )
    add_model(parser)
    add_prior(parser)
    add_adaptation(parser)
