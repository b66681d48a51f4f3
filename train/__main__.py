"""``python -m train``: corpora -> weights."""

from __future__ import annotations

import argparse
import errno
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import NoReturn

from streamer.errors import RunFailure, SerLiveError, told
from streamer.outputs import say_on_stderr
from train.commands import COMMANDS, GO_ON

#: Exit codes after Ctrl-C and SIGTERM: 128 + the number of the signal, as in shells.
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143
#: The system's errors of a disk without room.
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage as one line, with the exit code of ``ser-live``."""

    def error(self, message: str) -> NoReturn:
        raise SerLiveError(f"{message.removeprefix('argument ')}; see {self.prog} --help")


def make_parser() -> argparse.ArgumentParser:
    """Make a parser of every command's options."""
    parser = _Parser(prog="python -m train", description=__doc__)
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
    signal.signal(signal.SIGTERM, _stop)
    try:
        make_parser().parse_args(namespace=options)
        code: int = import_module(f"train.commands.{options.command}").run(options)
        return code
    except SerLiveError as error:
        say_on_stderr(told(error, "train"))
        return error.exit_code
    except OSError as error:
        if error.errno not in _FULL:
            raise  # a bug of this program
        where = "a file" if error.filename is None else error.filename
        say_on_stderr(told(f"cannot write {where}: {error.strerror}", "train"))
        return RunFailure.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("train", "model", "streamer"):
            raise  # a bug of this program
        say_on_stderr(f"train: training needs {error.name}: pip install --editable '.[train]'")
        return RunFailure.exit_code
    except KeyboardInterrupt as stopped:
        goes_on = "; the same command goes on" * (options.command in GO_ON)
        say_on_stderr(f"train: stopped{goes_on}")
        return EXIT_TERMINATED if isinstance(stopped, _Terminated) else EXIT_INTERRUPTED


class _Terminated(KeyboardInterrupt):
    """SIGTERM came, as from a scheduler of jobs."""


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated


if __name__ == "__main__":
    sys.exit(main())
