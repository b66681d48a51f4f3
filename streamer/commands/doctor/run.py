"""Runs ``ser-live doctor``. Libraries are imported inside the checks, since any may be broken."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from streamer.commands.doctor.findings import Section, as_json, as_text, examine
from streamer.commands.doctor.software import (
    check_extras,
    check_libraries,
    check_program,
    configuration_check,
)
from streamer.commands.doctor.surroundings import check_microphones, check_terminal
from streamer.errors import SerLiveError
from streamer.outputs import write_line
from streamer.session.interrupts import Interrupts


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Examine everything and write the report.

    Returns:
        0 if the program can listen, or at least replay recordings; else 1.

    Raises:
        SerLiveError: standard output is closed.
        RunFailure: the report cannot be written.
    """
    if sys.stdout is None:
        raise SerLiveError("standard output is closed")
    sections: list[Section] = []
    for name, check in interrupts.each(_checks(options).items()):
        sections.append(examine(name, check, sections))
    write_line(sys.stdout, as_json(sections) if options.json else as_text(sections))
    return int(any(one.is_broken for section in sections for one in section.problems))


def _checks(options: argparse.Namespace) -> dict[str, Callable[[Section], None]]:
    def check_model(section: Section) -> None:
        from streamer.commands.doctor import hearing

        hearing.check_model(section, options.model)

    def check_streaming(section: Section) -> None:
        from streamer.commands.doctor import hearing

        hearing.check_streaming(section, options.model)

    return {
        "program": check_program,
        "libraries": check_libraries,
        "extras": check_extras,
        "configuration": configuration_check(options),
        "terminal": check_terminal,
        "microphones": check_microphones,
        "model": check_model,
        "streaming": check_streaming,
    }
