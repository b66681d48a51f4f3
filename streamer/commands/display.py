"""Chooses the outputs of a session: screen, lines or timelines."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from streamer.errors import printable
from streamer.formats.lines import Changes, JsonLines, Plain, summary
from streamer.formats.names import TIMELINES
from streamer.formats.writers import open_timeline
from streamer.outputs import Output, OutputFile, say_on_stderr
from streamer.screen.console import takes_sequences
from streamer.screen.keyboard import is_in_foreground
from streamer.session.events import Event, Listener, SessionEnded, SessionStarted, Sink
from streamer.session.marks import Marking

if TYPE_CHECKING:
    from streamer.screen.terminal import RecordSwitch
    from streamer.session.interrupts import Interrupts


@dataclass(frozen=True, slots=True)
class Display:
    """Where the results of sessions go, and how the user is told something.

    Attributes:
        sinks: take the events.
        listeners: take the audio.
        say: prints a line for the user.
        announce: shows a line on the screen for a moment; without a screen it does nothing.
    """

    sinks: tuple[Sink, ...]
    listeners: tuple[Listener, ...]
    say: Callable[[str], None]
    announce: Callable[[str], None] = lambda _: None


class _Summaries:
    """Prints a line for the user at each session's end."""

    def __init__(self, conclude: Callable[[str], None]) -> None:
        self._conclude = conclude
        self._source = ""

    def take(self, event: Event) -> None:
        match event:
            case SessionStarted():
                self._source = printable(event.source)
            case SessionEnded():
                self._conclude(f"{self._source}: {summary(event)}")


def _next_step(output: Output | None, beside: str) -> str:
    """Return what the user can do with the results after the screen is closed."""
    if not isinstance(output, OutputFile):
        return "--output session.jsonl keeps the timeline of a session"
    path = Path(printable(str(output.path)))
    if beside != "jsonl":
        return f"the timeline is in {path}"
    page = shlex.quote(str(path.with_suffix(".html")))
    return f"ser-live report {shlex.quote(str(path))} -o {page}"


def can_show_screen(out: TextIO | None) -> bool:
    """Return whether it is a terminal that can show the screen and the user wants it there."""
    if out is None or not out.isatty():
        return False
    name = os.environ.get("TERM", "").lower()
    is_dumb = name in ("dumb", "unknown") or (not name and sys.platform != "win32")
    has_bars = (out.encoding or "").lower().replace("-", "").startswith("utf")
    is_wanted = not os.environ.get("NO_COLOR")
    # The shell would stop a background job that took the terminal.
    is_possible = is_wanted and has_bars and not is_dumb and is_in_foreground(out.fileno())
    return is_possible and takes_sequences(out.fileno())


def _writer(name: str, out: Output, names_file: bool, is_split: bool) -> Sink:
    if name in TIMELINES:
        return open_timeline(name, out, names_file, is_split)
    if name == "jsonl":
        return JsonLines(out, names_file)
    return Changes(out) if name == "changes" else Plain(out)


@contextmanager
def open_display(
    name: str | None,
    output: Output | None,
    interrupts: Interrupts,
    *,
    beside: str = "jsonl",
    is_paced: bool = True,
    names_file: bool = False,
    recorder: RecordSwitch | None = None,
    is_split: bool = False,
) -> Iterator[Display]:
    """Open the display that the user chose; a screen is always closed again.

    Args:
        name: ``tui``, ``plain``, ``changes``, ``jsonl``, one of the timelines, or None. ``tui`` is
            the screen on a terminal that can show it, otherwise plain lines, and in either case
            ``beside`` into ``output``. None is ``tui`` if a screen can be shown and the session is
            paced; otherwise ``beside`` with ``output`` and plain lines without, so that a file's
            content never depends on the terminal.
        output: file to write to instead of standard output.
        interrupts: through these the screen ends the session.
        beside: ``jsonl`` or one of the timelines.
        is_paced: whether the session runs at a speed that a person can follow.
        names_file: whether every JSON line carries the ``file`` key.
        recorder: recorder for the key ``r``.
        is_split: whether channels are separate streams; the screen shows only one.

    Raises:
        SerLiveError: the format cannot hold several recordings or channels.
    """
    shows = can_show_screen(sys.stdout) and not is_split
    if name is None and shows and is_paced:
        name = "tui"
    if name is None:
        name = "plain" if output is None else beside
    if name != "tui":
        out: Output = output or sys.stdout
        yield Display((_writer(name, out, names_file, is_split),), (), say_on_stderr)
        return
    marking = None if output is None else Marking(_writer(beside, output, names_file, is_split))
    written: tuple[Sink, ...] = () if marking is None else (marking,)
    if not shows:
        lines: tuple[Sink, ...] = () if sys.stdout is None else (Plain(sys.stdout),)
        yield Display((*lines, *written), (), say_on_stderr)
        return
    # Only a screen needs rich, which is slow to import.
    from streamer.screen.monitor import Monitor
    from streamer.screen.terminal import Terminal

    monitor = Monitor()
    next_step = _next_step(output, beside)
    with Terminal(monitor, interrupts, recorder, marking, next_step) as terminal:
        sinks = (*written, monitor, _Summaries(terminal.conclude))
        yield Display(sinks, (monitor,), terminal.say, terminal.announce)
