"""The command from outside: the contract of DESIGN.md."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tests.conftest import CLIPS

COMMAND = [sys.executable, "-c", "from streamer.cli import run; run()"]
ROOT = Path(__file__).parents[2]
EMOTIONS = ["angry", "happy", "neutral", "sad"]


def ser_live(*arguments, data=None, cwd=ROOT):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=data,
        capture_output=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
    )


def replay(*arguments, data=None):
    return ser_live("replay", "--speed", "max", "--format", "jsonl", *arguments, data=data)


def lines(result):
    return [json.loads(line) for line in result.stdout.decode().splitlines()]


def complaint(result):
    """The one line on stderr."""
    text = result.stderr.decode()
    assert text.count("\n") == 1, text
    assert text.startswith("ser-live: ")
    assert "Traceback" not in text
    return text


@pytest.fixture(scope="module")
def wav(tmp_path_factory, speech):
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    soundfile.write(path, speech, 16_000)
    return path


@pytest.fixture(scope="module")
def hifi(tmp_path_factory, speech):
    """The same at 44.1 kHz in stereo."""
    path = tmp_path_factory.mktemp("audio") / "hifi.wav"
    samples = soxr.resample(speech, 16_000, 44_100)
    soundfile.write(path, np.stack([samples, samples], axis=1), 44_100)
    return path


def test_json_lines_follow_the_schema(wav, speech):
    result = replay(wav)
    assert result.returncode == 0
    assert result.stderr == b""
    session, *estimates, end = lines(result)
    assert list(session) == [
        "type", "schema", "source", "sample_rate", "model", "labels", "look_ahead_ms", "started",
    ]  # fmt: skip
    assert session["type"] == "session"
    assert session["schema"] == 1
    assert session["sample_rate"] == 16_000
    assert session["labels"] == EMOTIONS
    assert session["look_ahead_ms"] == 175.0
    assert len(estimates) == len(speech) // 640
    for index, estimate in enumerate(estimates):
        assert list(estimate) == [
            "type", "time", "label", "probabilities", "speech", "latency_ms",
        ]  # fmt: skip
        assert estimate["type"] == "estimate"
        assert estimate["time"] == pytest.approx(0.04 * (index + 1), abs=1e-9)
        assert list(estimate["probabilities"]) == EMOTIONS
        assert sum(estimate["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert 0 <= estimate["speech"] <= 1
        assert estimate["latency_ms"] is None
        assert estimate["label"] in {*EMOTIONS, "silence", "uncertain", "warming up"}
    assert end["type"] == "end"
    assert end["duration"] == pytest.approx(len(speech) / 16_000)
    assert end["estimates"] == len(estimates)
    assert sum(end["summary"].values()) == pytest.approx(1, abs=1e-5)
    assert end["overall"] in EMOTIONS
    assert list(end["probabilities"]) == EMOTIONS


def without_start(result):
    session, rest = result.stdout.split(b"\n", 1)
    return {k: v for k, v in json.loads(session).items() if k != "started"}, rest


def test_output_is_byte_identical_whatever_the_blocks(wav, hifi):
    for path in (wav, hifi):
        outputs = [without_start(replay(path, "--block-ms", n)) for n in (1, 10, 37, 500)]
        assert all(output == outputs[0] for output in outputs)


@pytest.mark.parametrize("kind", ["mp3", "ogg", "8k.flac", "cut.wav", "nan.wav"])
def test_that_holds_for_other_and_damaged_files_too(tmp_path, speech, kind):
    path = tmp_path / f"x.{kind}"
    samples = speech[:48_000].copy()
    if kind == "8k.flac":
        soundfile.write(path, soxr.resample(samples, 16_000, 8_000), 8_000)
    elif kind == "nan.wav":
        samples[30_000] = np.nan
        soundfile.write(path, samples, 16_000, subtype="FLOAT")
    else:
        soundfile.write(path, samples, 16_000)
    if kind == "cut.wav":
        path.write_bytes(path.read_bytes()[:50_001])
    results = [replay(path, "--block-ms", n) for n in (1, 37, 3_333)]
    assert all(without_start(result) == without_start(results[0]) for result in results)
    assert len({result.stderr for result in results}) == 1
    assert lines(results[0])[-1]["estimates"] > 30


def test_the_declared_look_ahead_holds_for_a_resampled_file(hifi, tmp_path):
    ahead_s = lines(replay(hifi))[0]["look_ahead_ms"] / 1000
    samples, rate = soundfile.read(hifi, dtype="float32")
    at_s = 5.0
    samples[round(at_s * rate) :] = np.random.default_rng(0).uniform(-1, 1, (1, 2))
    changed = tmp_path / "changed.wav"
    soundfile.write(changed, samples, rate)
    before, after = lines(replay(hifi))[1:-1], lines(replay(changed))[1:-1]
    sure = [e for e in before if e["time"] + ahead_s < at_s]
    assert len(sure) > 100
    assert after[: len(sure)] == sure
    assert after != before


def test_raw_pcm_equals_the_file(hifi):
    samples, rate = soundfile.read(hifi, dtype="int16")
    piped = replay(
        "-", "--rate", rate, "--channels", 2, "--sample-format", "s16le",
        data=samples.astype("<i2").tobytes(),
    )  # fmt: skip
    assert piped.returncode == 0
    assert piped.stdout.split(b"\n")[1:] == replay(hifi).stdout.split(b"\n")[1:]


def test_several_files_name_the_file_on_every_line(wav, hifi):
    result = replay(wav, hifi)
    names = [line["file"] for line in lines(result)]
    assert set(names) == {str(wav), str(hifi)}
    assert names == sorted(names, key=[str(wav), str(hifi)].index)


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
    "half.flac": "damaged after",
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
    result = replay(bad_files / "half.ogg")  # its pages stand alone: nothing says there were more
    assert result.returncode == 0
    assert 0 < lines(result)[-1]["duration"] < 3.0


def test_what_came_before_the_damage_is_kept(bad_files):
    end = lines(replay(bad_files / "nan.wav"))[-1]
    assert end["estimates"] > 0
    assert 0 < end["duration"] <= 0.5
    end = lines(replay(bad_files / "truncated.wav"))[-1]
    assert end["estimates"] == 15  # 0.623 s


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT"])
def test_other_encodings_give_the_same_verdict(wav, speech, tmp_path, subtype):
    path = tmp_path / "other.wav"
    soundfile.write(path, speech, 16_000, subtype=subtype)
    assert lines(replay(path))[-1]["overall"] == lines(replay(wav))[-1]["overall"]


@pytest.mark.parametrize(
    ("data", "word"), [(b"", "no audio"), (b"\0" * 6401, "1 bytes into a sample")]
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
        ["replay", "x.wav", "--speed", "3"],
        ["replay", "x.wav", "--block-ms", "0"],
        ["replay", "x.wav", "--block-ms", "ten"],
        ["replay", "-", "--rate", "0"],
        ["replay", "-", "--rate", "16000", "--channels", "0"],
        ["replay", "-", "--rate", "16000", "--sample-format", "s12"],
        ["replay", "x.wav", "--format", "xml"],
        ["replay", "x.wav", "--model", "missing.onnx"],
        ["replay", "x.wav", "--output", "/nowhere/x.jsonl"],
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


def test_output_goes_to_a_new_file_only(wav, tmp_path):
    output = tmp_path / "out.jsonl"
    assert replay(wav, "--output", output).stdout == b""
    written = output.read_bytes()
    assert written.count(b'"type":"estimate"') > 100
    again = replay(wav, "--output", output)
    assert again.returncode == 2
    assert "--force" in complaint(again)
    assert output.read_bytes() == written
    assert replay(wav, "--output", output, "--force").returncode == 0


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


def test_plain_lines_name_an_emotion_every_40_ms(wav, speech):
    result = ser_live("replay", wav, "--speed", "max")
    text = result.stdout.decode().splitlines()
    assert result.returncode == 0
    assert len(text) == len(speech) // 640 + 2
    assert "0.04 s" in text[1]


def test_replay_is_paced_by_the_wall_clock(tmp_path, speech):
    path = tmp_path / "short.wav"
    soundfile.write(path, speech[:24_000], 16_000)
    result = ser_live("replay", path, "--speed", "2", "--format", "jsonl")
    estimates = lines(result)[1:-1]
    latencies = [e["latency_ms"] for e in estimates[:-4]]
    # At double speed the 175 ms of look-ahead take half; nothing can be earlier.
    assert min(latencies) >= 87.5 - 1e-3
    assert np.median(latencies) < 87.5 + 500


def test_a_pipe_that_arrives_live_is_not_held_back(speech):
    options = ["--rate=16000", "--sample-format=f32le", "--format=jsonl", "--block-ms=500"]
    process = subprocess.Popen(
        [*COMMAND, "replay", "-", *options], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.write(speech[:8_000].tobytes())
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["type"] == "session"
    first = json.loads(process.stdout.readline())
    # It was heard half a second before its block came, however long the start took.
    assert first["latency_ms"] >= 400
    process.stdin.close()
    assert process.wait(30) == 0


@pytest.mark.parametrize("speed", ["1", "2"])
def test_a_paced_replay_takes_as_long_as_the_audio(tmp_path, speech, speed):
    path = tmp_path / "short.wav"
    soundfile.write(path, speech[:32_000], 16_000)
    began = time.monotonic()
    assert ser_live("replay", path, "--speed", speed).returncode == 0
    assert time.monotonic() - began >= 2.0 / float(speed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
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
    assert stderr == b""
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert written[-1]["type"] == "end"
    assert written[-1]["estimates"] == len(written) - 2 > 5


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


def test_json_lines_arrive_while_the_audio_does(speech):
    process = subprocess.Popen(
        [*COMMAND, "replay", "-", "--rate=16000", "--sample-format=f32le", "--format=jsonl"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdin.write(speech[:16_000].tobytes())
    process.stdin.flush()
    first = [json.loads(process.stdout.readline()) for _ in range(10)]  # the pipe is still open
    assert [line["type"] for line in first] == ["session"] + ["estimate"] * 9
    process.stdin.close()
    rest = process.stdout.read().splitlines()
    assert process.wait(30) == 0
    assert json.loads(rest[-1])["estimates"] == 25


def test_a_closed_pipe_is_said_in_one_line(wav):
    process = subprocess.Popen(
        [*COMMAND, "replay", wav, "--speed", "max"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    stderr = process.stderr.read().decode()
    assert process.wait(30) == 1
    assert stderr == "ser-live: the output was closed by its reader\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_failure_at_run_time(wav):
    result = replay(wav, "--output", "/dev/full", "--force")
    assert result.returncode == 1
    assert "No space left" in complaint(result)


def test_every_wav_in_the_clips_is_heard_as_speech():
    for clip in CLIPS:
        end = lines(replay(clip))[-1]
        assert end["overall"] in EMOTIONS
        assert end["summary"]["silence"] < 0.9


def test_info_says_where_the_weights_come_from():
    result = ser_live("info")
    text = result.stdout.decode()
    assert result.returncode == 0
    for word in (*EMOTIONS, "175 ms", "cremad", "licence", "UAR", "unseen speakers"):
        assert word in text


def test_latency_measures_every_part(wav, tmp_path):
    result = ser_live("latency", wav, "--seconds", "2", "--json", tmp_path / "cost.json")
    assert result.returncode == 0
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost["steps"] == 50
    parts = cost["parts"]
    assert list(parts) == ["network", "VAD", "front end", "whole step"]
    for spread in parts.values():
        assert 0 < spread["p50"] <= spread["p95"] <= spread["p99"] <= spread["max"]
    assert parts["network"]["p50"] < parts["whole step"]["p50"]
    assert cost["real_time_factor"] > 0


def test_memory_does_not_grow_with_the_recording(tmp_path, speech):
    def peak_kib(seconds):
        path = tmp_path / "long.flac"
        soundfile.write(path, np.resize(speech, seconds * 16_000), 16_000)
        with Path(os.devnull).open("w") as nowhere:
            process = subprocess.Popen(
                [*COMMAND, "replay", path, "--speed", "max"], cwd=ROOT, stdout=nowhere
            )
            _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        return usage.ru_maxrss

    assert peak_kib(240) - peak_kib(10) < 4_000  # as float32 the audio alone is 15,000


def test_the_runtime_imports_neither_torch_nor_training():
    code = (
        "import sys, streamer.cli, streamer.recognizer, streamer.latency;"
        "streamer.recognizer.Recognizer.load();"
        "print(sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'torch', 'model', 'train', 'sounddevice'}))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
