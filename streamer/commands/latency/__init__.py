"""``ser-live latency``: measures the latency of a label, and where the time goes.

``measure.py`` runs the measurements: ``live.py`` at the pace of the clock, ``stopped.py`` with the
clock stopped while computing, ``streams.py`` with many streams at once, ``loopback.py`` from
speaker to microphone. ``server.py`` measures a running server. ``tables.py`` and ``plot.py`` show
the results.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.commands.numbers import Number, Whole
from streamer.commands.options import add_model, add_prior, local_file

HELP = "how late a label is, and where the time goes"
DESCRIPTION = (
    "Measure every part of the delay between a sound and its label: in real time, then with the "
    "clock stopped while computing. Ctrl-C ends the first part and shows its results so far."
)
#: ``stopped`` skips the paced session.
SOURCES = ("replay", "mic", "stopped")
#: How many streams, and chirps, are measured.
STREAMS = range(1, 10_001)
CHIRPS = range(1, 101)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "recording",
        nargs="?",
        type=local_file,
        metavar="FILE",
        help="recording (default: the demo)",
    )
    parser.add_argument(
        "--source",
        choices=SOURCES,
        help="replay: a recording in real time; mic: a microphone, from the time of capture; "
        "stopped: only with the clock stopped (default: replay)",
    )
    parser.add_argument(
        "--seconds",
        type=Number("seconds", 1, 86_400),
        metavar="S",
        help="length of each measurement (default: 30)",
    )
    parser.add_argument(
        "--streams",
        type=Whole(STREAMS[0], STREAMS[-1]),
        metavar="N",
        help="also measure N streams at once on one core",
    )
    parser.add_argument(
        "--loopback",
        nargs="?",
        type=Whole(CHIRPS[0], CHIRPS[-1]),
        const=10,
        metavar="N",
        help="instead, play N chirps (10) and find them in the microphone's signal",
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="instead, play --streams streams in real time to a server (ser-live serve) on this "
        "or another machine; SER_LIVE_TOKEN holds its token",
    )
    parser.add_argument("--device", metavar="NAME|N", help="microphone; see ser-live devices")
    parser.add_argument("--output-device", metavar="NAME|N", help="speaker for --loopback")
    add_model(parser)
    add_prior(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw histogram and timeline (matplotlib)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite these files")
