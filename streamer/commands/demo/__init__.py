"""``ser-live demo``: replays the recording that is shipped, as if it were arriving live."""

from __future__ import annotations

import argparse

from streamer.bundled import bundled
from streamer.commands.options import SPEED_HELP, SPEEDS, add_model, add_prior, add_results

HELP = "a shipped recording, live; needs no microphone"
DESCRIPTION = (
    "Replay the shipped recording of 10 s as if it were arriving live. One actor says one sentence "
    "four times: neutral, angry, sad and happy. No microphone is needed. At the end, a terminal "
    "shows what was heard in each."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options, and the values of those of ``replay`` that it does not have."""
    parser.add_argument("--speed", choices=SPEEDS, default="1", help=SPEED_HELP)
    add_results(parser)
    add_model(parser)
    add_prior(parser)
    parser.set_defaults(
        files=[str(bundled("demo.flac"))],
        block_ms=10,
        channels=None,
        profile=None,
        adapts=True,
        rate=None,
        live=False,
        sample_format=None,
    )
