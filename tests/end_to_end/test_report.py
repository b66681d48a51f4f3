"""``ser-live report`` as a command: what it writes and what it refuses."""

from __future__ import annotations

import pytest

from tests.end_to_end.command import ROOT, complaint, replay, ser_live


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    path = tmp_path_factory.mktemp("sessions") / "demo.jsonl"
    clips = sorted((ROOT / "tests" / "clips").glob("*.flac"))[:2]
    path.write_bytes(replay(*clips).stdout)
    return path


def test_the_recordings_of_a_file_stand_side_by_side(demo, tmp_path):
    output = tmp_path / "report.html"
    result = ser_live("report", demo, "-o", output)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert output.read_text(encoding="utf-8").count("Share of time") == 2


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
