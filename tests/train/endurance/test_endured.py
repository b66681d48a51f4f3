"""What a server bears is measured with a server as a process: the commands, in small."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")
pytest.importorskip("starlette", reason="the extra serve is not installed")
pytest.importorskip("websockets", reason="the extra serve is not installed")

from tests.helpers.places import ROOT
from train.endurance import hostile, served, turnover
from train.endurance.served import Footprint

_FEW = Footprint(100.0, 11, 6, 4, 0)


def test_a_storm_is_told_as_tables(monkeypatch, capsys):
    monkeypatch.setattr(hostile, "ROUND_S", 1.0)
    monkeypatch.setattr(hostile, "ROUNDS_ALONE", 1)
    monkeypatch.setattr(sys, "argv", ["hostile", "--connections", "30", "--paced", "1"])
    code = hostile.main()
    out = capsys.readouterr().out
    assert code == 0, out
    assert out.startswith("30 hostile connections in ")
    for row in ("before", "in the storm", "after", "at the end"):
        assert f"\n{row} " in out
    assert out.endswith("no faults\n")


def test_a_measurement_that_is_stopped_says_so_in_one_line(monkeypatch, capsys):
    def storm(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(hostile, "storm", storm)
    monkeypatch.setattr(sys, "argv", ["hostile"])
    assert hostile.main() == 130
    assert capsys.readouterr().err == "train: stopped\n"


def test_sigterm_leaves_no_process_of_a_measurement():
    command = [sys.executable, "-m", "train.endurance.backlog", "--fast", "1"]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("the system does not list the children of a process")
    deadline = time.monotonic() + 60
    while not children.read_text():  # the server
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "train: stopped\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # the whole group has gone


def test_a_log_that_is_read_while_it_is_written_loses_no_line(monkeypatch):
    code = (
        "import sys, time\n"
        "print('at http://127.0.0.1:9/', file=sys.stderr, flush=True)\n"
        "time.sleep(2)\n"  # one that ends before its address was read did not start
        "for number in range(2000): print('late', number, file=sys.stderr, flush=True)"
    )
    monkeypatch.setattr(served, "_COMMAND", (sys.executable, "-c", code))
    with served.Served() as server:
        while server.is_alive:
            server.complaints()
        assert server.complaints() == [f"late {number}" for number in range(2000)]


def test_what_stays_behind_after_a_storm_is_a_fault():
    rests = {"before": _FEW, "at the end": _FEW}
    result = hostile.Storm(Counter(), 1.0, {}, rests, {}, {"1000": 3}, [])
    assert hostile._faults(result, [], 143) == []
    left = replace(_FEW, files=13, tasks=5, streams=1)
    worse = replace(result, footprints=rests | {"at the end": left}, ended={"1011": 2})
    assert hostile._faults(worse, ["Traceback"], 1) == [
        "the server ended with 1",
        "its log complains 1 times: ['Traceback']",
        "1 streams stay open",
        "1 more tasks",
        "2 more files",
        "the model failed 2 times",
    ]


def test_a_short_day_of_streams_that_come_and_go(monkeypatch, capsys):
    monkeypatch.setattr(turnover, "LENGTH_S", (0.1, 4.0))
    monkeypatch.setattr(sys, "argv", ["turnover", "--hours", "0.01", "--clients", "3"])
    code = turnover.main()
    out = capsys.readouterr().out
    assert code == 0, out
    for row in ("before", "1/4 of the audio", "3/4 of the audio", "after the last"):
        assert f"\n{row} " in out
    assert out.endswith("no faults\n")


@pytest.mark.parametrize("arguments", [["--hours", "nan"], ["--clients", "0"]])
def test_an_impossible_day_is_refused_in_one_line(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["turnover", *arguments])
    assert turnover.main() == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{arguments[0]}: {arguments[1]!r} is not a " in err
