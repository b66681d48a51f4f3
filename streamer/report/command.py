"""The command ``ser-live report``: reads sessions, draws them, writes one file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from streamer.errors import SerLiveError
from streamer.figures import check_matplotlib
from streamer.outputs import OutputFile, check_output, write_line
from streamer.report.html import to_html
from streamer.report.page import draw_page
from streamer.report.plotted import write_plotted
from streamer.report.svg import to_svg
from streamer.session_file import RecordedSession, read_sessions

_WRITTEN = {".svg": to_svg, ".html": to_html}
_PLOTTED = (".png", ".pdf")


def write_report(
    paths: Sequence[Path], output: Path, force: bool, say: Callable[[str], None]
) -> None:
    """Draw every session of some files side by side.

    Args:
        paths: files of JSON lines.
        output: to be written; its suffix says as what.
        force: the output may be overwritten.
        say: is told the lines that the person should know.

    Raises:
        SerLiveError: a file cannot be read, none has an estimate, or the output is refused.
        RunFailure: matplotlib is missing where it is needed, or the output cannot be written.
    """
    suffix = output.suffix.lower()
    if suffix not in (*_WRITTEN, *_PLOTTED):
        raise SerLiveError(f"{output}: a report is a .png, .pdf, .svg or .html file")
    if suffix in _PLOTTED:
        check_matplotlib(f"a {suffix} report, unlike .svg and .html,")
    check_output(output, force, paths)
    page = draw_page([session for path in paths for session in _with_estimates(path, say)])
    if suffix in _PLOTTED:
        write_plotted(page, output)
        return
    with OutputFile(output, force, paths) as out:
        write_line(out, _WRITTEN[suffix](page))


def _with_estimates(path: Path, say: Callable[[str], None]) -> list[RecordedSession]:
    """The sessions of a file in which there is anything to draw."""
    sessions = read_sessions(path, say)
    for session in sessions:
        if not len(session.times):
            say(f"{path}: no estimates of {session.title}, which is left out")
    return [session for session in sessions if len(session.times)]
