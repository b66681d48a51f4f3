"""`ser-live replay` from outside: its lines, its exit codes, its files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tests.helpers.command import (
    COMMAND,
    EMOTIONS,
    assert_alike,
    complaint,
    lines,
    replay,
    ser_live,
)
from tests.helpers.places import CLIPS, ROOT


def test_json_lines_follow_the_schema(wav, speech):
    result = replay(wav)
    assert result.returncode == 0
    assert result.stderr == b""
    session, *estimates, end = lines(result)
    assert list(session) == [
        "type", "schema", "source", "sample_rate", "model", "prior", "adaptation", "labels",
        "look_ahead_ms", "started",
    ]  # fmt: skip
    assert session["type"] == "session"
    assert session["schema"] == 1
    assert session["sample_rate"] == 16_000
    assert session["labels"] == EMOTIONS
    assert session["look_ahead_ms"] == 175.0
    assert session["prior"] == "balanced"
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


def test_that_holds_under_the_everyday_prior(wav):
    results = [replay(wav, "--prior", "everyday", "--block-ms", n) for n in (1, 37, 3_333)]
    assert all(without_start(result) == without_start(results[0]) for result in results)
    session, *estimates, end = lines(results[0])
    assert session["prior"] == "everyday"
    balanced = lines(replay(wav))
    for one, other in zip([*estimates, end], balanced[1:], strict=True):
        assert one["probabilities"]["neutral"] >= other["probabilities"]["neutral"]
    assert end["probabilities"]["neutral"] > balanced[-1]["probabilities"]["neutral"]


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
    assert_alike(lines(piped)[1:], lines(replay(hifi))[1:])


def test_several_files_name_the_file_on_every_line(wav, hifi):
    result = replay(wav, hifi)
    names = [line["file"] for line in lines(result)]
    assert set(names) == {str(wav), str(hifi)}
    assert names == sorted(names, key=[str(wav), str(hifi)].index)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT"])
def test_other_encodings_give_the_same_verdict(wav, speech, tmp_path, subtype):
    path = tmp_path / "other.wav"
    soundfile.write(path, speech, 16_000, subtype=subtype)
    assert lines(replay(path))[-1]["overall"] == lines(replay(wav))[-1]["overall"]


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
    assert "chance is 25 %" in text
    # The names of what it also learnt from hold commas of their own.
    assert "EmoGator; Whisper's encoder, whisper-base-encoder.safetensors\n" in text


def test_a_name_that_no_shipped_model_has_is_told_which_there_are():
    told = complaint(ser_live("info", "--model", "reserch"))
    assert "no such file, and no shipped model has that name; research has" in told
    assert "shipped" not in complaint(ser_live("info", "--model", "reserch.onnx"))


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
        "import sys, streamer.commands.program, streamer.recognition.recognizer;"
        "import streamer.commands.latency.measure;"
        "streamer.recognition.recognizer.Recognizer.load();"
        "print(sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'torch', 'model', 'train', 'sounddevice'}))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.srt", "1\n00:00:00,000 --> "), ("a.TextGrid", "File type"), ("a.csv", "time,label,"),
     ("a.vtt", "WEBVTT\n"), ("a.json", '{"type":"session"')],
)  # fmt: skip
def test_the_suffix_of_the_output_says_a_timelines_format(wav, tmp_path, name, begins):
    result = ser_live("replay", wav, "--speed", "max", "--output", tmp_path / name)
    assert result.returncode == 0
    assert (tmp_path / name).read_text().startswith(begins)


@pytest.mark.parametrize(
    ("name", "suffix", "begins"),
    [("srt", ".csv", "1\n"), ("csv", ".jsonl", "time,label,"), ("plain", ".srt", "# ")],
)
def test_the_format_counts_more_than_another_suffix_and_a_line_says_so(
    wav, tmp_path, name, suffix, begins
):
    output, again = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    result = ser_live("replay", wav, "--speed", "max", "--format", name, "--output", output)
    assert result.returncode == 0
    assert f"{output} gets {name}, which --format names" in complaint(result)
    assert output.read_text().startswith(begins)
    if name == "csv":
        session = tmp_path / "s.jsonl"
        ser_live("replay", wav, "--speed", "max", "--output", session)
        result = ser_live("convert", session, "--format", name, "--output", again)
        assert f"{again} gets csv, which --format names" in complaint(result)
        assert again.read_text().startswith(begins)


@pytest.mark.parametrize("name", ["a.xlsx", "a.tsv", "a.json.gz"])
def test_a_suffix_of_no_format_needs_one_by_name(wav, tmp_path, name):
    output = tmp_path / name
    result = ser_live("replay", wav, "--speed", "max", "--output", output)
    assert result.returncode == 2
    assert f"no format has the suffix {output.suffix}; name it .jsonl, .csv, " in complaint(result)
    assert not output.exists()
    result = ser_live("replay", wav, "--speed", "max", "--format", "jsonl", "--output", output)
    assert (result.returncode, result.stderr) == (0, b"")
    assert output.read_text().startswith('{"type":"session"')


def test_without_a_suffix_it_is_json_lines(wav, tmp_path):
    assert ser_live("replay", wav, "--speed", "max", "--output", tmp_path / "a").returncode == 0
    assert (tmp_path / "a").read_text().startswith('{"type":"session"')


@pytest.mark.parametrize("samples", [1, 639])
def test_a_recording_that_is_too_short_is_told_as_score_tells_it(tmp_path, wav, samples):
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(samples, np.float32), 16_000)
    result = replay(short, wav)
    assert result.returncode == 2
    assert complaint(result) == f"ser-live: {short}: too short: a timestep is 40 ms\n"
    ends = [line for line in lines(result) if line["type"] == "end"]
    assert [end["estimates"] > 0 for end in ends] == [False, True]
    scored = ser_live("score", short)
    assert scored.returncode == 2
    assert b"too short: a timestep is 40 ms" in scored.stdout
    pictured = ser_live("picture", short, "--output", tmp_path / "x.svg")
    assert (pictured.returncode, complaint(pictured)) == (2, complaint(result))
    assert not (tmp_path / "x.svg").exists()


def test_a_format_does_not_make_results_of_a_sound_file(wav, tmp_path):
    result = ser_live("replay", wav, "--format", "csv", "--output", tmp_path / "a.wav", "--force")
    assert result.returncode == 2
    assert "takes results, such as .jsonl or .csv, not sound" in complaint(result)


def test_a_txt_is_what_its_format_says_and_nothing_without_one(wav, tmp_path):
    """In convert it is Audacity's label track, and a session of JSON lines is no such thing."""
    output = tmp_path / "a.txt"
    result = ser_live("replay", wav, "--speed", "max", "--output", output)
    assert result.returncode == 2
    assert "name it .jsonl, or add --format audacity" in complaint(result)
    assert not output.exists()
    for name, begins in (("audacity", "0.000000\t"), ("jsonl", '{"type":"session"')):
        options = ("--speed", "max", "--format", name, "--output", output, "--force")
        assert ser_live("replay", wav, *options).returncode == 0
        assert output.read_text().startswith(begins)
