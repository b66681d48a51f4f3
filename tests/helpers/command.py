"""Runs the command as a process and reads its output."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

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


def assert_alike(ours, theirs):
    """Check that two results of the same audio are equal, except for numbers, to 1e-6.

    Files are computed many timesteps at once, live audio one by one.
    """
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            assert_alike(value, theirs[key])
    elif isinstance(ours, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_alike(one, other)
    elif isinstance(ours, float):
        assert ours == pytest.approx(theirs, rel=0, abs=1e-6)
    else:
        assert ours == theirs


def without(*names):
    """A program that runs the command where some packages are missing."""
    return (
        "import importlib.util as u, sys\n"
        f"missing = {names!r}\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name in missing else found(name, *rest)\n"
        "for name in missing: sys.modules[name] = None\n"
        "from streamer.commands.program import run; run()"
    )
