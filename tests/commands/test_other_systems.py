"""What differs under Windows, on simulated parts of it: no test has run on the system itself."""

from __future__ import annotations

import ctypes
import io
import os
import subprocess
import sys
import types

import pytest

from streamer.commands import program
from streamer.commands.display import can_show_screen
from streamer.commands.program import own_stdout
from streamer.screen.console import takes_sequences
from streamer.screen.monitor import Monitor
from streamer.screen.terminal import Terminal
from streamer.session.interrupts import Interrupts
from tests.helpers.places import ROOT


class Kernel:
    """kernel32, with a console that takes escape sequences once they are switched on."""

    def __init__(self, mode, can_switch=True):
        self.mode, self._can_switch = mode, can_switch

    def GetConsoleMode(self, _handle, mode):  # noqa: N802
        if self.mode is None:
            return 0
        mode._obj.value = self.mode
        return 1

    def SetConsoleMode(self, _handle, mode):  # noqa: N802
        if self._can_switch:
            self.mode = mode.value
        return int(self._can_switch)


class Console(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True

    def fileno(self):
        return 1


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delenv("TERM", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    console = types.ModuleType("msvcrt")
    console.get_osfhandle = lambda descriptor: 100 + descriptor
    monkeypatch.setitem(sys.modules, "msvcrt", console)

    def start(kernel):
        monkeypatch.setattr(ctypes, "WinDLL", lambda _: kernel, raising=False)
        return kernel

    return start


@pytest.mark.parametrize(
    ("kernel", "takes"), [(Kernel(3), True), (Kernel(3, False), False), (Kernel(None), False)]
)
def test_a_console_is_switched_to_escape_sequences(windows, kernel, takes):
    windows(kernel)
    assert takes_sequences(1) == takes
    assert can_show_screen(Console()) == takes  # although TERM is not set
    if takes:
        assert kernel.mode == 7


def test_elsewhere_a_terminal_without_a_name_shows_no_screen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("streamer.commands.display.is_in_foreground", lambda _: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert can_show_screen(Console())
    monkeypatch.delenv("TERM")
    assert not can_show_screen(Console())


def test_a_console_keeps_its_descriptor(windows, monkeypatch):
    windows(Kernel(3))
    console = Console()
    monkeypatch.setattr(program.sys, "stdout", console)
    own_stdout()
    assert sys.stdout is console


#: The command's standard output under Windows, where a pipe has the console's code page.
PIPED = """
import os, sys
from streamer.commands import program
opened, kinds = os.fdopen, []
os.fdopen = lambda *parts, **kind: (kinds.append(kind), opened(*parts, **kind))[1]
sys.platform = sys.argv[1]
program.own_stdout()
os.fdopen = opened
print("\u00fc", sys.stdout.encoding, repr(kinds[0]["newline"]))
"""


@pytest.mark.parametrize(
    ("platform", "told"),
    [("win32", "\u00fc utf-8 ''\n".encode()), ("linux", "\u00fc cp850 None\n".encode("cp850"))],
)
def test_data_in_a_pipe_is_utf_8_with_its_own_line_ends(platform, told):
    result = subprocess.run(
        [sys.executable, "-c", PIPED, platform],
        env=os.environ | {"PYTHONIOENCODING": "cp850", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert result.stdout == told


def test_a_console_that_cannot_be_measured_by_number_has_a_size(monkeypatch):
    def measure(*_):
        raise ValueError("bad file descriptor")

    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", nowhere)
        terminal = Terminal(Monitor(), Interrupts())
        monkeypatch.setattr(os, "get_terminal_size", measure)
        columns, rows = terminal._measure()
    assert columns > 0
    assert rows > 0
