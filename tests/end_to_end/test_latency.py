"""``ser-live latency`` at the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from tests.helpers.command import COMMAND, complaint, ser_live
from tests.helpers.places import CLIPS, ROOT

TERMS = [
    "framing", "look-ahead", "block", "capture buffer", "resampler", "queueing", "front end", "VAD",
    "network", "decision", "output",
]  # fmt: skip


def is_ordered(spread):
    return spread["p50"] <= spread["p95"] <= spread["p99"] <= spread["max"]


def test_a_recording_paced_by_the_clock_tells_every_term(hifi, tmp_path):
    kept = tmp_path / "latency.json"
    result = ser_live("latency", hifi, "--seconds", "1", "--streams", "2", "--json", kept)
    assert result.returncode == 0, result.stderr
    found = json.loads(kept.read_text())
    live, stopped = found["live"], found["stopped"]
    assert list(live["terms_ms"]) == TERMS
    assert live["sample_rate"] == 44_100
    assert 20 <= live["estimates"] <= 25
    look_ahead_ms = sum(live["terms_ms"][name]["p50"] for name in ("framing", "look-ahead"))
    assert look_ahead_ms == 175.0
    assert live["end_to_end_ms"]["p50"] > look_ahead_ms
    assert live["rest_ms"]["p50"] > 0
    assert live["load"]["cpu_share"] > 0
    assert live["reactions"]["changes"] == 0  # nobody said which emotions the file holds
    assert list(stopped["parts"]) == ["front end", "VAD", "network", "decision", "whole step"]
    assert stopped["steps"] == 25
    assert stopped["parts"]["network"]["p50"] < stopped["parts"]["whole step"]["p50"]
    spreads = [*live["terms_ms"].values(), *stopped["parts"].values(), found["streams"]["step"]]
    assert all(map(is_ordered, spreads))
    assert found["streams"]["streams"] == 2
    assert found["process"]["start_up_ms"] > 0
    text = result.stdout.decode()
    for word in (*TERMS, "end to end, measured", "the rest, unexplained", "deadline misses"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 80


def interrupted_after(seconds, arguments):
    """What the command wrote until Ctrl-C, so long after it began to measure."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "measuring" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    return text


def test_a_microphone_is_measured_and_ctrl_c_shows_what_there_is(pulse, tmp_path):
    kept = tmp_path / "latency.json"
    arguments = ["latency", "--source", "mic", "--seconds", "60", "--json", kept]
    with pulse.playing(CLIPS[3]):
        for patience_s in (4.0, 15.0, 45.0):  # a busy machine has settled later
            text = interrupted_after(patience_s, arguments)
            if text:
                break
    assert "default (ALSA)" in text
    found = json.loads(kept.read_text())
    assert "stopped" not in found
    live = found["live"]
    assert list(live["terms_ms"]) == TERMS
    assert live["estimates"] > 0
    assert all(map(is_ordered, live["terms_ms"].values()))
    assert live["terms_ms"]["capture buffer"]["max"] >= 0  # 0 where the device does not date
    assert live["end_to_end_ms"]["p50"] > 175.0


def test_the_clock_stopped_alone_takes_no_wall_clock(wav):
    result = ser_live("latency", wav, "--source", "stopped", "--seconds", "20")
    assert result.returncode == 0
    assert result.stderr == b""
    assert result.stdout.startswith(b"The clock stopped while computing: 500 steps of 40 ms")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--loopback", "0"],
        ["--loopback", "--seconds", "5"],
        ["--loopback", "--output-device", "horn"],
        ["--output-device", "default"],
        ["--streams", "0"],
        ["--source", "mic", "x.wav"],
        ["--source", "mic", "--device", "webcam"],
        ["--device", "default"],
        ["--plot", "latency.svg"],
        ["--plot", "/nowhere/latency.png"],
    ],
)
@pytest.mark.usefixtures("pulse")
def test_wrong_usage_is_one_line_and_exit_2(arguments):
    result = ser_live("latency", *arguments)
    assert (result.returncode, result.stdout) == (2, b"")
    complaint(result)


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_one_file_for_json_and_plot_is_refused_before_anything_is_measured(tmp_path, force):
    (tmp_path / "old.png").write_bytes(b"old")
    (tmp_path / "soft.png").symlink_to("old.png")
    (tmp_path / "hard.png").hardlink_to(tmp_path / "old.png")
    for plot, json_ in (
        ("new.png", f"../{tmp_path.name}/new.png"),
        ("old.png", "soft.png"),
        ("hard.png", "old.png"),
    ):
        paths = ["--plot", tmp_path / plot, "--json", tmp_path / json_]
        result = ser_live("latency", *paths, *force)
        assert (result.returncode, result.stdout) == (2, b"")
        assert "one file" in complaint(result)
    assert (tmp_path / "old.png").read_bytes() == b"old"


@pytest.mark.usefixtures("pulse")
def test_loopback_tells_the_round_trip_beside_what_portaudio_says(tmp_path):
    kept = tmp_path / "loopback.json"
    for chirps in (1, 4, 16):  # a busy machine tears some
        result = ser_live("latency", "--loopback", chirps, "--json", kept)
        if b"not found" not in result.stderr and b"lost audio" not in result.stderr:
            break
    begun, _ = complaint(result).split(", about")
    assert (result.returncode, begun) == (0, f"ser-live: chirps to play: {chirps}")
    text = result.stdout.decode()
    for word in (
        f" of {chirps} times",
        "round trip, measured",
        "by its dates",
        "PortAudio",
        "output underflows",
    ):
        assert word in text
    assert max(map(len, text.splitlines())) <= 80
    found = json.loads(kept.read_text())["loopback"]
    parts = [found[name]["p50"] for name in ("speaker_ms", "microphone_ms", "unsaid_ms")]
    if found["found"] == 1:  # medians of several do not add up
        assert found["round_trip_ms"]["p50"] == pytest.approx(sum(parts))
    assert 0 < found["round_trip_ms"]["p50"] < 1000
    assert found["underflows"] >= 0
