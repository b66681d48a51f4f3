"""``ser-live report``: shows recorded sessions as a picture or a page.

From a session to numbers: ``overview.py`` divides it into columns, ``facts.py`` sums it up,
``sentence.py`` puts that in words, ``sound.py`` reads its sound.

From numbers to a page: ``page.py`` combines the shapes of ``drawing/``, and ``drawing/svg.py``,
``drawing/plotted.py`` and ``html.py`` write it. An HTML page also holds the numbers of
``cells.py``, from which its scripts draw at any zoom: ``cells.js`` unpacks them, ``view.js`` is
the axis, ``strips.js`` draws, ``hover.js`` shows what is under the pointer, ``sound.js`` plays and
``gestures.js`` moves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.options import local_file

HELP = "sessions as a picture or a page"
DESCRIPTION = (
    "Draw sessions that were written with --format jsonl: a summary in a sentence; labels, "
    "probabilities, speech, gaps and marks over time; shares of the speech; latencies. Several "
    "recordings share one time axis and one table."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "sessions",
        nargs="*",  # for a --sound that takes one: run.py says so better
        type=local_file,
        metavar="SESSION.jsonl",
        help="session to draw, or - for standard input",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help=".html (a page that zooms) or .svg; with matplotlib also .png or .pdf",
    )
    parser.add_argument(
        "--sound",
        nargs="?",
        action="append",
        metavar="FILE",
        help="also draw the sound, and embed it in an .html page, which plays it; give it once for "
        "each recording, in order, or once without FILE to take the files that were replayed",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the output file")
