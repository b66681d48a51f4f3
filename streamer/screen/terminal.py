"""The terminal during a session: shows the screen, handles the keys, and is restored after."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import Protocol, Self

from rich.console import Console
from rich.control import Control
from rich.segment import Segment, Segments

from streamer.counting import counted_are
from streamer.errors import RunFailure, told
from streamer.outputs import dated_path
from streamer.screen.drawing.palette import adapted
from streamer.screen.drawing.segments import Line
from streamer.screen.drawing.svg import still_svg
from streamer.screen.drawing.view import draw
from streamer.screen.ending import ending_lines
from streamer.screen.keyboard import is_in_foreground, keyboard
from streamer.screen.keys import View, pressed
from streamer.screen.monitor import Monitor
from streamer.screen.stopping import Stopping
from streamer.session.interrupts import Interrupts
from streamer.session.marks import Marking

FRAMES_PER_S = 12
_CTRL_Z = "\x1a"
#: Frames after which all lines are rewritten, not only changed ones: another program may have
#: written to the terminal.
_FRAMES_BETWEEN_REPAIRS = 24
MESSAGE_S = 4.0
#: Most lines to print again after the screen closes, the last of a day of warnings.
_SAID_LINES = 20
#: Longer than a frame takes on the slowest line; after it the terminal is restored anyway.
_JOIN_S = 2.0
#: How often a background process checks whether it is in the foreground again.
_LOOK_S = 0.1


class RecordSwitch(Protocol):
    """A recording that the key ``r`` starts and stops."""

    @property
    def is_recording(self) -> bool: ...

    def toggle(self) -> None:
        """Start or stop, from the screen's thread; it informs the user itself."""
        ...


class Terminal:
    """Shows a monitor's snapshots, in its own thread; a context manager.

    Meanwhile the session runs in the main thread and never waits for the screen.
    """

    def __init__(
        self,
        monitor: Monitor,
        interrupts: Interrupts,
        recorder: RecordSwitch | None = None,
        marking: Marking | None = None,
        next_step: str = "",
    ) -> None:
        """Combine the parts.

        Args:
            monitor: a sink and listener of the session.
            interrupts: told when the user quits or the screen fails.
            recorder: None if nothing can be recorded.
            marking: writes marked moments to a file; None if there is none.
            next_step: what the user can do next, for the last screen.
        """
        self._monitor = monitor
        self._interrupts = interrupts
        self._recorder = recorder
        self._marking = marking
        self._next_step = next_step
        self._console = Console(legacy_windows=False)
        self._output = self._console.file.fileno()
        self._lines: list[Line] = []
        self._size = (0, 0)
        self._frames = 0
        self._keyboard = keyboard()
        self._stopping = Stopping()
        self._view = View()
        self._shown = monitor.snapshot
        self._seen_session = monitor.snapshot.session
        self._message = ("", 0.0)
        self._said: deque[str] = deque(maxlen=_SAID_LINES)
        self._lines_said = 0
        self._conclusion = ""
        self._is_done = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._show, name="screen", daemon=True)

    def __enter__(self) -> Self:
        try:
            with self._interrupts.firm():
                # In case something comes between the end of a session and of this context.
                atexit.register(self._put_back)
                self._stopping.open()
                self._keyboard.open()
                self._console.set_alt_screen(True)
                self._console.show_cursor(False)
                self._thread.start()
        except BaseException:  # a second signal, or a screen that failed at once
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def say(self, line: str) -> None:
        """Print a line for the user: on the screen now, on standard error once it is closed."""
        self._said.append(line)
        self._lines_said += 1
        self.announce(line)

    def conclude(self, line: str) -> None:
        """Tell the user how a session ended.

        The last screen says this for the last session, so that line goes to standard error only if
        that is not a terminal but, say, a file.
        """
        self._conclusion = line
        self.say(line)

    def _close(self) -> None:
        """Restore the terminal, then print the messages of the meantime.

        Raises:
            RunFailure: the screen had failed.
        """
        with self._interrupts.firm():
            self._put_back()
        if self._failure is not None:
            reason = f"{type(self._failure).__name__}: {self._failure}"
            raise RunFailure(
                f"the screen failed ({reason}); --format plain does without"
            ) from self._failure

    def _put_back(self) -> None:
        atexit.unregister(self._put_back)
        self._is_done.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        with suppress(OSError):  # the terminal is gone
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)
        self._keyboard.close()
        self._stopping.close()
        with suppress(OSError):
            self._say_again()

    def _say_again(self) -> None:
        """Print the messages that the screen hid, and the last screen, which stays."""
        snapshot = self._monitor.snapshot
        stays = snapshot.ended is not None and self._failure is None
        said_twice = self._conclusion if stays and sys.stderr.isatty() else None
        if left_out := self._lines_said - len(self._said):
            print(told(f"{counted_are(left_out, 'earlier line')} left out"), file=sys.stderr)
        for line in self._said:
            if line is not said_twice:
                print(line, file=sys.stderr)
        sys.stderr.flush()
        if stays:
            for pieces in ending_lines(snapshot, self._measure()[0], self._next_step):
                self._print([*pieces, Segment.line()])

    def _show(self) -> None:
        """Run the thread: draw a frame, then handle keys until the next frame is due."""
        try:
            while not self._is_done.is_set():
                began = time.monotonic()
                self._refresh()
                left_s = began + 1.0 / FRAMES_PER_S - time.monotonic()
                for key in self._keyboard.read(max(left_s, 0.0)):
                    self._press(key)
        except Exception as error:
            # Nothing above this thread could catch it; the main thread raises it on leaving.
            self._failure = error
            self._interrupts.quit()

    def _refresh(self) -> None:
        newest = self._monitor.snapshot
        if not self._view.is_paused:
            self._shown = newest
        session = self._shown.session
        if session is not self._seen_session:  # moments of one file are not moments of the next
            self._seen_session = session
            self._view = replace(self._view, marks=(), until_s=None)
        size = self._measure()
        message, until = self._message
        view = replace(self._view_now(), message=message if time.monotonic() < until else "")
        lines = draw(self._shown, view, *size)
        self._write(lines, is_all=size != self._size or self._frames == 0)
        self._size = size
        self._frames = (self._frames + 1) % _FRAMES_BETWEEN_REPAIRS

    def _measure(self) -> tuple[int, int]:
        """Return columns and rows now; rich would trust COLUMNS and LINES, which do not change."""
        with suppress(OSError, ValueError):  # Windows measures standard streams only
            columns, rows = os.get_terminal_size(self._output)
            if columns and rows:
                return columns, rows
        return self._console.size

    def _view_now(self) -> View:
        recorder = self._recorder
        return replace(
            self._view,
            can_record=recorder is not None,
            is_recording=recorder is not None and recorder.is_recording,
        )

    def _write(self, lines: list[Line], is_all: bool) -> None:
        """Write the changed lines: under half the bytes of a whole frame, which counts over ssh."""
        pieces: list[Segment] = []
        for row, line in enumerate(lines):
            if is_all or line != self._lines[row]:
                pieces += [Control.move_to(0, row).segment, *line]
        self._lines = lines
        if pieces:
            self._print(pieces)

    def _print(self, pieces: list[Segment]) -> None:
        """Write pieces in the terminal's colours."""
        if system := self._console.color_system:
            pieces = [
                one if one.style is None else one._replace(style=adapted(one.style, system))
                for one in pieces
            ]
        self._console.print(Segments(pieces), end="", crop=False)

    def _press(self, key: str) -> None:
        if self._view.is_help:  # any key closes it, and does nothing else
            self._view = pressed(self._view, key, self._shown)
        elif key == "q":
            self._interrupts.quit()
        elif key == "m":
            self._mark()
        elif key == "r" and self._recorder is not None:
            self._recorder.toggle()
        elif key == "s":
            self.announce(self._write_snapshot())
        elif key == _CTRL_Z:
            self._suspend()
        else:
            self._view = pressed(self._view, key, self._shown)

    def _suspend(self) -> None:
        """Stop under job control, with the terminal restored; ``fg`` brings the screen back.

        Speech at a microphone in the meantime is lost, and reported as a gap.
        """
        if sys.platform == "win32":
            return
        self._console.show_cursor(True)
        self._console.set_alt_screen(False)
        self._keyboard.close()
        self._monitor.stopped()
        self._stopping.stop()
        self._monitor.resumed()
        # If resumed in the background (``bg``), it works there without drawing over the shell.
        while not is_in_foreground(self._output):
            if self._is_done.wait(_LOOK_S):
                return
        self._keyboard.open()
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        self._size = (0, 0)  # draw everything again

    def _mark(self) -> None:
        """Mark the moment shown, even if the picture is paused while the session goes on."""
        shown = self._shown
        if shown.session is None:  # there is no moment yet
            return
        self._view = replace(self._view, marks=(*self._view.marks, shown.time))
        if self._marking is not None:
            self._marking.mark(shown.session, shown.time)

    def _write_snapshot(self) -> str:
        """Write the screen to a file and return a line about it."""
        path = dated_path(".svg")
        width, height = self._measure()
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(still_svg(self._shown, self._view_now(), width, height))
        except OSError as error:
            return f"cannot write {path}: {error.strerror}"
        return f"wrote {path}"

    def announce(self, line: str) -> None:
        """Show a line on the screen for a moment, and not again once it is closed."""
        self._message = (line, time.monotonic() + MESSAGE_S)
