"""``ser-live devices``: lists the input devices."""

from __future__ import annotations

import argparse

HELP = "input devices"
DESCRIPTION = "Input devices with their own rate and others they accept; * is the default."


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no options."""
