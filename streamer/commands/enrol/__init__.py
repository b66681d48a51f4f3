"""``ser-live enrol``: makes a profile of a voice."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.options import add_model, local_file

HELP = "a profile of a voice, from 20 s of ordinary speech"
DESCRIPTION = (
    "Make a profile of a voice for --profile, from recordings of that voice or from a microphone, "
    "which listens until it has heard 20 s of speech. Speak as you usually do. A profile holds "
    "numbers and no audio. The numbers identify the voice, so keep the file as you would a picture "
    "of a face. It works with one model only."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("profile", type=Path, metavar="NAME.profile", help="file to write")
    parser.add_argument(
        "files",
        nargs="*",
        default=[],  # otherwise argparse calls them required
        type=local_file,
        metavar="FILE",
        help="recording of that voice alone (default: a microphone)",
    )
    parser.add_argument("--device", metavar="NAME|N", help="microphone; see ser-live devices")
    parser.add_argument(
        "--channels",
        metavar="C",
        help="mix (default): the mean of the channels; a number, from 1: that channel alone",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an older profile")
    add_model(parser)
