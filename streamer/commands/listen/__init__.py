"""``ser-live listen``: analyses a microphone, live."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.numbers import Number
from streamer.commands.options import CHANNELS, add_adaptation, add_model, add_prior, add_results

HELP = "a microphone, live"
DESCRIPTION = (
    "Listen to a microphone until Ctrl-C. Lost audio is reported, and up to 3 s of silence stand "
    "in for it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--device", metavar="NAME|N", help="number or part of the name; see ser-live devices"
    )
    parser.add_argument(
        "--duration",
        type=Number("seconds", 0, excludes_low=True),
        metavar="S",
        help="end after S seconds",
    )
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE.wav",
        help="also write the audio to this file (float32, mono)",
    )
    parser.add_argument("--channels", metavar="C", help=CHANNELS)
    parser.add_argument(
        "--no-reconnect", action="store_true", help="end if the device is unplugged"
    )
    add_results(parser)
    add_model(parser)
    add_prior(parser, "everyday where the model knows it")
    add_adaptation(parser)
