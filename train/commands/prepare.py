"""``python -m train prepare``: checks corpora."""

from __future__ import annotations

import argparse

from train.commands.options import add_corpora

HELP = "check corpora: counts, lengths, faults"
DESCRIPTION = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "corpus",
        nargs="*",
        help="name of a corpus, or path of own recordings (default: all corpora at hand)",
    )
    add_corpora(parser)


def run(options: argparse.Namespace) -> int:
    """Check the corpora; the exit code says whether all are as they should be."""
    from train.corpora.check import prepare

    return prepare(options.corpus, options.corpora)
