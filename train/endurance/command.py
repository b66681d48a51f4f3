"""What the commands share that measure a server, each in a module of its own."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from streamer.commands.usage import Parser

Answer = TypeVar("Answer")


def make_parser(name: str, doc: str | None, *, attacks: bool = False) -> argparse.ArgumentParser:
    """Make the parser of ``python -m train.endurance.NAME``.

    Args:
        name: name of the module.
        doc: its docstring; the first line describes the command.
        attacks: whether the command starts itself again as a process that attacks a port.
    """
    parser = Parser(
        prog=f"python -m train.endurance.{name}", description=(doc or "").partition("\n")[0]
    )
    if attacks:
        parser.add_argument("--attack", type=int, metavar="PORT", help=argparse.SUPPRESS)
    return parser


def attack(clients: Coroutine[Any, Any, Answer]) -> Answer:
    """Run clients with the lowest priority, as if they were on other machines."""
    os.nice(10)
    return asyncio.run(clients)
