"""Runs ``ser-live convert``: converts a session in JSON lines for another program."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from streamer.commands.choices import open_output, say, session_source
from streamer.errors import SerLiveError
from streamer.formats.names import SUFFIXES, TIMELINES
from streamer.formats.reader import read_sessions
from streamer.formats.writers import check_named, open_timeline
from streamer.outputs import Output
from streamer.session.interrupts import Interrupts
from streamer.sound.source import NO_SIGNALS, Signals


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Convert the named session.

    Raises:
        SerLiveError: no format is given, the file cannot be read, or the format cannot hold it.
        RunFailure: the output cannot be written.
        Interrupted: a signal came; the lines so far are complete.
    """
    name = format_of(options.output, options.format)
    check_named(options.output, name, say)
    with ExitStack() as stack:
        out = open_output(options, stack, [options.session])
        convert(options.session, name, out, say, interrupts)
    return 0


def format_of(output: Path | None, name: str | None) -> str:
    """Return the named format, or that of the output's suffix.

    Raises:
        SerLiveError: there is neither.
    """
    if name is not None:
        return name
    if output is None:
        suffixes = ", ".join(SUFFIXES).replace(".textgrid", ".TextGrid")
        raise SerLiveError(f"name a --format, or an --output that ends in {suffixes}")
    if output.suffix.lower() not in SUFFIXES:
        raise SerLiveError(
            f"{output}: the suffix says no format; name a --format: {', '.join(TIMELINES)}"
        )
    return SUFFIXES[output.suffix.lower()]


def convert(
    path: Path,
    name: str,
    out: Output,
    say: Callable[[str], None],
    signals: Signals = NO_SIGNALS,
) -> None:
    """Read a file of JSON lines and write its sessions in the format ``name``.

    Raises:
        SerLiveError: the file cannot be read, or the format cannot hold all of it.
        RunFailure: the output cannot be written.
        Interrupted: a signal came; the lines so far are complete.
    """
    with signals.waiting():
        sessions = read_sessions(session_source(path), say)
    is_split = any(session.header.channel is not None for session in sessions)
    is_several = len(sessions) > len({session.header.channel for session in sessions})
    writer = open_timeline(name, out, is_several, is_split)
    # Nothing is written unless everything can be: an existing file stays.
    for header in (session.header for session in sessions):
        if header.labels != sessions[0].header.labels:
            raise SerLiveError(f"{header.source} has other labels: one table cannot hold both")
    for session in sessions:
        for event in session.events():
            signals.check()
            writer.take(event)
        if session.end is None:
            writer.finish(session.duration_s)
