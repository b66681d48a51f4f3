"""``ser-live info``: describes a model, its training and its scores."""

from __future__ import annotations

import argparse

from streamer.commands.options import add_model

HELP = "labels, training data and accuracy of a model"
DESCRIPTION = "Labels, look-ahead, training corpora, licence and measured accuracy."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_model(parser)
