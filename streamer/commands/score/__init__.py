"""``ser-live score``: analyses many recordings and writes a row for each.

``find.py`` lists the recordings, ``workers.py`` runs the processes that analyse them
(``work.py``), ``rows.py`` and ``results.py`` write the results, and ``truth.py`` compares them with
the true labels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.options import CHANNELS, add_adaptation, add_model, add_prior

HELP = "many recordings, a row of results each"
DESCRIPTION = (
    "Score recordings, and those in folders, in parallel: speech time, verdict, probabilities, and "
    "the share of each label. A run that was stopped goes on where the same command is given "
    "again, without --force. Exit code 2 where a recording had an error, which its row says: it is "
    "tried again too, and its new row comes last."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="recording, or folder of recordings"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=".csv, .jsonl or .parquet; what is in it without an error is not scored again "
        "(default: CSV to stdout)",
    )
    parser.add_argument(
        "--timeline",
        type=Path,
        metavar="DIR",
        help="also every estimate, as JSON lines in DIR/PATH.jsonl",
    )
    parser.add_argument("--channels", metavar="C", help=CHANNELS)
    parser.add_argument(
        "--passed-over",
        action="store_true",
        help="name the files in folders that are no recordings by their ending; they are counted "
        "in any case",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE.csv",
        help="columns file and label: show UAR, WA, macro F1, recalls and the confusion matrix",
    )
    parser.add_argument(
        "--force", action="store_true", help="begin anew: overwrite output and timelines"
    )
    add_model(parser)
    add_prior(parser)
    add_adaptation(parser)
