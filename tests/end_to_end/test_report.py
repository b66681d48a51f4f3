"""``ser-live report`` as a command: what it writes and what it refuses."""

from __future__ import annotations

import pytest

from tests.helpers.command import complaint, replay, ser_live
from tests.helpers.places import ROOT


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    path = tmp_path_factory.mktemp("sessions") / "demo.jsonl"
    clips = sorted((ROOT / "tests" / "clips").glob("*.flac"))[:2]
    path.write_bytes(replay(*clips).stdout)
    return path


def test_the_recordings_of_a_file_stand_over_one_axis_with_one_table(demo, tmp_path):
    output = tmp_path / "report.html"
    result = ser_live("report", demo, "-o", output)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    page = output.read_text(encoding="utf-8")
    assert page.count("<section>") == 2
    assert page.count("<table>") == 1
    assert page.count('<th scope="row"') == 2
    assert page.count("time (s)") == 1
    assert "<audio" not in page


def test_the_sound_is_in_the_page_where_it_is_asked_for(demo, tmp_path):
    output = tmp_path / "report.html"
    result = ser_live("report", demo, "--sound", "-o", output)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert output.read_text(encoding="utf-8").count('src="data:audio/flac;base64,') == 2


def test_a_sound_that_cannot_be_read_leaves_no_report(demo, tmp_path):
    output, sound = tmp_path / "report.html", tmp_path / "gone.wav"
    result = ser_live("report", demo, "--sound", sound, "--sound", sound, "-o", output)
    assert result.returncode == 2
    assert "gone.wav" in complaint(result)
    assert not output.exists()


def test_a_sound_is_not_drawn_over(demo, tmp_path):
    sound = tmp_path / "sound.svg"
    sound.write_bytes((ROOT / "assets" / "demo.flac").read_bytes())
    options = ("--sound", sound, "--sound", sound, "--force")
    result = ser_live("report", demo, *options, "-o", sound)
    assert result.returncode == 2
    assert "is to be read" in complaint(result)
    assert sound.read_bytes()[:4] == b"fLaC"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("report.jpg", ".png, .pdf, .svg or .html"),
        ("there.html", "--force"),
        ("nowhere/report.html", "no such folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused(demo, tmp_path, name, word):
    (tmp_path / "there.html").write_text("mine")
    result = ser_live("report", demo, "-o", tmp_path / name)
    assert result.returncode == 2
    assert word in complaint(result)
    assert (tmp_path / "there.html").read_text() == "mine"


def test_a_session_is_not_drawn_over(tmp_path):
    session = tmp_path / "session.svg"
    session.write_text("{}\n")
    result = ser_live("report", session, "--output", session, "--force")
    assert result.returncode == 2
    assert "is to be read" in complaint(result)
    assert session.read_text() == "{}\n"


def test_what_is_no_session_is_said_with_its_line(tmp_path):
    (tmp_path / "notes.jsonl").write_text("dear diary\n")
    result = ser_live("report", tmp_path / "notes.jsonl", "-o", tmp_path / "report.svg")
    assert result.returncode == 2
    assert "line 1" in complaint(result)
    assert not (tmp_path / "report.svg").exists()


def test_a_sound_that_takes_the_session_is_told(demo, tmp_path):
    output = tmp_path / "x.html"
    result = ser_live("report", "--sound", demo, "-o", output)
    assert result.returncode == 2
    assert f"--sound took {demo} for a recording: name sessions before --sound" in (
        complaint(result)
    )
    nothing = ser_live("report", "-o", output)
    assert nothing.returncode == 2
    assert "name a SESSION.jsonl to draw" in complaint(nothing)
    assert not output.exists()
