"""The command as a process, and how its output is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.helpers.places import ROOT

COMMAND = [sys.executable, "-c", "from streamer.commands.program import run; run()"]
EMOTIONS = ["angry", "happy", "neutral", "sad"]


def ser_live(*arguments, data=None, cwd=ROOT, environment=None):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=data,
        capture_output=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {}),
        timeout=120,
    )


def replay(*arguments, data=None):
    return ser_live("replay", "--speed", "max", "--format", "jsonl", *arguments, data=data)


def lines(result):
    return [json.loads(line) for line in result.stdout.decode().splitlines()]


def complaint(result):
    """The one line on stderr."""
    text = result.stderr.decode()
    assert text.count("\n") == 1, text
    assert text.startswith("ser-live: ")
    assert "Traceback" not in text
    return text
