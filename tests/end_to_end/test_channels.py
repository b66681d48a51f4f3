"""Two people on two channels, and a cable with a wire crossed: from the command line."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import soundfile

from streamer import read_sessions
from streamer.sound.files.recording import read_recording
from tests.helpers.command import complaint, lines, replay, ser_live
from tests.helpers.places import CLIPS

RATE = 16_000


@pytest.fixture(scope="module")
def angry_and_sad():
    """A clip on each channel, the shorter one with silence behind it."""
    by_name = {path.stem.split("_")[2]: read_recording(path) for path in CLIPS}
    voices = [by_name["ANG"], by_name["SAD"]]
    frames = np.zeros((max(map(len, voices)), 2), np.float32)
    for channel, voice in enumerate(voices):
        frames[: len(voice), channel] = voice
    return frames


@pytest.fixture
def two_people(tmp_path, angry_and_sad):
    path = tmp_path / "two.wav"
    soundfile.write(path, angry_and_sad, RATE, subtype="FLOAT")
    return path


@pytest.fixture
def each_alone(tmp_path, angry_and_sad):
    paths = []
    for channel in (0, 1):
        paths.append(tmp_path / f"{channel + 1}.wav")
        soundfile.write(paths[-1], angry_and_sad[:, channel], RATE, subtype="FLOAT")
    return paths


def without(line, *keys):
    return {key: value for key, value in line.items() if key not in ("started", *keys)}


def test_each_channel_is_heard_as_if_it_were_a_recording_of_its_own(two_people, each_alone):
    both = lines(replay(two_people, "--channels", "split"))
    for number, path in enumerate(each_alone, 1):
        own = [line for line in both if line["channel"] == number]
        alone = lines(replay(path))
        assert len(own) == len(alone) > 50
        assert [without(line, "channel", "source") for line in own] == [
            without(line, "source") for line in alone
        ]
        (one,) = [lines(replay(two_people, "--channels", str(number)))]
        assert [without(line, "source") for line in one] == [
            without(line, "source") for line in alone
        ]
    verdicts = [line["overall"] for line in both if line["type"] == "end"]
    assert verdicts == ["angry", "sad"]


def test_what_was_split_is_read_back_converted_and_reported(two_people, tmp_path):
    output = tmp_path / "two.jsonl"
    assert replay(two_people, "--channels", "split", "--output", output).returncode == 0
    sessions = read_sessions(output, print)
    assert [session.header.channel for session in sessions] == [1, 2]
    assert [session.end.overall for session in sessions] == ["angry", "sad"]
    table = ser_live("convert", output, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(table.stdout.decode())))
    assert {row["channel"] for row in rows} == {"1", "2"}
    assert len(rows) == sum(len(session.times) for session in sessions)
    refused = ser_live("convert", output, "--format", "srt")
    assert refused.returncode == 2
    assert "--channels 1, then 2, makes a file of each" in complaint(refused)
    report = tmp_path / "two.html"
    assert ser_live("report", output, "-o", report).returncode == 0
    assert "two.wav, channel 2" in report.read_text()


def test_score_has_a_row_a_channel_and_goes_on(two_people, tmp_path):
    output = tmp_path / "r.csv"
    command = ("score", two_people, "--channels", "split", "--output", output)
    assert ser_live(*command).returncode == 0
    rows = {row["channel"]: row for row in csv.DictReader(output.open())}
    assert {channel: row["overall"] for channel, row in rows.items()} == {"1": "angry", "2": "sad"}
    assert "nothing to do" in ser_live(*command).stderr.decode()
    # A single channel is what it is among both.
    first = ser_live("score", two_people, "--channels", "1", "--output", output)
    assert "nothing to do" in first.stderr.decode()


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "rows/"])
@pytest.mark.parametrize("begun", ["mix", "split"])
def test_results_of_the_mean_and_of_single_channels_are_not_mixed(
    two_people, tmp_path, name, begun
):
    if name == "rows/":
        pytest.importorskip("pyarrow")
    output, other = f"{tmp_path}/{name}", {"mix": "split", "split": "mix"}[begun]
    command = ("score", two_people, "--output", output, "--channels")
    assert ser_live(*command, begun).returncode == 0
    refused = ser_live(*command, other)
    assert refused.returncode == 2
    theirs = {"mix": "all channels together", "split": "single channels"}[begun]
    assert f"holds results of {theirs}, which do not mix with" in complaint(refused)
    assert f"--channels {other}; name another file, or begin anew with --force" in (
        complaint(refused)
    )
    assert ser_live(*command, other, "--force").returncode == 0
    assert "nothing to do" in ser_live(*command, other).stderr.decode()


def test_channels_that_cancel_are_told_and_heard(tmp_path, angry_and_sad, each_alone):
    path = tmp_path / "turned.wav"
    voice = angry_and_sad[:, 0]
    soundfile.write(path, np.stack([voice, -voice], axis=1), RATE, subtype="FLOAT")
    result = replay(path)
    assert result.returncode == 0
    assert "cancel each other" in complaint(result)
    assert lines(result)[-1]["overall"] == "angry"
    alone = lines(replay(each_alone[0]))
    assert [line["label"] for line in lines(result)[1:-1]] == [
        line["label"] for line in alone[1:-1]
    ]


def test_a_pipe_of_two_channels_is_split_too(angry_and_sad):
    data = angry_and_sad.astype("<f4").tobytes()
    options = ("-", "--rate", str(RATE), "--sample-format", "FLOAT_LE")
    both = lines(replay(*options, "--channels", "2,split", data=data))
    assert [line["overall"] for line in both if line["type"] == "end"] == ["angry", "sad"]
    second = lines(replay(*options, "--channels", "2,2", data=data))
    assert second[-1]["overall"] == "sad"


@pytest.mark.parametrize(
    ("channels", "message"),
    [("3", "no channel 3: there are 2 channels"), ("left", "--channels must be mix, split or a")],
)
def test_channels_that_are_not_there_are_refused(two_people, channels, message):
    result = replay(two_people, "--channels", channels)
    assert result.returncode == 2
    assert message in complaint(result)


def test_a_recording_of_one_channel_can_be_split_too(each_alone):
    split = lines(replay(each_alone[0], "--channels", "split"))
    assert {line["channel"] for line in split} == {1}
    assert split[-1]["overall"] == "angry"


def test_what_is_split_does_not_depend_on_the_blocks(two_people):
    found = set()
    for block_ms in (1, 10, 1_000, 10_000):
        result = replay(two_people, "--channels", "split", "--block-ms", block_ms)
        found.add(b"".join(result.stdout.splitlines()[2:]))
    assert len(found) == 1
