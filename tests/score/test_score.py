"""Scoring without processes of its own: what is found, recorded, compared, and survives."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.commands.score.finding.listing import Listing
from streamer.commands.score.hearing.jobs import timeline_path
from streamer.commands.score.hearing.signs import Clock, now_and_then
from streamer.commands.score.hearing.work import Tally, Task, empty_row, hear
from streamer.commands.score.hearing.workers import Workers
from streamer.commands.score.plan import ScorePlan
from streamer.commands.score.results.lines import Keeping
from streamer.commands.score.results.opening import Piped, open_results
from streamer.commands.score.results.rows import CsvForm, JsonForm, Keys, columns_of, key_of
from streamer.commands.score.results.truth import agreement, read_truth
from streamer.commands.score.run import score
from streamer.errors import RunFailure, SerLiveError
from streamer.outputs import show
from streamer.recognition.estimate import Estimate
from streamer.recognition.profile import Adaptation
from streamer.session.events import Estimated, SessionEnded
from streamer.session.interrupts import Interrupts
from streamer.sound.channels import Channels
from streamer.version import version
from tests.helpers.places import CLIPS
from tests.helpers.trees import make_tree

LABELS = ("angry", "happy", "neutral", "sad")
COLUMNS = columns_of(LABELS)
NOTHING_AGAIN = Keeping(lambda _: Keys(), lambda _: None)


def find(*places):
    """What is listed, to the end."""
    with Listing([*map(str, places)]) as listing:
        listing.check()
        listing.wait()
        return listing


def names(listing):
    return [str(item.place) for item in listing]


def test_folders_are_searched_in_order_and_hidden_files_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path, ["b/x.WAV", "b/.x.wav", "b/.git/x.wav", "b/x.txt", "b/a/x.opus", "a.mp3"])
    assert names(find("b", ".", "b/x.txt")) == [
        "b/x.WAV",
        "b/a/x.opus",
        "a.mp3",
        "b/x.txt",
    ]


def test_links_that_lead_in_a_circle_end(tmp_path):
    make_tree(tmp_path, ["one/x.wav", "two/y.wav"])
    (tmp_path / "one" / "again").symlink_to(tmp_path)
    (tmp_path / "two" / "one").symlink_to(tmp_path / "one")
    found = names(find(tmp_path))
    assert sorted(Path(one).name for one in found) == ["x.wav", "y.wav"]


def test_what_is_named_is_tried_whatever_it_is():
    assert names(find("missing", "missing")) == ["missing"]


def test_nothing_to_score_is_said(tmp_path):
    with pytest.raises(SerLiveError, match="no recordings in"):
        find(tmp_path)


def test_a_folder_that_cannot_be_looked_into_is_told(tmp_path, monkeypatch):
    make_tree(tmp_path, ["x.wav", "locked/y.wav"])
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find(tmp_path)
    assert names(found) == [str(tmp_path / "x.wav")]
    assert found.complaints == [f"cannot look into {tmp_path / 'locked'}: Permission denied"]


def test_a_name_stands_in_one_line_of_text(tmp_path):
    for name in (b"a\nb.wav", b"a\xff.wav", "a\u202fb.wav".encode()):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    found = [Path(item.name).name for item in find(tmp_path)]
    assert found == ["a\\nb.wav", "a\u202fb.wav", "a\\udcff.wav"]


@pytest.mark.skipif(os.sep == "\\", reason="no name holds a backslash there")
def test_no_two_recordings_have_one_name(tmp_path):
    make_tree(tmp_path, ["a\nb.wav", "a\\nb.wav", "a\\\nb.wav", "a\\\\nb.wav"])
    assert len({item.name for item in find(tmp_path)}) == 4


def test_no_two_recordings_share_a_timeline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path, ["here/a/x.wav", "here/b/x.wav", "here/b/x.flac", "there/x.wav"])
    monkeypatch.chdir(tmp_path / "here")
    found = find("a", "b", "../there/x.wav")
    paths = [timeline_path(Path("T"), item) for item in found]
    assert len(set(paths)) == 4
    assert Path("T/a/x.wav.jsonl") in paths
    assert all(".." not in path.parts for path in paths)


def estimates(labels, speech):
    for index, (label, one) in enumerate(zip(labels, speech, strict=True)):
        values = np.full(4, 0.25, np.float32)
        estimate = Estimate(0.04 * (index + 1), label, values, one, np.zeros(1, np.float32))
        yield Estimated(estimate, None)


def test_a_row_sums_a_session_up(shipped):
    tally = Tally(shipped)
    shown = ["silence", "warming up", "sad", "silence", "sad", "uncertain", "angry", "angry"]
    speech = [0.0, 0.9, 0.9, 0.1, 0.5, 0.9, 0.9, 0.49]
    for event in estimates(shown, speech):
        tally.take(event)
    shares = {name: shown.count(name) / 8 for name in (*LABELS, "silence", "uncertain")}
    shares["warming up"] = 1 / 8
    tally.take(SessionEnded(0.33, 8, shares, "sad", dict.fromkeys(LABELS, 0.25)))
    row = tally.row(Task(Path("x.wav"), "x.wav", None), None)
    assert tuple(row) == COLUMNS
    assert row["speech_s"] == pytest.approx(5 * 0.04)
    assert (row["duration_s"], row["overall"], row["p_sad"], row["error"]) == (
        0.33,
        "sad",
        0.25,
        None,
    )
    assert (row["share_sad"], row["share_warming up"]) == (2 / 8, 1 / 8)
    # To uncertain, and to angry; the silence in between changes nothing.
    assert row["changes_a_minute"] == pytest.approx(2 / (8 * 0.04 / 60))


def row_of(name, **values):
    own = {"file": name, "channel": "mix", "model": "m", "prior": "balanced", "version": "1"}
    return dict.fromkeys(COLUMNS) | own | {"duration_s": 1.5, "overall": "sad"} | values


ROWS = [
    row_of("a.wav"),
    row_of('b, "c".wav', error="no, it isn't"),
    row_of("ü.wav", p_angry=0.1, overall="silence"),
]


@pytest.mark.parametrize("form", [CsvForm(COLUMNS), JsonForm(COLUMNS)])
def test_a_row_read_back_is_the_row_written(form):
    for row in ROWS:
        line = form.line(row)
        assert "\n" not in line
        read = form.row(line)
        assert {k: str(v) for k, v in read.items()} == {k: str(v) for k, v in row.items()}


def record(path, rows, *, finishes=True, force=False, again=()):
    """Write rows to results, stopped or not; what is recorded then."""
    with ExitStack() as stack:
        kept = []
        keeping = Keeping(lambda _: Keys((name, "mix") for name in again), kept.append)
        results = open_results(path, COLUMNS, force, [], keeping, stack)
        assert all(key_of(row) in results.recorded for row in kept)
        for row in rows:
            results.add(row)
        if finishes:
            results.finish()
        return sorted(row["file"] for row in [*kept, *rows])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_results_that_were_stopped_anywhere_go_on(tmp_path, suffix):
    """Cut after every byte, and gone on with: the same file as without the cut."""
    whole = tmp_path / f"whole{suffix}"
    record(whole, ROWS)
    stopped = tmp_path / f"stopped{suffix}"
    record(stopped, ROWS, finishes=False)
    side = stopped if suffix != ".parquet" else tmp_path / "stopped.parquet.partial.jsonl"
    data = side.read_bytes()
    for length in range(0, len(data), 7):
        side.write_bytes(data[:length])
        recorded = record(stopped, [], finishes=False)
        assert recorded == [row["file"] for row in ROWS[: len(recorded)]]
        record(stopped, ROWS[len(recorded) :], finishes=suffix != ".parquet")
        assert side.read_bytes() == data
    record(stopped, [])
    assert stopped.read_bytes() == whole.read_bytes()
    assert side == stopped or not side.exists()


def test_a_finished_table_takes_more_rows(tmp_path):
    path = tmp_path / "r.parquet"
    record(path, ROWS[:2])
    assert record(path, ROWS[2:]) == [row["file"] for row in ROWS]
    assert record(path, [], finishes=False) == [row["file"] for row in ROWS]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "content", [b"my notes\n", b"file,label\na,b\n", b'{"file":1}\n', b"\xff\n"]
)
def test_what_is_no_results_of_ours_is_left_alone(tmp_path, suffix, content):
    path = tmp_path / f"r{suffix}"
    path.write_bytes(content)
    with pytest.raises(SerLiveError, match="exists and is no"):
        record(path, [])
    assert path.read_bytes() == content
    assert record(path, ROWS[:1], force=True) == ["a.wav"]
    assert record(path, []) == ["a.wav"]


def test_results_never_replace_an_input(tmp_path):
    path = tmp_path / "r.csv"
    path.touch()
    with pytest.raises(SerLiveError, match="is to be read"), ExitStack() as stack:
        open_results(path, COLUMNS, True, [path], NOTHING_AGAIN, stack)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_row_with_an_error_gives_way_to_a_new_one(tmp_path, suffix):
    """Those of other recordings stay, and so does every row until the first new one is there."""
    path, expected = tmp_path / f"r{suffix}", tmp_path / f"expected{suffix}"
    other, good = row_of("other.wav", error="gone"), row_of("a.wav")
    record(path, [row_of("b.wav", error="gone"), other, good])
    before = path.read_bytes()
    assert record(path, [], finishes=False, again=["a.wav", "b.wav"]) == ["a.wav", "other.wav"]
    assert path.read_bytes() == before
    record(path, [row_of("b.wav")], again=["a.wav", "b.wav"])
    record(expected, [other, good, row_of("b.wav")])
    assert path.read_bytes() == expected.read_bytes()
    assert sorted(tmp_path.iterdir()) == [expected, path]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_force_empties_nothing_before_there_is_a_row(tmp_path, suffix):
    path = tmp_path / f"r{suffix}"
    record(path, ROWS)
    before = path.read_bytes()
    assert record(path, [], finishes=False, force=True) == []
    assert path.read_bytes() == before
    record(path, [ROWS[1]], finishes=False, force=True)
    assert record(path, []) == [ROWS[1]["file"]]


def test_a_run_without_rows_leaves_a_header(tmp_path):
    header = CsvForm(COLUMNS).header + "\n"
    record(tmp_path / "r.csv", [])
    assert (tmp_path / "r.csv").read_text() == header
    out = io.StringIO()
    piped = Piped(out, COLUMNS)
    assert out.getvalue() == ""
    piped.finish()
    assert out.getvalue() == header


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_results_that_a_spreadsheet_has_saved_go_on(tmp_path, suffix):
    path, expected = tmp_path / f"r{suffix}", tmp_path / f"expected{suffix}"
    record(expected, ROWS)
    record(path, ROWS[:2])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert record(path, ROWS[2:]) == [row["file"] for row in ROWS]
    assert path.read_bytes() == expected.read_bytes()


def test_results_behind_a_link_stay_there(tmp_path):
    link, path = tmp_path / "link.csv", tmp_path / "r.csv"
    link.symlink_to(path)
    record(path, [row_of("a.wav", error="gone")])
    path.chmod(0o640)
    record(link, [row_of("a.wav")], again=["a.wav"])
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert record(path, []) == ["a.wav"]


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path, ["a/x.wav", "b/x.wav", "b/y.wav", "b/z.wav"])
    return find("a", "b")


def truth_of(items, text, path="t.csv"):
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text("label,file\n" + text)
    return read_truth(Path(path), items, LABELS)


def test_labels_are_found_by_path_and_by_a_name_that_is_unique(recordings, tmp_path):
    seen_from_here = truth_of(recordings, f"sad,a/x.wav\nhappy,{tmp_path}/b/y.wav\n", "c/t.csv")
    assert seen_from_here.labels == {"a/x.wav": "sad", "b/y.wav": "happy"}
    seen_from_table = truth_of(recordings, "sad,x.wav\n", "b/t.csv")
    assert seen_from_table.labels == {"b/x.wav": "sad"}
    by_name = truth_of(recordings, "sad,elsewhere/y.wav\nangry,elsewhere/x.wav\n")
    assert by_name.labels == {"b/y.wav": "sad"}
    assert by_name.complaints == (
        "1 file is in t.csv, but not among the recordings (elsewhere/x.wav)",
        "3 recordings are not in t.csv (a/x.wav, b/x.wav, b/z.wav)",
    )


def test_a_table_of_more_than_was_scored_does_not_lend_its_labels(recordings):
    """a/y.wav was not scored, and is not b/y.wav."""
    truth = truth_of(recordings, "sad,a/y.wav\nangry,b/y.wav\n")
    assert truth.labels == {"b/y.wav": "angry"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sad,a/x.wav\nsad,./a/x.wav\n", r"line 3: \./a/x.wav is in line 2 already"),
        ("sad,nothing.wav\n", "names none of the recordings"),
        (
            "SAD,a/x.wav\nANG,b/y.wav\n",
            "its labels are SAD, ANG, the model's are angry, happy, neutral, sad",
        ),
    ],
)
def test_labels_that_cannot_be_used_are_refused(recordings, text, said):
    with pytest.raises(SerLiveError, match=said):
        truth_of(recordings, text)


def test_labels_of_which_the_model_knows_some_are_told(recordings):
    truth = truth_of(recordings, "sad,a/x.wav\nbored,b/x.wav\nbored,b/y.wav\nsad,b/z.wav\n")
    assert truth.complaints == (
        "2 recordings are left out of the comparison: t.csv gives labels that the model does not "
        "know (2 bored); it knows angry, happy, neutral, sad",
    )


def test_rows_with_an_error_that_this_run_does_not_try_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/good.wav").symlink_to(CLIPS[0])
    (tmp_path / "a/bad.wav").write_text("no sound")
    plan = plan_of("a", output=Path("r.csv"), workers=1)
    assert score(plan, Interrupts()) == 2
    (tmp_path / "a/bad.wav").unlink()
    before = Path("r.csv").read_bytes()
    capsys.readouterr()
    assert score(plan, Interrupts()) == 0
    assert "r.csv: 1 row has an error and is of no recording of this run (first a/bad.wav)" in (
        capsys.readouterr().err
    )
    assert Path("r.csv").read_bytes() == before


def test_agreement_counts_silence_as_an_error_and_leaves_out_what_cannot_be_right():
    truth = {"a": "sad", "b": "sad", "c": "angry", "d": "disgust", "e": "sad"}
    overall = {"a": "sad", "b": "silence", "c": "angry", "d": "sad", "e": None}
    out = io.StringIO()
    show(agreement(truth, overall, LABELS), out)
    text = out.getvalue()
    assert "disgust" not in text  # it was told before anything was heard
    assert "left out: 1 that could not be heard" in text
    assert "3 recordings; errors as they have no speech: 1" in text
    # Recalls: sad 1 of 2, angry 1 of 1.
    assert "UAR 75.0 %, WA 66.7 %, macro F1 83.3 %" in text
    assert "│ sad     │     0 │     0 │       0 │   1 │          1 │     50.0 │" in text


def test_a_worker_that_dies_costs_the_recording_that_it_heard(tmp_path, model_file):
    long = tmp_path / "long.wav"
    soundfile.write(long, np.random.default_rng(0).normal(0, 0.1, 60 * 16_000), 16_000)
    cut = tmp_path / "cut.jsonl"
    tasks = [Task(path, path.name, None) for path in (CLIPS[0], long, CLIPS[1], CLIPS[2])]
    tasks[1] = Task(long, "long.wav", cut)
    with Workers(1, model_file, "balanced", LABELS, Interrupts()) as workers:
        answers = workers.answers(tasks)
        rows = [next(answers)[1].row]
        (worker,) = multiprocessing.active_children()
        worker.kill()
        rows += [answer.row for _, answer in answers]
    assert [row["file"] for row in rows] == [task.name for task in tasks]
    died = "the process that heard it died (signal 9)"
    assert [row["error"] for row in rows] == [None, died, None, None]
    assert rows[1] == empty_row(LABELS, tasks[1], died)
    assert not cut.exists()
    assert not multiprocessing.active_children()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_a_worker_that_hangs_costs_the_recording_that_it_heard(tmp_path, model_file):
    long = tmp_path / "long.wav"
    soundfile.write(long, np.random.default_rng(0).normal(0, 0.1, 60 * 16_000), 16_000)
    tasks = [Task(path, path.name, None) for path in (CLIPS[0], long, CLIPS[1], CLIPS[2])]
    with Workers(1, model_file, "balanced", LABELS, Interrupts(), silent_s=2.0) as workers:
        answers = workers.answers(tasks)
        rows = [next(answers)[1].row]
        (worker,) = multiprocessing.active_children()
        os.kill(worker.pid, signal.SIGSTOP)
        rows += [answer.row for _, answer in answers]
    assert [row["file"] for row in rows] == [task.name for task in tasks]
    silent = "the process that heard it gave no sign of life for 2 s"
    assert [row["error"] for row in rows] == [None, silent, None, None]
    assert not multiprocessing.active_children()


def test_what_is_heard_gives_signs_of_life(shipped, tmp_path):
    """At each block of some seconds, however long the recording is."""
    noise = tmp_path / "noise.wav"
    soundfile.write(noise, np.random.default_rng(0).normal(0, 0.1, 20 * 16_000), 16_000)
    signs = []
    hear(Task(noise, "x", None), shipped, alive=lambda: signs.append(None))
    assert len(signs) > 20 / 3


def test_signs_of_life_are_few(monkeypatch):
    monkeypatch.setattr("time.monotonic", iter([0.0, *np.arange(0.0, 60.0, 0.5)]).__next__)
    signs = []
    alive = now_and_then(lambda: signs.append(None), 600.0)
    for _ in range(120):
        alive()
    assert len(signs) == 3


def test_no_worker_hangs_while_the_program_is_stopped(monkeypatch):
    monkeypatch.setattr("time.monotonic", iter([0.0, 1.0, 3601.0, 3602.0]).__next__)
    clock = Clock()
    assert [clock.look(), clock.look(), clock.look()] == [1.0, 11.0, 12.0]


def test_workers_that_cannot_start_end_the_run(tmp_path):
    workers = Workers(2, tmp_path / "gone.onnx", "balanced", LABELS, Interrupts())
    with pytest.raises(RunFailure, match="cannot start"), workers:
        next(workers.answers([Task(CLIPS[0], "x", None)]))
    assert not multiprocessing.active_children()


def plan_of(*paths, **options):
    return ScorePlan(tuple(map(Path, paths)), **options)


def identity_of(shipped, model_file):
    digest = hashlib.sha256(model_file.read_bytes()).hexdigest()[:12]
    return {
        "model": f"{shipped.metadata.name} {digest}",
        "prior": "balanced",
        "adaptation": Adaptation().told(shipped.metadata),
        "version": version(),
    }


def test_a_run_with_nothing_to_do_says_so(shipped, model_file, tmp_path, capsys):
    output = tmp_path / "r.csv"
    row = row_of(str(CLIPS[0]), **identity_of(shipped, model_file))
    record(output, [row])
    assert score(plan_of(CLIPS[0], output=output), Interrupts()) == 0
    assert capsys.readouterr() == ("", f"ser-live: nothing to do; 1 were in {output} before\n")
    record(output, [row | {"file": "b", "error": "bad"}])
    assert score(plan_of(CLIPS[0], output=output), Interrupts()) == 0


def test_with_split_channels_the_lines_count_channels(model_file, tmp_path, capsys):
    stereo = tmp_path / "x.wav"
    soundfile.write(stereo, np.random.default_rng(0).normal(0, 0.1, (16_000, 2)), 16_000)
    plan = plan_of(stereo, output=tmp_path / "r.csv", wanted=Channels.parse("split"), workers=1)
    assert score(replace(plan, model=model_file), Interrupts()) == 0
    assert "ser-live: 2 channels, " in capsys.readouterr().err


def test_the_first_is_heard_while_others_are_listed(model_file, tmp_path, monkeypatch):
    timelines, is_heard = tmp_path / "timelines", []

    def walk(*_, **__):
        yield str(CLIPS[0].parent), [], [CLIPS[0].name]
        for _ in range(600):
            if any(one.is_file() for one in timelines.rglob("*")):
                is_heard.append(True)
                break
            time.sleep(0.1)

    monkeypatch.setattr("os.walk", walk)
    monkeypatch.setattr("streamer.commands.score.run.check_timelines", lambda *_: None)
    output = tmp_path / "r.csv"
    plan = ScorePlan((tmp_path,), output, timelines, model=model_file, workers=1)
    assert score(plan, Interrupts()) == 0
    assert is_heard


def test_a_recording_with_an_error_is_tried_again(shipped, model_file, tmp_path):
    output = tmp_path / "r.csv"
    identity = identity_of(shipped, model_file)
    record(output, [row_of(str(CLIPS[0]), error="the disk was away", **identity)])
    assert score(plan_of(CLIPS[0], output=output, workers=1), Interrupts()) == 0
    _, row = output.read_text().splitlines()
    assert row.startswith(str(CLIPS[0]))
    assert "the disk" not in row


@pytest.mark.parametrize(
    "other",
    [
        {"model": "open-1 0"},
        {"prior": "everyday"},
        {"adaptation": "profile 0123456789ab"},
        {"version": "0.0.1"},
    ],
)
def test_rows_of_another_model_or_prior_are_not_mixed_in(shipped, model_file, tmp_path, other):
    output = tmp_path / "r.csv"
    record(output, [row_of("x.wav", **identity_of(shipped, model_file) | other)])
    before = output.read_bytes()
    with pytest.raises(SerLiveError, match=r"holds results of .* begin anew with --force"):
        score(plan_of(CLIPS[0], output=output), Interrupts())
    assert output.read_bytes() == before


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_run_under_another_prior_is_another_run(tmp_path, suffix, capsys):
    output = tmp_path / f"r{suffix}"
    everyday = plan_of(CLIPS[0], output=output, prior="everyday", workers=1)
    assert score(everyday, Interrupts()) == 0
    before = output.read_bytes()
    with pytest.raises(SerLiveError, match=r"\(everyday prior, .*\(balanced, .* with --force"):
        score(replace(everyday, prior="balanced"), Interrupts())
    assert output.read_bytes() == before
    capsys.readouterr()
    assert score(everyday, Interrupts()) == 0
    assert "nothing to do" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("goes_on", "changed"),
    [
        (True, {"model": "other"}),
        (True, {"prior": "everyday"}),
        (True, {"adaptation": "profile 0123456789ab"}),
        (False, {}),
    ],
    ids=["model", "prior", "adaptation", "anew"],
)
def test_a_timeline_of_something_else_is_not_overwritten(
    shipped, model_file, tmp_path, monkeypatch, goes_on, changed
):
    monkeypatch.chdir(tmp_path)
    output, timeline = Path("r.csv"), Path("T/x.wav.jsonl")
    timeline.parent.mkdir()
    first = {"source": "x.wav", "model": shipped.metadata.name, "prior": "balanced"}
    first |= {"adaptation": Adaptation().told(shipped.metadata)} | changed
    timeline.write_text(json.dumps(first) + "\n")
    if goes_on:
        record(output, [row_of("y.wav", **identity_of(shipped, model_file))])
    with pytest.raises(SerLiveError, match=r"T/x\.wav\.jsonl exists$"):
        score(plan_of("x.wav", output=output, timeline=Path("T")), Interrupts())


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize(
    ("recording", "output"),
    [
        ("x.flac", "T/x.flac.jsonl"),
        ("r.parquet.partial", "T/r.parquet"),
        ("x.flac", "link.jsonl"),
    ],
)
def test_a_timeline_never_takes_the_place_of_the_results(tmp_path, monkeypatch, recording, output):
    monkeypatch.chdir(tmp_path)
    Path("T").mkdir()
    Path("link.jsonl").symlink_to("T/x.flac.jsonl")
    plan = plan_of(recording, output=Path(output), timeline=Path("./T"), force=True)
    with pytest.raises(SerLiveError, match="are one file; name two"):
        score(plan, Interrupts())
    assert not list(Path("T").iterdir())


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("piped", [True, False])
def test_nothing_is_emptied_or_printed_before_usage_is_checked(
    tmp_path, monkeypatch, capsys, piped
):
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path, ["a/x.wav"])
    output = Path("r.csv")
    record(output, ROWS)
    before = output.read_bytes()
    monkeypatch.chdir(tmp_path / "a")
    shared = (Path("../x.wav"), Path(*tmp_path.parts[1:], "x.wav"))
    plan = plan_of(
        *shared, output=None if piped else tmp_path / output, timeline=Path("T"), force=True
    )
    with pytest.raises(SerLiveError, match="would have one timeline"):
        score(plan, Interrupts())
    assert capsys.readouterr().out == ""
    assert (tmp_path / output).read_bytes() == before


def test_results_and_timelines_need_two_places(tmp_path):
    place = tmp_path / "r.csv"
    with pytest.raises(SerLiveError, match="are one file; name two"):
        plan_of("x.wav", output=place, timeline=place)
    assert not place.exists()


@pytest.mark.parametrize("options", [{}, {"output": Path("r.csv"), "labels": Path("t.csv")}])
def test_a_closed_standard_output_is_told_before_anything_is_heard(monkeypatch, options):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SerLiveError, match="standard output is closed"):
        plan_of("x.wav", **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 0}, r"--workers must lie in 1\.\.256"),
        ({"output": Path("x.txt")}, r"\.csv, \.jsonl or \.parquet"),
        ({"output": Path("/nowhere/x.csv")}, "no such folder"),
        ({"timeline": Path(__file__)}, "cannot make .*: File exists"),
        ({"model": Path("x.onnx")}, r"model x\.onnx: no such file"),
        ({"labels": Path("/nowhere.csv")}, r"cannot read /nowhere\.csv"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_heard(options, said, capsys):
    with pytest.raises(SerLiveError, match=said):
        score(plan_of("x.wav", **options), Interrupts())
    assert capsys.readouterr() == ("", "")


def test_parquet_without_pyarrow_is_told_in_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RunFailure, match="pip install 'ser-live\\[parquet\\]'"):
        plan_of("x.wav", output=Path("x.parquet")).check_extras()
