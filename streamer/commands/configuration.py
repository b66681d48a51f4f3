"""The configuration file: options for every run, under their names on the command line.

Options for several commands stand at the top level, those of one command in its table. A file sets
habits only: it names no outputs, overwrites nothing, and describes no single pipe or measurement.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from streamer.commands.numbers import Number, Whole
from streamer.commands.options import is_path
from streamer.commands.precedence import objection
from streamer.errors import SerLiveError
from streamer.modelfile.shipped import SHIPPED

FILE_NAME = "ser-live.toml"
#: Command -> options that a file may set.
SETTABLE: dict[str, tuple[str, ...]] = {
    "listen": (
        *("device", "channels", "format", "no-reconnect"),
        *("model", "prior", "profile", "no-adaptation"),
    ),
    "replay": (
        *("speed", "block-ms", "channels", "format"),
        *("model", "prior", "profile", "no-adaptation"),
    ),
    "enrol": ("device", "channels", "model"),
    "picture": ("size", "model", "prior", "profile", "no-adaptation"),
    "info": ("model",),
    "latency": ("device", "output-device", "model", "prior"),
    "score": (
        *("channels", "workers", "passed-over"),
        *("model", "prior", "profile", "no-adaptation"),
    ),
    "serve": (
        *("host", "port", "max-streams", "max-idle", "max-seconds", "allow-origin"),
        *("certfile", "keyfile", "log-addresses"),
        *("model", "also-model", "prior", "no-adaptation"),
    ),
}
#: Options whose errors name the value and not the option, with a pattern around the value: a whole
#: word, or the end of a path.
_WORD = r"(?<![\w.]){}(?![\w./])"
_TOLD_BY_VALUE = {
    **dict.fromkeys(("device", "model", "also-model", "profile", "certfile", "keyfile"), _WORD),
    "channels": r"no channel {}(?!\d)",
    "format": r"(?<![\w.]){} holds one ",
}
_ALL = [name for names in SETTABLE.values() for name in names]
#: Options that may stand at the top level: those of several commands.
GENERAL = tuple(name for name in dict.fromkeys(_ALL) if _ALL.count(name) > 1)

#: TOML's own limit for whole numbers.
_LARGEST = 2**63
_SHOWN_CHARACTERS = 60


def _is_named(option: str, value: object, message: str) -> bool:
    """Return whether the message is about an option, or about one of its values."""
    if re.search(rf"--{option}(?![\w-])", message):
        return True
    pattern = _TOLD_BY_VALUE.get(option)
    if pattern is None:
        return False
    values = value if isinstance(value, list) else [value]
    return any(re.search(pattern.format(re.escape(str(one))), message) for one in values)


class Applied(NamedTuple):  # dataclasses take a third of the time to start
    """What a run takes from a configuration file.

    Attributes:
        path: the file; None if none was read.
        values: option -> value, for the options that were taken from it.
        notices: lines for the user about options that give way to the command line.
    """

    path: Path | None = None
    values: Mapping[str, object] = MappingProxyType({})
    notices: tuple[str, ...] = ()

    def origin(self, message: str) -> str:
        """Return what to add to an error about an option or a value that the file has set."""
        named = [name for name, value in self.values.items() if _is_named(name, value, message)]
        return f" ({self.path} sets {', '.join(named)})" if named else ""


class Unset:
    """The default of an option that was not given on the command line."""

    def __init__(self, default: Any) -> None:
        self.default = default

    def __str__(self) -> str:  # in the help
        return str(self.default)

    def __copy__(self) -> list[Any]:  # argparse appends to a copy of the default
        return []


def default_path() -> Path | None:
    """Return where the file is looked for; None if the system has no such place."""
    if sys.platform == "win32":
        folder = os.environ.get("APPDATA")
        return Path(folder, FILE_NAME) if folder else None
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    if Path(folder).is_absolute():  # the specification ignores any other
        return Path(folder, FILE_NAME)
    try:
        return Path.home() / ".config" / FILE_NAME
    except RuntimeError:  # a user without a home folder
        return None


def chosen_path(options: argparse.Namespace) -> Path | None:
    """Return the file to read: the one that is named, or the default one where it exists."""
    if options.config is not None:
        named: Path = options.config
        return named
    path = None if options.no_config else default_path()
    return path if path is not None and os.path.lexists(path) else None


def watch(command: argparse.ArgumentParser, name: str) -> None:
    """Give the settable options defaults by which :func:`apply` knows what was not given."""
    for action in _actions(command, name).values():
        action.default = Unset(action.default)


def apply(options: argparse.Namespace, parsers: Mapping[str, argparse.ArgumentParser]) -> None:
    """Fill in options that were not given: from the configuration file, else their defaults.

    Args:
        options: from the command's watched parser; gets an :class:`Applied` as ``configuration``.
        parsers: those of all commands, by name.

    Raises:
        SerLiveError: the file cannot be read, or something in it is wrong.
    """
    name = options.command
    options.configuration = Applied()
    if name not in SETTABLE:
        return
    actions = _actions(parsers[name], name)
    given = {key for key, one in actions.items() if not isinstance(vars(options)[one.dest], Unset)}
    for key in actions.keys() - given:
        setattr(options, actions[key].dest, vars(options)[actions[key].dest].default)
    path = chosen_path(options)
    if path is None:
        return
    taken: dict[str, Any] = {}
    notices = []
    for key, (_, value) in read(path, parsers).get(name, {}).items():
        if key in given:
            continue
        reason = objection(key, value, options, given)
        if reason is None:
            taken[key] = value
        elif reason:
            notices.append(f"{path}: {key} is left out, since the command line has {reason}")
    # Not before: only the command line rules another out.
    vars(options).update({actions[key].dest: value for key, value in taken.items()})
    options.configuration = Applied(path, taken, tuple(notices))


def read(
    path: Path, parsers: Mapping[str, argparse.ArgumentParser]
) -> dict[str, dict[str, tuple[object, Any]]]:
    """Read a whole file.

    Returns:
        command -> option -> the value as written, and as the command takes it.

    Raises:
        SerLiveError: it cannot be read, or something in it is wrong.
    """
    content = _toml(path)
    tables = {name: one for name, one in content.items() if isinstance(one, dict)}
    for key in content.keys() - tables.keys():
        if key not in GENERAL:
            raise SerLiveError(
                f"{path}: {key!r} cannot be set for all commands; allowed are "
                f"{', '.join(GENERAL)}, and tables {_listed(SETTABLE)}"
            )
    for name, table in tables.items():
        if name not in SETTABLE:
            raise SerLiveError(f"{path}: no table [{name}]; allowed are {_listed(SETTABLE)}")
        for key in table:
            if key not in SETTABLE[name]:
                raise SerLiveError(
                    f"{path}: [{name}] {key!r} cannot be set; allowed are "
                    f"{', '.join(SETTABLE[name])}"
                )
    result: dict[str, dict[str, tuple[object, Any]]] = {}
    for name in SETTABLE:
        values = result[name] = {}
        for key, action in _actions(parsers[name], name).items():
            own = key in tables.get(name, {})
            if not own and key not in content:
                continue
            written = tables[name][key] if own else content[key]
            where = f"{path}: [{name}] {key}" if own else f"{path}: {key}"
            values[key] = (written, _value(action, written, where, path.parent))
    return result


def _toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        # Editors under Windows put a mark before the text, which TOML does not know.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SerLiveError(
            f"{path}: {error.strerror}; --no-config does without a configuration file"
        ) from error
    except UnicodeDecodeError as error:
        raise SerLiveError(f"{path}: not TOML: it is no text in UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise SerLiveError(f"{path}: not TOML: {error}") from error


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(f"[{name}]" for name in names)


def _actions(command: argparse.ArgumentParser, name: str) -> dict[str, argparse.Action]:
    """Return the options of a command that a file may set, by name."""
    return {key: command._option_string_actions[f"--{key}"] for key in SETTABLE.get(name, ())}


def _value(action: argparse.Action, written: object, where: str, folder: Path) -> Any:
    """Return a value as the command line would give it.

    Raises:
        SerLiveError: it is not allowed.
    """
    if action.nargs == 0:  # a flag
        if not isinstance(written, bool):
            raise SerLiveError(f"{where} must be true or false, is {_shown(written)}")
        unset = action.default
        return action.const if written else getattr(unset, "default", unset)
    if isinstance(action, argparse._AppendAction):
        if not isinstance(written, list):
            raise SerLiveError(f"{where} must be a list, is {_shown(written)}")
        return [_single(action, one, where, folder) for one in written]
    return _single(action, written, where, folder)


def _single(action: argparse.Action, written: object, where: str, folder: Path) -> Any:
    is_number = isinstance(written, int | float) and not isinstance(written, bool)
    if is_number and isinstance(written, int) and abs(written) > _LARGEST:
        raise SerLiveError(f"{where} is too large")
    if action.choices is not None:
        if not (isinstance(written, str) or is_number) or str(written) not in action.choices:
            allowed = ", ".join(map(str, action.choices))
            raise SerLiveError(f"{where} must be one of {allowed}, is {_shown(written)}")
        return str(written)
    if isinstance(action.type, Whole | Number):
        try:
            return action.type.check(written)
        except ValueError as error:
            raise SerLiveError(f"{where} must be {error}, is {_shown(written)}") from error
    text = str(written) if isinstance(written, int) and is_number else written
    if not isinstance(text, str) or not text.isprintable() or not text:
        raise SerLiveError(f"{where} must be text, is {_shown(written)}")
    return _path(text, action.dest, folder) if is_path(action) else text


def _shown(written: object) -> str:
    """Return a value as an error shows it, which may be anything."""
    if isinstance(written, bool):
        return str(written).lower()  # as TOML writes it
    try:
        text = repr(written)
    except (ValueError, RecursionError):  # a number of thousands of digits
        return "something else"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _path(text: str, option: str, folder: Path) -> Path:
    """Return a path, relative to the configuration file's folder; no shell has replaced ``~``."""
    if option in ("model", "also_model") and text in SHIPPED:
        return Path(text)
    try:
        return folder / Path(text).expanduser()
    except RuntimeError:  # there is no such home folder
        return folder / text
