"""Rows and results: written, read back, stopped anywhere and gone on with."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from streamer.commands.score.hearing.work import Tally, Task
from streamer.commands.score.results.opening import Piped, open_results
from streamer.commands.score.results.rows import CsvForm, JsonForm
from streamer.errors import RunFailure, SerLiveError
from streamer.recognition.estimate import Estimate
from streamer.session.events import Estimated, SessionEnded
from tests.score.rows import COLUMNS, LABELS, NOTHING_AGAIN, ROWS, record, row_of


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


@pytest.mark.parametrize("form", [CsvForm(COLUMNS), JsonForm(COLUMNS)])
def test_a_row_read_back_is_the_row_written(form):
    for row in ROWS:
        line = form.line(row)
        assert "\n" not in line
        read = form.row(line)
        assert {k: str(v) for k, v in read.items()} == {k: str(v) for k, v in row.items()}


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


@pytest.mark.parametrize(
    ("suffix", "ours", "theirs"),
    [
        (".jsonl", '"channel":"1"', '"channel":1'),
        (".jsonl", '"file":"a.wav"', '"file":null'),
        (".jsonl", '"duration_s":1.5', '"duration_s":"long"'),
        (".csv", "a.wav,1,", ",,"),
        (".csv", "a.wav,1,1.5,", "a.wav,1,long,"),
    ],
)
def test_results_whose_values_another_program_has_changed_are_refused(
    tmp_path, suffix, ours, theirs
):
    path = tmp_path / f"r{suffix}"
    record(path, [row_of("a.wav", channel="1")])
    path.write_text(path.read_text().replace(ours, theirs))
    with pytest.raises(SerLiveError, match="another program has changed it"):
        record(path, [])


@pytest.mark.parametrize("values", [{"channel": [1]}, {"duration_s": ["long"]}])
def test_a_table_whose_values_another_program_has_changed_is_refused(tmp_path, values):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "r.parquet"
    record(path, [row_of("a.wav")])
    columns = parquet.read_table(path).to_pydict() | values
    parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(SerLiveError, match="another program has changed it"):
        record(path, [])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_results_that_are_deleted_before_the_first_row_end_the_run_in_a_line(tmp_path, suffix):
    path = tmp_path / f"r{suffix}"
    record(path, ROWS[:1])
    with ExitStack() as stack:
        results = open_results(path, COLUMNS, False, [], NOTHING_AGAIN, stack)
        path.unlink()
        with pytest.raises(RunFailure, match=r"cannot go on with .*: No such file"):
            results.add(ROWS[1])
    assert not path.exists()


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
