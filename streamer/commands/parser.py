"""Parses the command line of ``ser-live``."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from streamer.commands import COMMANDS, GROUPS, configuration
from streamer.commands.options import local_file
from streamer.commands.usage import Parser
from streamer.errors import SerLiveError
from streamer.outputs import write_line

#: Options that go before a command; with any other the command is ``listen``.
_OWN = ("-h", "--help", "--version")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; without a command they are those of ``listen``.

    Options that were not given come from the configuration file, see ``configuration.py``.

    Raises:
        SerLiveError: wrong usage, or a wrong configuration file.
    """
    leading, arguments = _split_leading(arguments)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in _OWN):
        arguments.insert(0, "listen")
    first = Path(arguments[0])
    if first.suffix and os.path.lexists(first):
        raise SerLiveError(f"{first} is a file: ser-live replay FILE hears it")
    arguments[1:1] = leading
    parser, commands = _make_parsers()
    if arguments[0] in commands:
        configuration.watch(commands[arguments[0]], arguments[0])
    try:
        if any(one == "" or re.fullmatch(r"--[\w-]+=", one) for one in arguments):
            raise SerLiveError("an argument is empty; does it name a variable that is not set?")
        options, unknown = parser.parse_known_args(arguments)
        if unknown and not _take_files(commands[options.command], options, unknown):
            raise SerLiveError(
                f"unrecognized arguments: {' '.join(unknown)}; see ser-live {options.command} "
                "--help"
            )
    except SerLiveError:
        if (name := _dashed_file(arguments)) is not None:
            raise SerLiveError(
                f"{name} begins with a dash, as options do: write ./{name}, or -- before it and "
                "behind all options"
            ) from None
        raise
    configuration.apply(options, commands)
    return options


def make_parser() -> argparse.ArgumentParser:
    """Return a parser for all commands' options."""
    return _make_parsers()[0]


def command_parsers() -> Mapping[str, argparse.ArgumentParser]:
    """Return each command's parser."""
    return _make_parsers()[1]


def _take_files(
    command: argparse.ArgumentParser, options: argparse.Namespace, files: Sequence[str]
) -> bool:
    """Add the files that follow an option to those before it, which argparse does not do.

    Returns:
        whether the command takes any number of files, and all of these may be some.
    """
    takers = [one for one in command._actions if not one.option_strings and one.nargs in ("*", "+")]
    if not takers or any(one.startswith("-") for one in files):
        return False
    type_of: Any = takers[-1].type or str
    before = getattr(options, takers[-1].dest) or []
    try:
        setattr(options, takers[-1].dest, [*before, *map(type_of, files)])
    except argparse.ArgumentTypeError as error:
        raise SerLiveError(str(error)) from error
    return True


def _dashed_file(arguments: Sequence[str]) -> str | None:
    """Return the first argument that was taken for options but is, or may be, a file's name."""
    for one in arguments:
        if one == "--":
            return None
        if one.startswith("-") and one != "-" and os.path.lexists(one):
            return one
        # Not an option with its value, nor a number.
        is_option = one.startswith(("--", "-o", "-h")) or not one.startswith("-")
        if not is_option and re.fullmatch(r"\.[a-z]\w*", Path(one).suffix, re.IGNORECASE):
            return one
    return None


def _split_leading(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options about the configuration file before the command, and the rest."""
    at = 0
    while at < len(arguments):
        if arguments[at] == "--no-config" or arguments[at].startswith("--config="):
            at += 1
        elif arguments[at] == "--config" and at + 1 < len(arguments):
            at += 2
        else:
            break
    return list(arguments[:at]), list(arguments[at:])


def _make_parsers() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    parser = _Parser(
        prog="ser-live",
        usage="%(prog)s [-h] [--version] [COMMAND] ...",
        description="Speech emotion, live: an estimate every 40 ms. Without a command it listens "
        "to the microphone; ser-live COMMAND --help lists the options of a command.",
        formatter_class=_GroupedHelp,
    )
    parser.add_argument(
        "--version",
        action=_Version,
        nargs=0,
        help="show the version and the default model, and exit",
    )
    commands = parser.add_subparsers(
        title="commands", prog="ser-live", dest="command", required=True, metavar="COMMAND"
    )
    for name in COMMANDS:
        module = import_module(f"streamer.commands.{name}")
        command = commands.add_parser(name, help=module.HELP, description=module.DESCRIPTION)
        module.add_arguments(command)
        # doctor tells what the file sets
        _add_configuration(command, name in (*configuration.SETTABLE, "doctor"))
    return parser, commands.choices


def _add_configuration(command: argparse.ArgumentParser, takes_one: bool) -> None:
    group = command.add_argument_group("configuration file")
    one = group.add_mutually_exclusive_group()
    if not takes_one:
        command.set_defaults(config=None)
    else:
        one.add_argument(
            "--config",
            type=local_file,
            metavar="FILE.toml",
            help="read options from this file; those on the command line count more (default: "
            "ser-live.toml in ~/.config, or in %%APPDATA%% under Windows)",
        )
    one.add_argument("--no-config", action="store_true", help="do not read a configuration file")


class _Parser(Parser):
    """Prints help, or fails if it cannot."""

    def print_help(self, file: Any = None) -> None:
        """Print the help; argparse's own method is silent if nothing can be written."""
        _show(self.format_help().rstrip(), file)


class _GroupedHelp(argparse.HelpFormatter):
    """Lists the commands under headings, with room for the longest name."""

    _HEADINGS: ClassVar = {names[0]: heading for heading, names in GROUPS.items()}

    def __init__(self, prog: str, **more: Any) -> None:
        super().__init__(prog, **more | {"max_help_position": 18})

    def _format_action(self, action: argparse.Action) -> str:
        is_list = isinstance(action, argparse._SubParsersAction)
        if is_list:
            self._action_max_length += self._indent_increment  # argparse forgets this indent
        text = super()._format_action(action)
        if is_list:
            return text.partition("\n")[2]  # without the line that says COMMAND
        heading = "" if action.option_strings else self._HEADINGS.get(action.dest)
        return f"\n  {heading}\n{text}" if heading else text


class _Version(argparse.Action):
    """Looks up the version only on request: it takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from streamer.modelfile.identity import identify
        from streamer.modelfile.shipped import model_path
        from streamer.version import program_line

        _show(program_line())
        _show(f"model {identify(model_path(None))}")
        parser.exit()


def _show(text: str, file: Any = None) -> None:
    out = file or sys.stdout
    if out is None:
        raise SerLiveError("standard output is closed")
    write_line(out, text)
