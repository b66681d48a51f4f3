"""The last screen, which stays in the terminal once a session has ended."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import pytest
from rich.cells import cell_len

from streamer.commands.display import _next_step
from streamer.outputs import OutputFile
from streamer.screen.ending import ending_lines
from streamer.screen.monitor import Monitor
from streamer.screen.terminal import Terminal
from streamer.session.events import Gap, SessionEnded
from streamer.session.interrupts import Interrupts
from tests.helpers.screens import LABELS, estimated, monitor_of

SHARES = {"angry": 0.3, "happy": 0.0, "neutral": 0.1, "sad": 0.05, "silence": 0.5}
SHARES |= {"uncertain": 0.04, "warming up": 0.01}
LIKELY = dict(zip(LABELS, (0.6, 0.1, 0.2, 0.1), strict=True))


@pytest.fixture
def ended():
    events = [estimated(0.04 * n, "angry", latency_ms=181.0 + n % 10) for n in range(1, 501)]
    monitor = monitor_of([*events, Gap(20.0, 32_000, "the device lost it")])
    monitor.take(SessionEnded(22.0, 500, SHARES, "angry", LIKELY))
    return monitor.snapshot


def told(snapshot, width=80, next_step="go"):
    lines = ending_lines(snapshot, width, next_step)
    return ["".join(piece.text for piece in line).rstrip() for line in lines]


def test_the_last_screen_summarises_the_session(ended):
    lines = told(ended)
    assert lines[1] == "angry overall  x.wav"
    assert lines[2] == "10.0 s not silent, of 0:22"
    assert [line.split()[:2] for line in lines[3:7]] == [
        ["angry", "60%"], ["neutral", "20%"], ["uncertain", "10%"], ["sad", "10%"],
    ]  # fmt: skip
    assert "A" in lines[8]
    assert lines[9].split() == ["0:00", "0:20"]
    assert "latency p50/p95 185/190 ms" in lines[-2]
    assert "gaps 1, 2.0 s lost" in lines[-2]
    assert lines[-1] == "next: go"


def test_bars_are_as_long_as_their_shares(ended):
    lengths = [line.count("█") for line in told(ended)[3:7]]
    assert lengths[0] == pytest.approx(3 * lengths[1], abs=3)
    assert lengths[2] == lengths[3] > 0


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_nothing_but_the_next_step_is_wider_than_the_terminal(ended, width):
    session = replace(ended.session, source="/a/very/long/way/to/" + "x" * 90 + ".wav")
    *lines, last = told(replace(ended, session=session), width, "a command to be copied " * 20)
    assert max(map(cell_len, lines)) < max(width, 28)
    assert last.count("copied") == 20


def test_background_and_text_have_the_terminals_own_colours(ended):
    """The terminal may be dark or light."""
    for line in ending_lines(ended, 80, "go"):
        for piece in line:
            is_bar = not set(piece.text) - set("█▏▎▍▌▋▊▉")
            is_strip = piece.style.bgcolor is not None
            assert is_bar or is_strip or piece.style.color is None


def test_a_session_without_speech_or_clock_says_so(ended):
    silent = replace(
        ended,
        ended=SessionEnded(0.0, 0, dict.fromkeys(SHARES, 0.0), "silence", LIKELY),
        time=0.0,
        gaps=0,
        session_latency_ms=None,
    )
    text = "\n".join(told(silent))
    assert "latency" not in text
    assert "gaps 0" in text
    assert "%" not in text


def test_lines_that_are_too_many_to_be_said_again_are_counted(monkeypatch, capsys):
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", nowhere)
        terminal = Terminal(Monitor(), Interrupts())
    for number in range(25):
        terminal.say(f"line {number}")
    terminal._say_again()
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "ser-live: 5 earlier lines are left out"
    assert rest == [f"line {number}" for number in range(5, 25)]


def test_latency_is_that_of_the_whole_session():
    monitor = monitor_of([])
    for n in range(1, 1001):
        monitor.take(estimated(0.04 * n, "sad", latency_ms=100.0 if n <= 600 else 300.0))
    assert monitor.snapshot.lateness.percentiles_ms == (300.0, 300.0)
    monitor.take(SessionEnded(40.0, 1000, SHARES, "sad", LIKELY))
    assert monitor.snapshot.session_latency_ms == (100.0, 300.0)


def test_the_next_step_fits_what_was_written(tmp_path):
    assert "--output session.jsonl" in _next_step(None, "jsonl")
    for name, beside, says in [
        ("a b.jsonl", "jsonl", "ser-live report '{0}/a b.jsonl' -o '{0}/a b.html'"),
        ("x.TextGrid", "textgrid", "the timeline is in {0}/x.TextGrid"),
    ]:
        with OutputFile(tmp_path / name, False) as output:
            assert _next_step(output, beside) == says.format(tmp_path)
