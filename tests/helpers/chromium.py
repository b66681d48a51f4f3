"""A headless Chromium, controlled over pipes, which sees and does what a user would."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

#: Windows cannot pass descriptors to a process.
CHROMIUM = (
    None
    if sys.platform == "win32"
    else next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
)
#: The browser reads commands from descriptor 3 and answers on 4.
_EXEC = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Chromium:
    """One page in its own browser; a context manager."""

    def __init__(self, folder: Path, *flags: str) -> None:
        """Start it with its files in a folder, and with further flags."""
        commands, self._commands = _pipe()
        self._answers, answers = _pipe()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _EXEC, str(commands), str(answers), CHROMIUM),
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *("--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={folder}"),
                *flags,
                "about:blank",
            ],
            pass_fds=(commands, answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._numbers = count(1)
        self._unread = b""
        self._session: str | None = None
        self.events: list[dict] = []

    def __enter__(self) -> Chromium:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, **parameters: object) -> dict:
        """Call a method of the DevTools protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, place: Path | str) -> None:
        """Open a file or an address, and wait until it is loaded."""
        self.events.clear()
        url = place if isinstance(place, str) else place.absolute().as_uri()
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> object:
        """Evaluate an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def point(self, x: float, y: float) -> None:
        """Move the mouse."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def resize(self, width: int, height: int = 1_000, scale: float = 1.0) -> None:
        """Resize the window, in pixels; a narrow window counts as a phone."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 500,
        )

    def dress(self, scheme: str) -> None:
        """Ask pages to be light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def requested(self) -> list[str]:
        """Addresses that the page has requested since it was opened."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[dict]:
        """Complaints about the page in the console: errors, violated policies."""
        return [
            event
            for event in self.events
            if event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")
        ]

    def _next(self) -> dict:
        while b"\0" not in self._unread:
            chunk = os.read(self._answers, 1 << 16)
            assert chunk, "the browser has gone"
            self._unread += chunk
        message, self._unread = self._unread.split(b"\0", 1)
        return json.loads(message)


def _pipe() -> tuple[int, int]:
    """Make a pipe whose descriptors are not 3 or 4, which the browser uses."""
    import fcntl

    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high
