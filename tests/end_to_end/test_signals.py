"""Signals at random moments: what was written is whole, and nothing else is left."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile

from tests.helpers.places import CLIPS, ROOT

#: Says when signals are handled; the rest is the command itself.
PROGRAM = """
import sys
from streamer.session.interrupts import Interrupts

install = Interrupts.install

def installed(interrupts):
    install(interrupts)
    print("installed", file=sys.stderr, flush=True)

Interrupts.install = installed
from streamer.commands.program import run
"""
#: The same at a microphone that delivers a file at once.
LISTENING = f"""{PROGRAM}
import soundfile
from streamer.commands.listen import run as listen
from tests.helpers.simulated import DEVICE, InMemory

samples, _ = soundfile.read(sys.argv.pop(1), dtype="float32")
listen.find_microphone = lambda _device: DEVICE
listen.Microphone = lambda *_, **__: InMemory(samples)
"""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
SIGNALS_A_TEST = 8
#: Timesteps that an estimate may depend on, at most.
LOOK_AHEAD = 6


@dataclass
class Ended:
    """A run that a signal came to.

    Attributes:
        is_stopped: whether it ended by the signal; else the signal came when the work was done.
        message: what it said, and when the signal came.
    """

    is_stopped: bool
    message: str


def run_to(moment_s, number, program, arguments):
    """Run a program; send it a signal so long after it handles signals, None for no signal.

    Returns:
        how it ended, and how long it ran.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", f"{program}\nrun()", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr.readline() == b"installed\n"
    began = time.monotonic()
    if moment_s is not None:
        time.sleep(moment_s)
        process.send_signal(number)
    out, error = process.communicate(timeout=60)
    took_s = time.monotonic() - began
    said = f"{number!r} after {moment_s} s: {process.returncode}, {out!r}, {error.decode()}"
    assert process.returncode in (0, CODES.get(number, 0)), said
    assert "Traceback" not in said
    return Ended(process.returncode != 0, said), took_s


def runs(program, arguments, folder):
    """Yield runs that end by themselves or by a signal at a random moment, in an empty folder."""

    def empty():
        shutil.rmtree(folder)
        folder.mkdir()

    empty()
    ended, took_s = run_to(None, None, program, arguments)
    yield ended
    stopped = 0
    for number in random.choices(list(CODES), k=SIGNALS_A_TEST):
        empty()
        moment_s = random.uniform(0.0, took_s)
        ended, _ = run_to(moment_s, number, program, arguments)
        assert ended.is_stopped or moment_s > took_s / 4, f"a signal was lost: {ended.message}"
        stopped += ended.is_stopped
        yield ended
    assert stopped, "every signal came too late"


def check_session(path, ended):
    """Check that a session is whole, and return its lines."""
    text = path.read_text()
    assert text.endswith("\n"), ended.message
    lines = [json.loads(line) for line in text.splitlines()]
    assert [lines[0]["type"], lines[-1]["type"]] == ["session", "end"], ended.message
    assert lines[-1]["estimates"] == len(lines) - 2, ended.message
    return lines


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


@pytest.fixture
def minute(tmp_path):
    """A recording that takes a moment to hear."""
    clips = [soundfile.read(clip, dtype="float32") for clip in CLIPS]
    assert {rate for _, rate in clips} == {16_000}
    path = tmp_path / "minute.wav"
    samples = np.tile(np.concatenate([samples for samples, _ in clips]), 10)
    soundfile.write(path, samples[:960_000], 16_000, subtype="FLOAT")
    return path


def test_a_session_is_whole_whenever_a_signal_comes(minute, folder):
    output = folder / "o.jsonl"
    whole = None
    arguments = ("replay", minute, "--speed", "max", "--output", output)
    for ended in runs(PROGRAM, arguments, folder):
        left = list(folder.iterdir())
        if ended.is_stopped and not left:  # it came before the first block
            continue
        assert left == [output], ended.message
        lines = check_session(output, ended)
        whole = whole or lines
        # Only the last estimates differ: they know of an end, and of nothing after it.
        heard = lines[1 : -1 - LOOK_AHEAD] if ended.is_stopped else lines[1:]
        assert heard == whole[1 : 1 + len(heard)], ended.message
        assert ended.is_stopped or len(lines) == len(whole), ended.message


def test_a_recording_holds_what_was_heard_whenever_a_signal_comes(minute, folder):
    output, record = folder / "o.jsonl", folder / "o.wav"
    arguments = (minute, "listen", "--output", output, "--record", record, "--format", "jsonl")
    samples, _ = soundfile.read(minute, dtype="float32")
    for ended in runs(LISTENING, arguments, folder):
        left = set(folder.iterdir())
        assert left <= {output, record}, ended.message
        heard_s = check_session(output, ended)[-1]["duration"] if output in left else 0.0
        if record in left:
            recorded, _ = soundfile.read(record, dtype="float32")
            assert len(recorded) == round(heard_s * 16_000), ended.message
            assert np.array_equal(recorded, samples[: len(recorded)]), ended.message
        assert ended.is_stopped or len(recorded) == len(samples), ended.message


def test_a_report_is_whole_or_not_there_whenever_a_signal_comes(minute, folder, tmp_path):
    session, output = tmp_path / "session.jsonl", folder / "o.html"
    run_to(None, None, PROGRAM, ("replay", minute, "--speed", "max", "--output", session))
    for ended in runs(PROGRAM, ("report", session, "--sound", "--output", output), folder):
        left = list(folder.iterdir())
        assert left == [output] or (ended.is_stopped and not left), ended.message
        if left:
            assert output.read_text().rstrip().endswith("</html>"), ended.message


@pytest.mark.parametrize("name", ["r.csv", "rows/"])
def test_scores_go_on_whenever_a_signal_comes(folder, tmp_path, name):
    pyarrow = pytest.importorskip("pyarrow.dataset") if name == "rows/" else None
    archive = tmp_path / "archive"
    archive.mkdir()
    for number in range(12):
        (archive / f"{number}.wav").symlink_to(CLIPS[number % len(CLIPS)])
    arguments = ("score", archive, "--workers", "1", "--output", f"{folder}/{name}")

    def rows():
        if pyarrow is None:
            return sorted((folder / name).read_text().splitlines())
        return sorted(pyarrow.dataset(folder / name).to_table().to_pylist(), key=str)

    whole = None
    for ended in runs(PROGRAM, arguments, folder):
        if ended.is_stopped:
            run_to(None, None, PROGRAM, arguments)
        whole = whole or rows()
        assert rows() == whole, ended.message
        assert [path.name for path in folder.iterdir()] == [name.rstrip("/")], ended.message
