"""``ser-live score``: analyses many recordings and writes a row for each.

``finding`` finds the recordings and keeps the list of them; ``hearing`` knows which are missing and
runs the processes that analyse them, ``cluster`` those of other machines; ``results`` writes the
rows, sums them up and compares them with true labels; ``progress.py`` tells how far it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.numbers import Whole
from streamer.commands.options import CHANNELS, add_adaptation, add_model, add_prior, file_or_folder

HELP = "many recordings, one row of results for each"
DESCRIPTION = (
    "Score recordings and folders of recordings in parallel: seconds of speech, verdict, "
    "probabilities, and the share of each label. After a stop, the same command without --force "
    "goes on. A recording that cannot be read gets a row with its error, and the exit code is 2; "
    "the next run tries it again and replaces that row."
)
#: How many processes there may be.
WORKERS = range(1, 257)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="recording, folder of recordings, pattern as 'x/**/*.wav', or URL as s3://BUCKET/PREFIX",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=file_or_folder,
        metavar="FILE",
        help=".csv, .jsonl or .parquet, or FOLDER/ for a dataset of Parquet files; recordings in "
        "it without an error are not scored again (default: CSV to stdout)",
    )
    parser.add_argument(
        "--timeline",
        type=Path,
        metavar="DIR",
        help="also write every estimate as JSON lines to DIR/PATH.jsonl",
    )
    parser.add_argument("--channels", metavar="C", help=CHANNELS)
    parser.add_argument(
        "--passed-over",
        action="store_true",
        help="name the files in folders whose suffix is not that of a recording; they are always "
        "counted",
    )
    parser.add_argument(
        "--workers",
        type=Whole(WORKERS[0], WORKERS[-1]),
        metavar="N",
        help="processes (default: one per core)",
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="hear them on the workers of this Dask scheduler, as tcp://HOST:8786",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE.csv",
        help="table with the columns file and label: also show UAR, WA, macro F1, recalls and the "
        "confusion matrix",
    )
    parser.add_argument(
        "--force", action="store_true", help="begin anew: overwrite output and timelines"
    )
    add_model(parser)
    add_prior(parser)
    add_adaptation(parser)
