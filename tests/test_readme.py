"""README's promises that a program can check."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

from streamer.audio import SAMPLE_FORMATS
from streamer.cli import main
from streamer.commands import COMMANDS
from streamer.interrupts import Interrupts

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_library_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    result = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") > 100


def test_the_commands_it_names_exist():
    named = set(re.findall(r"ser-live (\w+)", README))
    assert named <= set(COMMANDS)


def test_the_files_it_names_exist():
    for path in re.findall(r"(?:\(|\s)((?:assets|train)/[\w./-]+\.\w+)", README):
        assert (ROOT / path).is_file(), path


def test_help_names_every_sample_format(capsys):
    with contextlib.suppress(SystemExit):
        main(["replay", "--help"], Interrupts())
    text = capsys.readouterr().out
    assert all(name in text for name in SAMPLE_FORMATS)
