"""What the commands have in common that are modules of their own and measure a server."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from streamer.errors import SerLiveError, told
from streamer.outputs import say_on_stderr

#: Exit code after Ctrl-C.
EXIT_INTERRUPTED = 130

Answer = TypeVar("Answer")


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage as one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(
            SerLiveError.exit_code, told(f"{message}; see {self.prog} --help", "train") + "\n"
        )


def make_parser(name: str, doc: str | None, *, attacks: bool = False) -> argparse.ArgumentParser:
    """Make the parser of ``python -m train.endurance.NAME``.

    Args:
        name: name of the module.
        doc: its docstring; the first line describes the command.
        attacks: whether the command starts itself again as a process that attacks a port.
    """
    parser = _Parser(
        prog=f"python -m train.endurance.{name}", description=(doc or "").partition("\n")[0]
    )
    if attacks:
        parser.add_argument("--attack", type=int, metavar="PORT", help=argparse.SUPPRESS)
    return parser


def attack(clients: Coroutine[Any, Any, Answer]) -> Answer:
    """Run clients with the lowest priority, as if they were on other machines."""
    os.nice(10)
    return asyncio.run(clients)


def exit_code_of(name: str, measure: Callable[[], int]) -> int:
    """Return what ``measure`` returns; or report in one line why it did not, and return a code."""
    try:
        return measure()
    except SerLiveError as error:
        say_on_stderr(f"{name}: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say_on_stderr(f"{name}: stopped")
        return EXIT_INTERRUPTED
