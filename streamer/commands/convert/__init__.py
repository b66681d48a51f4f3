"""``ser-live convert``: converts a session in JSON lines to a file for another program."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.options import add_file
from streamer.formats.names import TIMELINES

HELP = "a session of JSON lines as table, label track, TextGrid or subtitles"
DESCRIPTION = (
    "Convert a session that was written with --format jsonl. A stretch of one label becomes an "
    "interval; gaps and marks are kept by audacity and textgrid."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("session", type=Path, metavar="SESSION.jsonl", help="what was written")
    parser.add_argument(
        "--format",
        choices=TIMELINES,
        help="default: by the output's suffix, one of .csv .txt (audacity) .TextGrid .srt .vtt",
    )
    add_file(parser)
