"""``python -m train evaluate``: scores model files on speakers they have not heard."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.numbers import Whole
from train.commands.options import add_corpora, add_json
from train.measuring.choices import KINDS, PARTS

HELP = "score model files on speakers they have not heard"
DESCRIPTION = (
    "Score model files through the runtime: on the test speakers of corpora that a model was "
    "trained on, and on all speakers of other corpora. Each recording is heard in running streams "
    "of its speaker and alone; one emotion is held for 60 s; ordinary speech that is called an "
    "emotion is counted. Recordings without speech are errors."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.onnx", help="model file")
    add_corpora(parser)
    parser.add_argument(
        "--corpus", nargs="+", default=[], metavar="NAME", help="default: all corpora at hand"
    )
    parser.add_argument("--split", metavar="NAME", help="test speakers of this split instead")
    parser.add_argument(
        "--conditions",
        nargs="+",
        default=[],
        choices=KINDS,
        help="also over background noise, at other levels, in streams of changing emotion, over "
        "a telephone, at 8 kHz, over a poor call, clipped, with an offset, at another pitch or "
        "tempo, from across a synthetic room, and with profiles of the voices: %(choices)s. Most "
        "are heard alone and in running streams; --only alone takes half the time",
        metavar="NAME",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        choices=PARTS,
        metavar="PART",
        help="measure these parts and leave the others out: %(choices)s",
    )
    parser.add_argument(
        "--limit", type=Whole(1), metavar="N", help="hear only the first N speakers of each corpus"
    )
    parser.add_argument(
        "--transfer",
        action="store_true",
        help="a table of models by corpora; fails if one is at chance where it was not trained",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Evaluate each model and show the results; raises as :func:`train.judging.assess.assess`."""
    from train.judging.assess import assess

    assess(options)
    return 0
