"""``python -m train bench``: compares the cost of a step with alternatives."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.bundled import bundled
from streamer.commands.numbers import Number
from train.commands.options import add_json

HELP = "compare the cost of a step with alternatives, and measure training"
DESCRIPTION = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--model", type=Path, help="model file (default: the shipped one)")
    parser.add_argument("--recording", type=Path, default=bundled("demo.flac"), help="%(default)s")
    parser.add_argument(
        "--seconds",
        type=Number("seconds", 0, excludes_low=True),
        default=20.0,
        help="how long (%(default)s)",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Measure; raises as :func:`train.endurance.bench.run_bench`."""
    from train.endurance.bench import run_bench

    run_bench(options)
    return 0
