"""``python -m train windows``: compares lengths of the rolling window."""

from __future__ import annotations

import argparse
from pathlib import Path

from train.commands.options import add_cache, add_corpora

HELP = "how long the rolling window of a finished run should be"
DESCRIPTION = (
    "Ask the network of a run with shorter windows, on validation speakers alone "
    "and in running streams. Nothing is trained."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", type=Path, help="folder of the run")
    add_corpora(parser)
    add_cache(parser)


def run(options: argparse.Namespace) -> int:
    """Show the results of shorter windows; raises as :func:`train.stages.windows.run_windows`."""
    from streamer.outputs import show
    from train.stages.windows import run_windows

    show(run_windows(options.run, options.corpora, options.cache))
    return 0
