"""``python -m train``: corpora -> weights."""

from __future__ import annotations

import argparse
import signal
import sys
from importlib import import_module

from streamer.commands.usage import Parser
from train.commands import COMMANDS, GO_ON
from train.ending import STOPS, exit_code_of


def make_parser() -> argparse.ArgumentParser:
    """Make a parser of every command's options."""
    parser = Parser(
        prog="python -m train",
        description="From recordings to a model file, and from a model file to figures.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        command = import_module(f"train.commands.{name}")
        command.add_arguments(
            commands.add_parser(name, help=command.HELP, description=command.DESCRIPTION)
        )
    return parser


def main() -> int:
    """Run the command and return its exit code."""
    options = argparse.Namespace(command=None)

    def work() -> int:
        make_parser().parse_args(namespace=options)
        code: int = import_module(f"train.commands.{options.command}").run(options)
        return code

    return exit_code_of(work, lambda: GO_ON.get(options.command, ""))


if __name__ == "__main__":
    code = main()
    for stop in STOPS:  # a second Ctrl-C would end the wait for the last workers with a traceback
        signal.signal(stop, signal.SIG_IGN)
    sys.exit(code)
