"""Results go on to other programs: the shell's pipes, and files in their formats."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import soundfile

from streamer.commands.convert.run import convert
from tests.helpers.command import (
    COMMAND,
    EMOTIONS,
    assert_alike,
    complaint,
    lines,
    replay,
    ser_live,
)
from tests.helpers.places import ROOT
from tests.helpers.timelines import assert_tiled, textgrid_of

PAGES = "".join(
    (ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "streamer/README.md")
)
SER_LIVE = f"{sys.executable} -c '{COMMAND[2]}'"
RAW = "replay - --rate 16000 --speed max --format jsonl"


def shell(script, **values):
    """A script of bash; $SER_LIVE is the command."""
    return subprocess.run(
        ["bash", "-c", script.replace("ser-live", SER_LIVE)],
        cwd=ROOT,
        env=os.environ | {name: str(value) for name, value in values.items()},
        capture_output=True,
        timeout=120,
    )


def readme(start):
    """The line of README or the manual that begins so."""
    (line,) = [line for line in PAGES.splitlines() if line.startswith(start)]
    return line


def need(tool):
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool}")


def until_made(output):
    """A file is made when the session starts."""
    deadline = time.monotonic() + 30
    while not output.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def raw(tmp_path_factory, wav):
    path = tmp_path_factory.mktemp("audio") / "speech.raw"
    path.write_bytes(soundfile.read(wav, dtype="int16")[0].astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, wav):
    """The wav's session as JSON lines."""
    path = tmp_path_factory.mktemp("sessions") / "session.jsonl"
    assert replay(wav, "--output", path).returncode == 0
    return path


def test_a_shells_pipe_gives_what_the_file_gives(raw, wav):
    piped = shell(f"cat $RAW | ser-live {RAW}", RAW=raw)
    assert piped.returncode == 0
    assert_alike(lines(piped)[1:], lines(replay(wav))[1:])


def test_ffmpeg_brings_the_sound_of_anything(tmp_path, hifi, wav):
    need("ffmpeg")
    video = tmp_path / "video.mkv"
    made = shell("ffmpeg -v error -f lavfi -i color=s=16x16:r=5 -i $WAV -shortest $VIDEO",
                 WAV=hifi, VIDEO=video)  # fmt: skip
    assert made.returncode == 0, made.stderr
    heard = shell(readme("ffmpeg ").replace("VIDEO", "$VIDEO"), VIDEO=video)
    assert heard.returncode == 0
    assert heard.stderr == b""
    own = ser_live("replay", wav, "--speed", "max", "--format", "plain")
    # A millisecond of the film's own more or less is no matter.
    verdicts = [one.stdout.decode().splitlines()[-1].split(" s: ")[1] for one in (heard, own)]
    assert verdicts[0].split(" (")[0] == verdicts[1].split(" (")[0]


def test_arecord_brings_the_microphone(pulse, wav):
    need("arecord")
    with pulse.playing(wav):
        heard = shell(readme("arecord ").replace("arecord", "arecord -d 2"))
    assert heard.returncode == 0, heard.stderr
    assert heard.stderr == b""
    _, *changes, end = heard.stdout.decode().splitlines()
    assert float(end.split()[1]) == pytest.approx(2.0, abs=0.2)
    assert any(label in change for change in changes for label in EMOTIONS)


def test_a_textgrid_is_written_when_the_microphone_is_gone(pulse, tmp_path):
    output = tmp_path / "x.TextGrid"
    options = ["--no-reconnect", "--format", "textgrid", "--output", output]
    process = subprocess.Popen([*COMMAND, "listen", *options], cwd=ROOT, stderr=subprocess.PIPE)
    until_made(output)
    pulse.unplug()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert stderr.endswith(b"is gone\n")
    duration_s, tiers = textgrid_of(output.read_text(encoding="utf-8"), tmp_path)
    assert_tiled(tiers["label"], duration_s)


def test_jq_counts_the_seconds_of_each_label(wav):
    need("jq")
    counted = shell(
        "ser-live replay $WAV --speed max --format jsonl | jq -s -c "
        '\'[.[] | select(.type == "estimate")] | group_by(.label) | map({(.[0].label): length})'
        " | add'",
        WAV=wav,
    )
    summary = lines(replay(wav))[-1]
    expected = {k: round(v * summary["estimates"]) for k, v in summary["summary"].items() if v}
    assert json.loads(counted.stdout) == expected


def test_head_takes_what_it_wants(wav):
    result = shell(
        "ser-live replay $WAV --speed max --format jsonl | head -1; echo ${PIPESTATUS[0]}", WAV=wav
    )
    session, code = result.stdout.decode().splitlines()
    assert json.loads(session)["type"] == "session"
    assert code == "141"  # not all of it was written
    assert not result.stderr


def test_each_line_is_out_before_the_next_is_due(speech):
    """Half of the audio, through a pipe that stays open: all that it tells must be there."""
    options = ["--rate=16000", "--sample-format=f32le", "--format=jsonl", "--speed=max"]
    process = subprocess.Popen(
        [*COMMAND, "replay", "-", *options], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    half = speech[: len(speech) // 2]
    process.stdin.write(half.tobytes())
    process.stdin.flush()
    look_ahead_ms = json.loads(process.stdout.readline())["look_ahead_ms"]
    # The last block of 10 ms may still be incomplete.
    complete = (len(half) - 160 - 16 * look_ahead_ms) // 640
    times = [json.loads(process.stdout.readline())["time"] for _ in range(int(complete))]
    assert times[-1] == pytest.approx(0.04 * complete)
    process.stdin.close()
    process.stdout.close()
    process.wait(30)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_textgrid_is_written_whatever_ends_the_session(wav, tmp_path, ending):
    output = tmp_path / "x.TextGrid"
    process = subprocess.Popen(
        [*COMMAND, "replay", wav, "--format", "textgrid", "--output", output], cwd=ROOT
    )
    until_made(output)
    process.send_signal(ending)
    assert process.wait(30) == 128 + ending
    duration_s, tiers = textgrid_of(output.read_text(encoding="utf-8"), tmp_path)
    assert_tiled(tiers["label"], duration_s)
    assert duration_s < 9


@pytest.mark.parametrize("suffix", ["csv", "txt", "TextGrid", "srt", "vtt"])
def test_the_suffix_says_what_to_convert_to(recorded, tmp_path, suffix):
    output = tmp_path / f"session.{suffix}"
    result = ser_live("convert", recorded, "--output", output)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    name = {"txt": "audacity"}.get(suffix, suffix.lower())
    expected = io.StringIO()
    convert(recorded, name, expected, pytest.fail)
    assert output.read_bytes() == expected.getvalue().encode()


def test_a_file_is_not_converted_over_another(recorded, tmp_path):
    output = tmp_path / "session.srt"
    output.write_text("mine")
    result = ser_live("convert", recorded, "--output", output)
    assert result.returncode == 2
    assert "--force" in complaint(result)
    assert output.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.jsonl", "--format", "srt"], "cannot read missing.jsonl: No such file"),
        (["pyproject.toml", "--format", "srt"], "pyproject.toml, line 1: not JSON"),
        (["x.jsonl"], "name a --format"),
        (["x.jsonl", "--output", "x.docx"], "the suffix says no format"),
        (["README.md", "--format", "csv", "--output", "README.md", "--force"], "is to be read"),
    ],
)
def test_what_cannot_be_converted_is_one_line_and_exit_2(arguments, words):
    result = ser_live("convert", *arguments)
    assert result.returncode == 2
    assert result.stdout == b""
    assert words in complaint(result)


def test_several_recordings_go_into_a_table_only(wav, tmp_path):
    both = tmp_path / "both.jsonl"
    replay(wav, wav, "--output", both)
    told = [json.loads(line) for line in both.read_text().splitlines()]
    table = ser_live("convert", both, "--format", "csv")
    assert table.stdout.startswith(b"file,time,label")
    assert table.stdout.count(b"\n") == 1 + sum(line["type"] == "estimate" for line in told)
    for refused in (
        ser_live("convert", both, "--format", "srt"),
        ser_live("replay", wav, wav, "--speed=max", "--format=srt"),
    ):
        assert refused.returncode == 2
        assert refused.stdout == b""
        assert "srt holds one recording" in complaint(refused)


def test_a_cut_line_is_said_and_left_out(recorded, tmp_path):
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(recorded.read_bytes()[:-30])
    result = ser_live("convert", cut, "--format", "csv")
    assert result.returncode == 0
    assert "cut.jsonl ends in the middle of line" in complaint(result)
    assert result.stdout == ser_live("convert", recorded, "--format", "csv").stdout


def test_a_session_is_converted_and_drawn_from_a_pipe(recorded, tmp_path):
    page = tmp_path / "x.html"
    piped = shell("cat $SESSION | ser-live convert - --format csv", SESSION=recorded)
    assert piped.returncode == 0
    assert not piped.stderr
    assert piped.stdout == ser_live("convert", recorded, "--format", "csv").stdout
    drawn = shell("cat $SESSION | ser-live report - -o $PAGE", SESSION=recorded, PAGE=page)
    assert drawn.returncode == 0, drawn.stderr
    assert b"<html" in page.read_bytes()
    nothing = ser_live("convert", "-", "--format", "csv", data=b"")
    assert nothing.returncode == 2
    assert complaint(nothing) == "ser-live: standard input: holds no session\n"


def test_what_a_convert_cannot_hold_names_only_what_it_can(recorded, tmp_path):
    two = tmp_path / "two.jsonl"
    two.write_bytes(recorded.read_bytes() * 2)
    said = complaint(ser_live("convert", two, "--format", "srt"))
    assert "srt holds one recording at a time; csv holds several" in said


def test_a_replay_of_an_address_is_told_as_it_was_given():
    result = ser_live("replay", "https://example.org/a.wav")
    assert result.returncode == 2
    assert "https://example.org/a.wav is an address, and nothing is fetched" in complaint(result)
