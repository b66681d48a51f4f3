"""``ser-live score``: the same rows whoever computes them and however often it was stopped."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers.command import COMMAND, EMOTIONS, complaint, replay, ser_live
from tests.helpers.places import CLIPS, ROOT


def score(*arguments):
    return ser_live("score", *arguments)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def without_start(text):
    """A timeline but for the moment at which it was made."""
    first, _, rest = text.partition("\n")
    return {**json.loads(first), "started": None}, rest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The clips in two folders under the same names, an odd one, and one that is no audio."""
    root = tmp_path_factory.mktemp("recordings")
    for part in ("a", "b"):
        (root / part).mkdir()
        for clip in CLIPS:
            (root / part / f"{clip.stem}.FLAC").symlink_to(clip)
    soundfile.write(root / 'silence, "none".wav', np.zeros(16_000, np.float32), 16_000)
    (root / "noise.mp3").write_bytes(b"no audio" * 100)
    return root


@pytest.fixture(scope="module")
def scored(folder, tmp_path_factory):
    """Results and timelines of one worker."""
    out = tmp_path_factory.mktemp("scored")
    result = score(
        folder, "--workers=1", "--output", out / "r.csv", "--timeline", out / "timelines"
    )
    assert result.returncode == 2, result.stderr
    assert "10 recordings" in complaint(result)
    assert "1 with an error" in complaint(result)
    assert result.stdout == b""
    return out


def in_any_order(table):
    """The lines of a table: rows come as their recordings are finished."""
    return sorted(table.splitlines())


def test_results_do_not_depend_on_the_number_of_workers(folder, scored):
    result = score(folder, "--workers=3")
    assert result.returncode == 2
    assert in_any_order(result.stdout) == in_any_order((scored / "r.csv").read_bytes())


def test_a_row_says_what_replay_says(folder, scored):
    clip = folder / "a" / f"{CLIPS[0].stem}.FLAC"
    said = replay(clip).stdout.decode()
    (timeline,) = scored.glob(f"timelines/**/a/{CLIPS[0].stem}.FLAC.jsonl")
    assert without_start(timeline.read_text()) == without_start(said)
    end = json.loads(said.splitlines()[-1])
    (row,) = [row for row in rows_of(scored / "r.csv") if row["file"] == str(clip)]
    assert float(row["duration_s"]) == end["duration"]
    assert row["overall"] == end["overall"]
    assert {name: float(row[f"p_{name}"]) for name in EMOTIONS} == end["probabilities"]
    assert {name: float(row[f"share_{name}"]) for name in end["summary"]} == end["summary"]
    speech = [json.loads(line)["speech"] for line in said.splitlines()[1:-1]]
    assert float(row["speech_s"]) == pytest.approx(0.04 * sum(one >= 0.5 for one in speech))


def test_a_row_says_what_replay_says_under_the_everyday_prior():
    end = json.loads(replay(CLIPS[0], "--prior", "everyday").stdout.splitlines()[-1])
    (row,) = csv.DictReader(score(CLIPS[0], "--prior", "everyday").stdout.decode().splitlines())
    assert row["prior"] == "everyday"
    assert row["overall"] == end["overall"]
    assert {name: float(row[f"p_{name}"]) for name in EMOTIONS} == end["probabilities"]


def test_equal_names_in_two_folders_have_their_own_timelines(scored):
    timelines = list((scored / "timelines").rglob("*"))
    assert sum(one.suffix == ".jsonl" for one in timelines) == 9  # one is no audio
    assert not [one for one in timelines if one.suffix == ".partial"]


def by_file(path):
    return sorted(rows_of(path), key=lambda row: row["file"])


def test_a_finished_run_tries_what_failed_again_and_other_paths_add_rows(folder, scored, tmp_path):
    output = tmp_path / "r.csv"
    output.write_bytes((scored / "r.csv").read_bytes())
    again = score(folder, "--output", output)
    assert again.returncode == 2  # the error is still there
    assert "1 recording, " in complaint(again)
    assert f"{output} keeps 9 earlier rows; 1 with an error" in complaint(again)
    assert by_file(output) == by_file(scored / "r.csv")
    heard = folder / "a"
    nothing = score(heard, "--output", output).stderr.decode()
    assert "1 row has an error and is of no recording of this run" in nothing
    assert "r.csv keeps 4 earlier rows" in nothing
    more = score(heard, CLIPS[0], "--output", output)
    assert more.returncode == 0
    assert "1 recording," in more.stderr.decode()
    assert [row["file"] for row in rows_of(output)][10:] == [str(CLIPS[0])]


def test_a_timeline_that_is_missing_is_made_again_without_a_second_row(folder, scored):
    (timeline,) = scored.glob(f"timelines/**/b/{CLIPS[1].stem}.FLAC.jsonl")
    before = timeline.read_text(), (scored / "r.csv").read_bytes()
    timeline.unlink()
    score(folder / "b", "--output", scored / "r.csv", "--timeline", scored / "timelines")
    assert without_start(timeline.read_text()) == without_start(before[0])
    assert (scored / "r.csv").read_bytes() == before[1]


def test_a_bad_recording_is_a_row_with_its_error(tmp_path, wav):
    data = wav.read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "nan.wav", np.full(16_000, np.nan, np.float32), 16_000, "FLOAT")
    soundfile.write(tmp_path / "short.wav", np.zeros(639, np.float32), 16_000)
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "gone.wav").symlink_to("nothing")
    result = score(tmp_path, wav, tmp_path / "missing", "--output", tmp_path / "r.jsonl")
    assert result.returncode == 2
    assert "7 with an error, which the column error tells: first " in complaint(result)
    found = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    by_name = {Path(row["file"]).name: row for row in found}
    assert by_name.pop("speech.wav")["error"] is None
    cut = by_name.pop("cut.wav")
    assert "truncated" in cut["error"]
    assert cut["overall"] in EMOTIONS
    assert cut["duration_s"] > 4
    said = {
        "empty.wav": "the file is empty",
        "nan.wav": "a sample at 0.000 s is NaN, infinite or beyond all scale; nothing after it was "
        "heard",
        "short.wav": "too short: a timestep is 40 ms",
        "pipe.wav": "no regular file; pipe raw PCM into: ser-live replay -",
        "gone.wav": "No such file or directory",
        "missing": "No such file or directory",
    }
    assert {name: row["error"] for name, row in by_name.items()} == said
    assert all(row["overall"] is None for row in by_name.values())


def test_labels_show_how_often_the_verdicts_agree(folder, tmp_path):
    emotions = {"ANG": "angry", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
    lines = [f"a/{clip.stem}.FLAC,{emotions[clip.stem.split('_')[2]]}" for clip in CLIPS]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file,label", *(f"{folder}/{line}" for line in lines), "x,sad"]))
    result = score(folder / "a", "--labels", table, "--output", tmp_path / "r.csv")
    assert result.returncode == 0, result.stderr
    assert "4 recordings; errors as they have no speech: 0" in result.stdout.decode()
    assert "UAR 100.0 %" in result.stdout.decode()
    assert "1 file is in" in result.stderr.decode()


@pytest.fixture(scope="module")
def many(tmp_path_factory, speech):
    """Enough to be stopped in the middle: 12 recordings of 9 s."""
    root = tmp_path_factory.mktemp("many")
    soundfile.write(root / "00.wav", speech, 16_000)
    for number in range(1, 12):
        (root / f"{number:02}.wav").symlink_to("00.wav")
    return root


@pytest.fixture(scope="module")
def unstopped(many, tmp_path_factory):
    output = tmp_path_factory.mktemp("unstopped") / "r.csv"
    assert score(many, "--output", output, "--workers=2").returncode == 0
    return output.read_bytes()


def descendants(pid):
    """Ids of the processes that a process has started, as far as they are there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(path.parent.name))
    return found + [one for child in found for one in descendants(child)]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("number", "code", "force", "how"),
    [
        (signal.SIGINT, 130, [], b"the same command goes on"),
        (signal.SIGTERM, 143, ["--force"], b"the same command without --force goes on"),
        (signal.SIGKILL, -9, [], b""),
    ],
)
def test_a_run_that_was_stopped_goes_on_to_the_same_results(
    many, unstopped, tmp_path, number, code, force, how
):
    output = tmp_path / "r.csv"
    arguments = [many, "--output", output, "--workers=2", "--timeline", tmp_path / "timelines"]
    process = subprocess.Popen(
        [*COMMAND, "score", *arguments, *force],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not (output.exists() and output.read_bytes().count(b"\n") > 3):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers = descendants(process.pid)
    assert workers  # on a busy machine the second may be about to start
    if number == signal.SIGINT:  # as Ctrl-C does, to all of them
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert b"Traceback" not in stderr
    assert (b"of 12 recordings; " in stderr) == (code > 0)
    assert how in stderr
    while any(Path(f"/proc/{one}").exists() for one in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    written = output.read_bytes()
    assert written.endswith(b"\n")
    assert set(written.splitlines()) < set(unstopped.splitlines())
    output.write_bytes(written[:-9])  # a row cut in the middle
    assert score(*arguments).returncode == 0
    assert in_any_order(output.read_bytes()) == in_any_order(unstopped)
    timelines = list((tmp_path / "timelines").rglob("*.*"))
    assert [one.suffix for one in timelines if one.is_file()] == [".jsonl"] * 12


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_no_worker_goes_on_for_nobody(tmp_path):
    """A worker far from the end of its recording notices that it was left alone."""
    soundfile.write(tmp_path / "long.flac", np.zeros(2000 * 16_000, np.int16), 16_000)
    process = subprocess.Popen(
        [*COMMAND, "score", tmp_path, "--workers=1", "--timeline", tmp_path / "T"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("T/**/long.flac.jsonl.partial")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers = descendants(process.pid)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 5  # the recording takes longer
    while any(Path(f"/proc/{one}").exists() for one in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_bar_is_shown_on_a_terminal_and_leaves_nothing(many, tmp_path, terminal):
    shown = terminal(
        "score", many, "--output", tmp_path / "r.csv", "--workers=1", shows_errors=True
    )
    shown.wait_for("/12", "times real time")
    code, _ = shown.finish()
    assert code == 0
    assert "12 recordings, 1.8 min of audio" in shown.text
    assert "/12" not in shown.text
