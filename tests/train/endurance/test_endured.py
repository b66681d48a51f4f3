"""What a server bears is measured with a server as a process: the commands, in small."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")
pytest.importorskip("starlette", reason="the extra serve is not installed")
pytest.importorskip("websockets", reason="the extra serve is not installed")

from train.endurance import hostile, turnover
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
    assert capsys.readouterr().err == "hostile: stopped\n"


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
    with pytest.raises(SystemExit) as ended:
        turnover.main()
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{arguments[0]}: {arguments[1]!r} is not a " in err
