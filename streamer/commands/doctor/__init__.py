"""``ser-live doctor``: examines the installation and the machine, for a report of a fault.

``run.py`` carries out the checks: ``software.py`` and ``surroundings.py`` look at the program and
what is around it, ``hearing.py`` at the model and what it hears. ``findings.py`` holds what they
find and shows it.
"""

from __future__ import annotations

import argparse

from streamer.commands.options import add_model

HELP = "whether everything works here, and what to do"
DESCRIPTION = (
    "Examine the program, its libraries, the terminal, microphones, the model, its speed here, and "
    "whether streaming equals hearing a recording at once. The exit code is 1 if something that "
    "the program needs is broken; a missing microphone does not count. The report is meant for a "
    "bug report: it names devices, and ~ stands for your home folder."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--json", action="store_true", help="write one JSON object, for programs")
    add_model(parser)
