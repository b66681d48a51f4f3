"""Which options of a configuration file give way to the command line.

The command line wins. What it says may also rule out another option of the file, which would be
wrong usage if both stood on the command line.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from typing import Any


def objection(
    key: str, value: Any, options: argparse.Namespace, given: Collection[str]
) -> str | None:
    """Return what on the command line rules a configured option out.

    Args:
        key: name of the option.
        value: its value in the file.
        options: those of the command, without those of the file.
        given: names of the settable options on the command line.

    Returns:
        None if nothing does; otherwise what to tell the user, or "" if the option has nothing to do
        with this run.
    """
    has = vars(options).get
    match key:
        case "profile":
            if "model" in given:  # the profile belongs to the file's model, or to the default
                return "--model"
            return "--channels split" if "split" in str(has("channels")) else None
        case "channels":
            return _objection_to_channels(value, options, given)
        case "format":
            return "--output" if has("output") is not None and value != "tui" else None
        case "speed":
            return "--live" if has("live") else None
        case "certfile" | "keyfile":  # a certificate and its key go together
            other = "keyfile" if key == "certfile" else "certfile"
            return f"--{other}" if other in given else None
    return "" if _is_idle(key, options) else None


def _objection_to_channels(
    value: Any, options: argparse.Namespace, given: Collection[str]
) -> str | None:
    has = vars(options).get
    if "-" in (has("files") or ()):  # of raw PCM it is the number of channels
        return "-, which needs its own --channels"
    if value == "split":
        if options.command == "enrol":
            return ""
        if "profile" in given:
            return "--profile"
        if has("record") is not None:
            return "--record"
    return None


def _is_idle(key: str, options: argparse.Namespace) -> bool:
    """Return whether the option is of something that this run does not do."""
    has = vars(options).get
    if options.command == "enrol":
        return key == "device" and bool(has("files"))
    if options.command == "latency":
        is_loopback, is_remote = has("loopback") is not None, has("server") is not None
        listens = is_loopback or (has("source") == "mic" and not is_remote)
        match key:
            case "device":
                return not listens
            case "output-device":
                return not is_loopback
            case "model" | "prior":
                return is_loopback or is_remote
    return False
