"""A run of `ser-live score` in this process: what it goes on with, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.commands.score.plan import ScorePlan
from streamer.commands.score.run import score
from streamer.errors import RunFailure, SerLiveError
from streamer.recognition.profile import Adaptation
from streamer.session.interrupts import Interrupts
from streamer.sound.channels import Channels
from streamer.version import version
from tests.helpers.places import CLIPS
from tests.helpers.trees import make_tree
from tests.score.rows import ROWS, record, row_of


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
    assert capsys.readouterr() == ("", f"ser-live: nothing to do; {output} keeps 1 earlier row\n")
    record(output, [row | {"file": "b", "error": "bad"}])
    assert score(plan_of(CLIPS[0], output=output), Interrupts()) == 0


def test_with_split_channels_the_lines_count_channels(model_file, tmp_path, capsys):
    stereo = tmp_path / "x.wav"
    soundfile.write(stereo, np.random.default_rng(0).normal(0, 0.1, (16_000, 2)), 16_000)
    plan = plan_of(stereo, output=tmp_path / "r.csv", wanted=Channels.parse("split"), workers=1)
    assert score(replace(plan, model=model_file), Interrupts()) == 0
    assert "ser-live: 2 channels, " in capsys.readouterr().err


@pytest.mark.parametrize("goes_on", [False, True])
def test_the_first_is_heard_while_others_are_listed(
    shipped, model_file, tmp_path, monkeypatch, goes_on
):
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
    if goes_on:
        record(output, [row_of("other.wav", **identity_of(shipped, model_file))])
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
