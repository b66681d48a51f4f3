"""``ser-live convert``: converts a session in JSON lines to a file for another program."""

from __future__ import annotations

import argparse

from streamer.commands.options import add_file, local_file
from streamer.formats.names import TIMELINES

HELP = "sessions as a table, label track, TextGrid or subtitles"
DESCRIPTION = (
    "Convert a session that was written with --format jsonl. Each stretch with one label becomes "
    "an interval; audacity and textgrid keep gaps and marks."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "session",
        type=local_file,
        metavar="SESSION.jsonl",
        help="session to convert, or - for standard input",
    )
    parser.add_argument(
        "--format",
        choices=TIMELINES,
        help="default: from the output's suffix, .csv .txt (audacity) .TextGrid .srt or .vtt",
    )
    add_file(parser)
