"""Signals, closed streams and full disks: what was written is whole, and the exit code true."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.command import COMMAND, complaint, replay
from tests.helpers.places import ROOT


def test_closed_standard_streams_are_said(wav):
    for redirect, arguments in (("<&-", "- --rate 16000"), (">&-", "x.wav"), (">&-", wav)):
        shell = f"exec {sys.executable} -c '{COMMAND[2]}' replay {arguments} {redirect}"
        result = subprocess.run(["sh", "-c", shell], cwd=ROOT, capture_output=True)
        assert result.returncode == 2
        assert b"is closed" in result.stderr
        assert result.stderr.count(b"\n") == 1


def test_a_screen_that_cannot_be_shown_still_writes_the_file(wav, tmp_path):
    shell = f"exec {sys.executable} -c '{COMMAND[2]}' replay {wav} --speed max --format tui"
    output = tmp_path / "o.jsonl"
    result = subprocess.run(
        ["sh", "-c", f"{shell} --output {output} >&-"], cwd=ROOT, capture_output=True
    )
    assert result.returncode == 0, result.stderr
    assert output.read_text().count('"estimate"') > 100


def test_a_closed_stderr_changes_nothing(wav):
    shell = f"exec {sys.executable} -c '{COMMAND[2]}' replay --speed max --format jsonl"
    for path, code in ((wav, 0), ("missing.wav", 2)):
        result = subprocess.run(["sh", "-c", f"{shell} {path} 2>&-"], cwd=ROOT, capture_output=True)
        assert result.returncode == code
        assert bool(result.stdout) == (code == 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", ["info", "--help", "replay --help", "--version"])
def test_output_that_cannot_be_written_is_a_failure(arguments):
    shell = f"exec {sys.executable} -c '{COMMAND[2]}' {arguments} > /dev/full"
    result = subprocess.run(["sh", "-c", shell], cwd=ROOT, capture_output=True)
    assert result.returncode == 1
    assert result.stderr.count(b"\n") == 1
    assert b"No space left" in result.stderr


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_close_the_output(wav, tmp_path, number, code):
    output = tmp_path / "out.jsonl"
    command = [*COMMAND, "replay", wav, "--format", "jsonl", "--output", output]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not (output.exists() and output.stat().st_size > 2000):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert written[-1]["type"] == "end"
    assert written[-1]["estimates"] == len(written) - 2 > 5
    told = f"stopped at {written[-1]['duration']:.1f} s of {wav}; {output} holds what was heard"
    assert stderr.decode() == f"ser-live: {told}\n"


def test_a_stopped_replay_says_which_of_the_recordings_it_was_at(wav):
    command = [*COMMAND, "replay", wav, wav, "--format", "jsonl"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"session" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.decode().startswith("ser-live: stopped at ")
    assert stderr.decode().endswith(f" s of {wav}, recording 1 of 2\n")


def test_a_folder_that_may_not_be_written_to_is_said_before_anything_is_heard(wav, tmp_path):
    tmp_path.chmod(0o500)
    # To root nothing is forbidden but what the kernel itself keeps.
    folder = Path("/sys") if os.geteuid() == 0 else tmp_path
    try:
        result = replay(wav, "--output", folder / "o.jsonl")
    finally:
        tmp_path.chmod(0o700)
    assert (result.returncode, result.stdout) == (2, b"")
    assert f"cannot write {folder}/o.jsonl: Permission denied" in complaint(result)


def test_two_signals_end_a_replay_whose_reader_has_stalled(wav):
    files = [wav] * 10  # more than a pipe holds
    process = subprocess.Popen(
        [*COMMAND, "replay", *files, "--speed=max", "--format=jsonl"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.read(1)
    time.sleep(3)  # by now the pipe is full, or the signals come mid-way: both must end it
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    assert process.wait(20) == 130
    process.stdout.close()


def test_a_reader_that_leaves_is_told_nothing(wav):
    process = subprocess.Popen(
        [*COMMAND, "replay", wav, "--speed", "max"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    stderr = process.stderr.read().decode()
    assert process.wait(30) == 141
    assert not stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_failure_at_run_time(wav):
    result = replay(wav, "--output", "/dev/full", "--force")
    assert result.returncode == 1
    assert "No space left" in complaint(result)
