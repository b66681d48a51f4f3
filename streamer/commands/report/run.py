"""Runs ``ser-live report``: reads sessions, draws them, writes one file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from streamer.commands.choices import say, session_source
from streamer.commands.report.drawing.plotted import write_plotted
from streamer.commands.report.drawing.svg import to_svg
from streamer.commands.report.html import to_html
from streamer.commands.report.page import check_number, draw_sheet, make_page
from streamer.commands.report.sound import Sound, SoundReader, choose_sounds
from streamer.errors import SerLiveError
from streamer.formats.reader import RecordedSession, read_sessions
from streamer.outputs import OutputFile, check_output, write_line
from streamer.plotting import check_matplotlib
from streamer.session.interrupts import Interrupts
from streamer.sound.source import NO_SIGNALS, Signals

_PAGE = ".html"
_PLOTTED = (".png", ".pdf")


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Write the requested report; raises as :func:`write_report` does."""
    sounds = options.sound or ()
    for name in sounds:
        if name is not None and Path(name).suffix.lower() == ".jsonl":
            raise SerLiveError(f"--sound took {name} for a recording: name sessions before --sound")
    if not options.sessions:
        raise SerLiveError("name a SESSION.jsonl to draw; see ser-live report --help")
    write_report(options.sessions, options.output, options.force, say, sounds, interrupts)
    return 0


def write_report(
    paths: Sequence[Path],
    output: Path,
    force: bool,
    say: Callable[[str], None],
    sounds: Sequence[str | None] = (),
    signals: Signals = NO_SIGNALS,
) -> None:
    """Draw every session of some files over one time axis.

    Args:
        paths: files of JSON lines.
        output: file to write; its suffix determines the format.
        force: whether the output may be overwritten.
        say: prints a line for the user.
        sounds: sound files, as in :func:`choose_sounds`; empty for no sound.
        signals: end it before anything is written.

    Raises:
        SerLiveError: a file cannot be read, none has an estimate, or the output is refused.
        RunFailure: matplotlib is missing but needed, or the output cannot be written.
    """
    suffix = output.suffix.lower()
    if suffix not in (_PAGE, ".svg", *_PLOTTED):
        raise SerLiveError(f"{output}: a report is a .png, .pdf, .svg or .html file")
    check_output(output, force, paths)
    with signals.waiting():
        read = [(path, session) for path in paths for session in _with_estimates(path, say)]
    sessions = [session for _, session in read]
    check_number(sessions)
    files = choose_sounds(read, sounds)
    inputs = [*paths, *(file for file in files if file is not None)]
    check_output(output, force, inputs)
    if suffix in _PLOTTED:
        check_matplotlib(f"a {suffix} report, unlike .svg and .html,")
    page = make_page(sessions, _read_sounds(files, sessions, output, say, signals))
    if suffix in _PLOTTED:
        write_plotted(draw_sheet(page).drawing, page.title, output)
        return
    with OutputFile(output, force, inputs) as out:
        is_page = suffix == _PAGE
        write_line(out, to_html(page) if is_page else to_svg(draw_sheet(page).drawing, page.title))


def _read_sounds(
    files: Sequence[Path | None],
    sessions: Sequence[RecordedSession],
    output: Path,
    say: Callable[[str], None],
    signals: Signals,
) -> list[Sound | None]:
    reader = SoundReader(output if output.suffix.lower() == _PAGE else None, say, signals)
    return [
        None if file is None else reader.read(file, session)
        for file, session in zip(files, sessions, strict=True)
    ]


def _with_estimates(path: Path, say: Callable[[str], None]) -> list[RecordedSession]:
    """Return the sessions of a file that have anything to draw."""
    sessions = read_sessions(session_source(path), say)
    for session in sessions:
        if not len(session.times):
            say(f"{path}: no estimates of {session.title}, which is left out")
    return [session for session in sessions if len(session.times)]
