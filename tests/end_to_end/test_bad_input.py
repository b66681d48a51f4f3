"""Wrong usage, damaged files and hostile names: one line, the right exit code, nothing lost."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers.command import COMMAND, complaint, lines, replay, ser_live
from tests.helpers.places import CLIPS, ROOT

#: A recording that is there: nothing but the options is wrong.
DEMO = "assets/demo.flac"


@pytest.mark.parametrize("command", ["picture", "latency", "enrol x.profile"])
def test_a_pipe_where_none_is_heard_is_told_what_hears_it(command, tmp_path):
    result = ser_live(*command.split(), "-", cwd=tmp_path, data=b"")
    assert result.returncode == 2
    assert complaint(result) == "ser-live: -: name a file; ser-live replay - hears a pipe\n"


def test_an_output_named_as_the_standard_one_makes_no_file(tmp_path):
    result = ser_live("replay", CLIPS[0], "--speed", "max", "-o", "-", cwd=tmp_path)
    assert result.returncode == 2
    assert "- is a standard stream; name a file" in complaint(result)
    assert not list(tmp_path.iterdir())


def test_one_bad_file_does_not_stop_the_others(wav, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("this is text")
    result = replay(wav, bad, wav)
    assert result.returncode == 2
    assert str(bad) in complaint(result)
    assert [line["type"] for line in lines(result)].count("end") == 2


def write_bad_files(folder, speech):
    """Name -> arguments and a word of the complaint."""
    wav = folder / "whole.wav"
    soundfile.write(wav, speech[:16_000], 16_000)
    whole = wav.read_bytes()
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("text " * 100)
    (folder / "header.wav").write_bytes(whole[:30])
    (folder / "truncated.wav").write_bytes(whole[:20_001])
    (folder / "channels.wav").write_bytes(whole[:22] + b"\0\0" + whole[24:])
    (folder / "rate.wav").write_bytes(whole[:24] + b"\0\0\0\0" + whole[28:])
    garbage = np.random.default_rng(0).bytes(30)
    (folder / "garbage.wav").write_bytes(whole[:12] + garbage + whole[42:])
    soundfile.write(folder / "nothing.wav", np.zeros(0), 16_000)
    for name, value in (("nan", np.nan), ("infinite", np.inf), ("huge", 1e30)):
        samples = speech[:16_000].copy()
        samples[8_000] = value
        soundfile.write(folder / f"{name}.wav", samples, 16_000, subtype="FLOAT")
    for suffix in ("flac", "ogg", "mp3"):
        path = folder / f"half.{suffix}"
        soundfile.write(path, speech[:48_000], 16_000)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
    return folder


BAD_FILES = {
    "missing.wav": "No such file",
    ".": "directory",
    "empty.wav": "empty",
    "text.wav": "no sound file",
    "header.wav": "no sound file",
    "truncated.wav": "truncated",
    "channels.wav": "no sound file",
    "rate.wav": "no sound file",
    "garbage.wav": "no sound file",
    "nothing.wav": "holds no audio",
    "nan.wav": "0.500 s is NaN",
    "infinite.wav": "0.500 s is NaN, infinite",
    "huge.wav": "beyond all scale",
    "half.flac": "nothing after that was heard",
    "half.mp3": "truncated",
}


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory, speech):
    return write_bad_files(tmp_path_factory.mktemp("bad"), speech)


@pytest.mark.parametrize(("name", "word"), BAD_FILES.items())
def test_bad_files_are_one_line_and_exit_2(bad_files, name, word):
    result = replay(bad_files / name)
    assert result.returncode == 2
    assert word in complaint(result)
    if result.stdout:  # what was heard before the damage is whole
        assert lines(result)[-1]["type"] == "end"


def test_a_cut_ogg_is_heard_to_where_it_ends(bad_files):
    result = replay(bad_files / "half.ogg")
    assert result.returncode == 2
    assert "truncated: its last page is cut" in complaint(result)
    assert 0 < lines(result)[-1]["duration"] < 3.0


def test_what_came_before_the_damage_is_kept(bad_files):
    end = lines(replay(bad_files / "nan.wav"))[-1]
    assert end["estimates"] > 0
    assert 0 < end["duration"] <= 0.5
    end = lines(replay(bad_files / "truncated.wav"))[-1]
    assert end["estimates"] == 15  # 0.623 s


@pytest.mark.parametrize(
    ("data", "word"), [(b"", "no audio"), (b"\0" * 6401, "1 byte into a sample")]
)
def test_bad_pipes_are_one_line_and_exit_2(data, word):
    result = replay("-", "--rate", 16_000, data=data)
    assert result.returncode == 2
    assert word in complaint(result)


@pytest.mark.parametrize(
    "arguments",
    [
        ["dance"],
        ["listen", "--duration", "0"],
        ["listen", "--duration", "nan"],
        ["listen", "--format", "xml"],
        ["listen", "--record", "x.wav", "--output", "./x.wav"],
        ["listen", "--model", "missing.onnx"],
        ["replay"],
        ["replay", "-"],
        ["replay", "-", "-", "--rate", "16000"],
        ["replay", DEMO, "--speed", "3"],
        ["replay", DEMO, "--block-ms", "0"],
        ["replay", DEMO, "--block-ms", "ten"],
        ["replay", "-", "--rate", "0"],
        ["replay", "-", "--rate", "16000", "--channels", "0"],
        ["replay", "-", "--rate", "16000", "--sample-format", "s12"],
        ["replay", DEMO, "--format", "xml"],
        ["replay", DEMO, "--model", "missing.onnx"],
        ["replay", DEMO, "--output", "/nowhere/x.jsonl"],
        ["replay", DEMO, "--speed", "max", "--output", "x.wav"],
        ["replay", DEMO, "--speed", "max", "--output", "x.png"],
        ["info", "--model", "pyproject.toml"],
        ["latency", "--seconds", "nan"],
        ["latency", "missing.wav"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments):
    result = ser_live(*arguments)
    assert result.returncode == 2
    assert result.stdout == b""
    complaint(result)


def test_what_is_read_is_never_overwritten(tmp_path, speech, model_file):
    path, link, model = tmp_path / "speech.wav", tmp_path / "link.wav", tmp_path / "model.onnx"
    soundfile.write(path, speech, 16_000)
    link.hardlink_to(path)
    model.write_bytes(model_file.read_bytes())
    kept = [one.read_bytes() for one in (path, model)]
    for arguments in (
        ("replay", path, "--output", path),
        ("replay", path, "--output", link),
        ("replay", path, "--model", model, "--output", model),
        ("latency", path, "--json", link),
        ("picture", path, "--output", path),
    ):
        result = ser_live(*arguments, "--force")
        assert result.returncode == 2, arguments
        complaint(result)
        assert [one.read_bytes() for one in (path, model)] == kept


STREAMS = ["/dev/stdout", "//dev/stdout", "/dev/../dev/stderr", "/dev/fd/1", "/proc/self/fd/2"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", [*STREAMS, "link.jsonl", "link to it.jsonl"])
def test_a_standard_stream_is_no_file_by_whatever_name(wav, tmp_path, name):
    """What is written there would be lost, since the descriptors lead nowhere."""
    (tmp_path / "link.jsonl").symlink_to("/dev/stdout")
    (tmp_path / "link to it.jsonl").symlink_to("link.jsonl")
    output = name if name.startswith("/") else tmp_path / name
    result = replay(wav, "--output", output, "--force")
    assert result.returncode == 2
    assert complaint(result).endswith(" is a standard stream; name a file\n")
    assert result.stdout == b""


def test_nothing_is_emptied_for_an_input_that_is_missing(tmp_path):
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_text("precious")
    assert replay(tmp_path / "missing.wav", "--output", old, "--force").returncode == 2
    assert replay(tmp_path / "missing.wav", "--output", new).returncode == 2
    assert old.read_text() == "precious"
    assert not new.exists()


def test_impossible_paths_are_one_line(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    raw = tmp_path / "x.raw"
    raw.write_bytes(b"1234" * 100)
    for path in ("x" * 300 + ".wav", loop, raw, "/dev/null"):
        result = replay(path)
        assert result.returncode == 2
        complaint(result)
    result = ser_live("info", "--model", "x" * 300)
    assert result.returncode == 2
    complaint(result)


def test_file_names_that_are_no_text_do_not_break_the_output(tmp_path, speech):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.wav")
    soundfile.write(open(path, "wb"), speech[:8_000], 16_000, format="WAV")  # noqa: SIM115, PTH123
    for layout in ("plain", "jsonl"):
        result = ser_live("replay", path, "--speed", "max", "--format", layout)
        assert result.returncode == 0, result.stderr
        header = result.stdout.splitlines()[0]
        assert header.startswith(b"# " if layout == "plain" else b"{")
        assert b"xff" in header.lower() or b"udcff" in header.lower()
    complaint(replay(path + "\x1b[2J"))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_a_sound_file_piped_as_raw_pcm_is_refused(tmp_path, speech, suffix):
    path = tmp_path / f"speech.{suffix}"
    soundfile.write(path, speech[:16_000], 16_000)
    result = replay("-", "--rate", "16000", data=path.read_bytes())
    assert result.returncode == 2
    assert "not raw PCM" in complaint(result)
    assert result.stdout == b""


@pytest.mark.parametrize("option", [["--rate", 8_000], ["--live"], ["--sample-format", "u8"]])
def test_options_of_raw_pcm_are_refused_where_a_file_says_itself(wav, option):
    result = replay(wav, *option)
    assert result.returncode == 2
    assert "standard input" in complaint(result)


def test_a_recording_is_not_overwritten_for_nothing(tmp_path):
    """Nowhere to write the results to: told before the file is touched."""
    old = tmp_path / "old.wav"
    old.write_text("precious")
    command = [*COMMAND, "listen", "--format", "jsonl", "--record", str(old), "--force"]
    result = subprocess.run(
        ["sh", "-c", f"{shlex.join(command)} >&-"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert result.returncode == 2
    assert result.stderr == "ser-live: standard output is closed\n"
    assert old.read_text() == "precious"


def test_a_quoted_pattern_is_told_what_takes_one():
    result = ser_live("replay", "nothing-*.wav")
    assert result.returncode == 2
    assert "a pattern is for the shell, without quotes, or for score" in complaint(result)
