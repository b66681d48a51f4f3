"""``ser-live enrol``: makes a profile of a voice."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.options import add_model

HELP = "a voice that will be heard, from 20 s of ordinary speech"
DESCRIPTION = (
    "Make a profile of a voice, for --profile: from recordings of it, or from a microphone until "
    "20 s of speech were heard. Speak as you usually do. What is kept are numbers, no audio; they "
    "tell that voice from others, so keep them as you would a picture of a face. They are of one "
    "model."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("profile", type=Path, metavar="NAME.profile", help="written here")
    parser.add_argument(
        "files",
        nargs="*",
        default=[],  # otherwise argparse calls them required
        type=Path,
        metavar="FILE",
        help="recording of that voice alone; none: a microphone",
    )
    parser.add_argument("--device", metavar="NAME|N", help="microphone; see ser-live devices")
    parser.add_argument(
        "--channels",
        metavar="C",
        help="mix (default): the mean of the channels; a number, from 1: that one alone",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an older profile")
    add_model(parser)
