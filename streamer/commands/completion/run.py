"""Runs ``ser-live completion``: a script made from the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from streamer.commands.choices import stdout
from streamer.commands.options import is_path
from streamer.commands.parser import make_parser
from streamer.outputs import write_line
from streamer.session.interrupts import Interrupts

#: Metavars of what is a file, though the parser takes it as text.
_FILES = ("FILE",)
_FOLDER = "DIR"


def run(options: argparse.Namespace, _interrupts: Interrupts) -> int:
    """Write the script.

    Raises:
        SerLiveError: standard output is closed.
        RunFailure: it cannot be written.
    """
    write_line(stdout(), script(options.shell).rstrip())
    return 0


def script(shell: str) -> str:
    """Return the script for a shell, one of :data:`streamer.commands.completion.SHELLS`."""
    parser = make_parser()
    for action in _all_actions(parser):
        if action.metavar == _FOLDER:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif is_path(action) or action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def _all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the options of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _all_actions(command)
