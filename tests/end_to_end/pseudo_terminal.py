"""A command on a real pseudo-terminal, and what a person would see of it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pyte

from tests.helpers.places import ROOT

#: A session leader's first terminal becomes its controlling one, as a shell's is.
BEGIN = "import os; os.close(os.open(os.ttyname(1), os.O_RDWR))\n"
RUN = "from streamer.commands.program import run; run()"
PATIENCE_S = 30
CLOSED = b"\x1b[?1049l"


class Terminal:
    """A command on a pseudo-terminal, and what a person would see."""

    def __init__(
        self, *arguments, size=(80, 24), cwd=ROOT, code=RUN, pipe=False, shows_errors=False,
        **environment,
    ):  # fmt: skip
        self.master, self.slave = os.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.screen = pyte.Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.resize(*size)
        inherited = {
            k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", BEGIN + code, *map(str, arguments)],
            stdin=subprocess.PIPE if pipe else self.slave,
            stdout=self.slave,
            stderr=self.slave if shows_errors else subprocess.PIPE,
            cwd=cwd,
            start_new_session=True,
            env=inherited
            | {
                "TERM": "xterm-256color",
                "COLORTERM": "truecolor",
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
            }
            | environment,
        )

    def resize(self, columns, rows):
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, timeout_s=0.05):
        while select.select([self.master], [], [], timeout_s)[0]:
            data = os.read(self.master, 65_536)
            self.raw += data
            self.stream.feed(data)
            timeout_s = 0

    @property
    def text(self):
        return "\n".join(self.screen.display)

    def wait_for(self, *words, absent=()):
        deadline = time.monotonic() + PATIENCE_S
        while not all(word in self.text for word in words) or any(w in self.text for w in absent):
            assert time.monotonic() < deadline, f"{words} not in\n{self.text}"
            assert self.process.poll() is None, self.errors()
            self.read()

    def errors(self):
        """What came on stderr, where it is not the terminal."""
        return self.process.stderr.read().decode() if self.process.stderr else ""

    def press(self, keys):
        os.write(self.master, keys.encode())

    def finish(self):
        """Exit code and stderr, once it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self.read()
        self.read()
        return self.process.returncode, self.errors()

    def assert_put_back(self):
        assert termios.tcgetattr(self.slave) == self.before
        assert self.raw.count(b"\x1b[?1049h") == self.raw.count(b"\x1b[?1049l") == 1
        assert self.raw.rindex(b"\x1b[?25h") > self.raw.rindex(b"\x1b[?25l")
        # Only lines come after it, in colours: the cursor goes nowhere any more.
        assert set(re.findall(rb"\x1b\[[0-9;?]*([^0-9;?])", self.after_it)) <= {b"m"}

    @property
    def after_it(self):
        """What was written once the screen was closed."""
        return self.raw[self.raw.rindex(CLOSED) + len(CLOSED) :]

    @property
    def stays(self):
        """The same as a person sees it."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.after_it.decode()).replace("\r", "")

    def hang_up(self):
        """The window is closed: whoever still writes to it fails, and SIGHUP comes."""
        os.close(self.slave)
        os.close(self.master)
        self.master = None

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stderr):
            if pipe:
                pipe.close()
        if self.master is not None:
            os.close(self.master)
            os.close(self.slave)
