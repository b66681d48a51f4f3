"""Full disks and killed processes: what was written stays readable, and one line says why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from tests.helpers.command import COMMAND, complaint
from tests.helpers.places import CLIPS, ROOT
from tests.hostile.rows import ROWS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no limits to set")


def with_room_for(size, *arguments):
    """Limit the size of every file that a command writes."""
    import resource

    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        timeout=120,
    )


def whole_lines(path):
    """Parse the JSON lines of a file; the last may be truncated."""
    *lines, last = path.read_text().split("\n")
    for line in lines:
        json.loads(line)
    assert not last.endswith("}") or json.loads(last)
    return lines


#: Leaves out the part of a measurement that runs in real time; a plot shows only that part.
QUICKER = {"--json": ("--source", "stopped")}
SLOW = {"--plot"}


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (name, option)
        for name, row in ROWS.items()
        for option in row.outputs
        if not row.listens and option not in SLOW
    ],
)
def test_a_full_disk_is_one_line_and_exit_1(command, option, session, knowing, tmp_path):
    row = ROWS[command]
    arguments = [
        *row.option(option, tmp_path),
        *row.filled(wav=CLIPS[3], session=session, voices=knowing.path),
        *QUICKER.get(option, ()),
    ]
    result = with_room_for(100, command, *arguments)
    assert result.returncode == 1
    told = result.stderr.decode().splitlines()
    assert [line for line in told if "too large" in line] == told[-1:]  # the system's words
    assert f"cannot write {tmp_path}" in told[-1]  # with the name of the file
    assert all(line.startswith("ser-live: ") for line in told)


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg", ".html"])
def test_a_full_disk_is_told_of_a_report_of_any_kind(session, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    output = tmp_path / f"o{suffix}"
    result = with_room_for(100, "report", session, "--output", output)
    assert result.returncode == 1
    assert complaint(result) == f"ser-live: cannot write {output}: File too large\n"


def test_a_full_disk_leaves_whole_lines(tmp_path):
    output = tmp_path / "out.jsonl"
    result = with_room_for(5_000, "replay", CLIPS[3], "--speed", "max", "--output", output)
    assert result.returncode == 1
    assert "cannot write" in complaint(result)
    assert output.stat().st_size == 5_000
    assert len(whole_lines(output)) > 10


@pytest.mark.usefixtures("pulse")
def test_a_session_that_fills_the_disk_leaves_a_recording_and_lines(tmp_path):
    output, record = tmp_path / "out.jsonl", tmp_path / "heard.wav"
    result = with_room_for(
        50_000, "listen", "--duration", 20, "--format", "jsonl", "--output", output,
        "--record", record,
    )  # fmt: skip
    assert result.returncode == 1
    told = result.stderr.decode().splitlines()
    assert [line for line in told if "cannot write" in line] == told[-1:]
    samples, rate = soundfile.read(record)
    assert len(samples) / rate > 0.2
    assert np.isfinite(samples).all()
    assert json.loads(whole_lines(output)[-1])["type"] == "end"


def test_a_killed_replay_leaves_whole_lines(tmp_path):
    output = tmp_path / "out.jsonl"
    process = subprocess.Popen(
        [*COMMAND, "replay", CLIPS[3], "--format", "jsonl", "--output", output], cwd=ROOT
    )
    deadline = time.monotonic() + 30
    while not (output.exists() and output.stat().st_size > 2_000):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    kinds = [json.loads(line)["type"] for line in whole_lines(output) if line]
    assert kinds[:5] == ["session", *["estimate"] * 4]
