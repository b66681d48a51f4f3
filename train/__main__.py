"""``python -m train``: corpora -> weights."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from streamer.errors import RunFailure, SerLiveError, told
from streamer.outputs import say_on_stderr
from train.commands import COMMANDS, GO_ON

#: Exit code after Ctrl-C: 128 + the number of the signal, as in shells.
EXIT_INTERRUPTED = 130


def make_parser() -> argparse.ArgumentParser:
    """Make a parser of every command's options."""
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        command = import_module(f"train.commands.{name}")
        command.add_arguments(
            commands.add_parser(name, help=command.HELP, description=command.DESCRIPTION)
        )
    return parser


def main() -> int:
    """Run the command and return its exit code."""
    options = make_parser().parse_args()
    try:
        code: int = import_module(f"train.commands.{options.command}").run(options)
        return code
    except SerLiveError as error:
        say_on_stderr(told(error, "train"))
        return error.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("train", "model", "streamer"):
            raise  # a bug of this program
        say_on_stderr(f"train: training needs {error.name}: pip install --editable '.[train]'")
        return RunFailure.exit_code
    except KeyboardInterrupt:
        goes_on = "; the same command goes on" * (options.command in GO_ON)
        say_on_stderr(f"train: stopped{goes_on}")
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
