"""Results as a dataset: what readers find, what a kill costs, and what a retry replaces."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

import pyarrow
from pyarrow.dataset import dataset
from pyarrow.parquet import ParquetFile, write_table

from streamer.commands.score.plan import ScorePlan
from streamer.commands.score.results import dataset as writing
from streamer.commands.score.results import parts
from streamer.commands.score.results.lines import Keeping
from streamer.commands.score.results.opening import open_results
from streamer.commands.score.results.rows import Keys
from streamer.errors import RunFailure, SerLiveError
from streamer.session.interrupts import Interrupted
from tests.helpers.command import complaint, ser_live
from tests.helpers.places import CLIPS
from tests.score.rows import COLUMNS, NOTHING_AGAIN, row_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for parts of three rows, to which rows move two by two."""
    monkeypatch.setattr(parts, "FULL_ROWS", 3)
    monkeypatch.setattr(writing, "_ROWS_AT_ONCE", 2)
    return tmp_path / "results"


def rows_of(names, **values):
    return [row_of(name, **values) for name in names]


def open_dataset(folder, stack, keeping=NOTHING_AGAIN, *, force=False):
    return open_results(folder, COLUMNS, force, [], keeping, stack, is_dataset=True)


def record(folder, rows, *, finishes=True, force=False, again=()):
    """Write rows; return the names that stayed from before."""
    kept = []
    keeping = Keeping(lambda _: Keys((name, "mix") for name in again), kept.append)
    with ExitStack() as stack:
        results = open_dataset(folder, stack, keeping, force=force)
        for row in rows:
            results.add(row)
        if finishes:
            results.finish()
    return "".join(sorted(row["file"] for row in kept))


def read(folder):
    """The errors by name, each of which readers find once."""
    rows = dataset(folder).to_table().to_pylist()
    assert set(Counter(row["file"] for row in rows).values()) <= {1}
    return {row["file"]: row["error"] for row in rows}


def test_readers_take_the_folder_as_one_table(folder):
    rows = rows_of("abcdefg")
    rows[4] |= {"error": "gone", "overall": None, "duration_s": None}
    record(folder, rows)
    found = dataset(folder).to_table()
    assert sorted(found.to_pylist(), key=lambda row: row["file"]) == rows
    files = sorted(folder.iterdir())
    assert [path.name[:10] for path in files] == ["part-00000", "part-00001"]
    assert {str(ParquetFile(path).schema_arrow) for path in files} == {str(found.schema)}


def test_runs_fill_the_last_part_before_they_begin_another(folder):
    for name in "abcde":
        record(folder, rows_of(name))
    assert sorted(ParquetFile(path).metadata.num_rows for path in folder.iterdir()) == [2, 3]
    assert record(folder, []) == "abcde"


def test_a_retried_recording_stands_in_place_of_its_error(folder):
    record(folder, [*rows_of("abc"), *rows_of("dx", error="gone"), *rows_of("fg")])
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert record(folder, [], again="d", finishes=False) == "abcfgx"
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    record(folder, rows_of("d"), again="d")
    assert read(folder) == dict.fromkeys("abcdfg") | {"x": "gone"}
    assert sum(path.read_bytes() != data for path, data in before.items()) == 1
    record(folder, rows_of("x", error="still gone"), again="x")
    assert read(folder) == dict.fromkeys("abcdfg") | {"x": "still gone"}


def test_a_kill_at_any_step_loses_no_row_and_doubles_none(folder, tmp_path, monkeypatch):
    """The folder is copied before every step on the disk: that is what a kill would leave."""
    record(folder, [*rows_of("ab"), *rows_of("cd", error="gone")])
    copies = []

    def copied(step):
        def do(*arguments, **options):
            copies.append((tmp_path / f"copy-{len(copies)}", "".join(added)))
            shutil.copytree(folder, copies[-1][0])
            return step(*arguments, **options)

        return do

    added = []
    with monkeypatch.context() as steps, ExitStack() as stack:
        keeping = Keeping(lambda _: Keys((name, "mix") for name in "cd"), lambda _: None)
        results = open_dataset(folder, stack, keeping)
        for name in ("replace", "unlink", "open"):
            steps.setattr(Path, name, copied(getattr(Path, name)))
        for name in "ecfdgh":
            results.add(row_of(name))
            added.append(name)
        results.finish()
    assert len(copies) > 10
    for copy, so_far in copies:
        read(copy)  # none is there twice
        with_error = dict.fromkeys(set("cd") - set(so_far), "gone")
        record(copy, [])
        found = read(copy)
        expected = dict.fromkeys("ab" + so_far) | with_error
        # The row that is being added may be there as well.
        assert expected.items() <= (found | with_error).items()
        assert len(found) <= len(expected) + 1
        assert not [path for path in copy.iterdir() if path.name.startswith((".", "_"))]
    assert read(folder) == dict.fromkeys("abcdefgh")


def test_rows_with_an_error_that_a_kill_left_are_tried_again(folder):
    journal = folder / "_rows.jsonl"
    with ExitStack() as stack:
        results = open_dataset(folder, stack)
        results.add(row_of("a", error="gone"))
        left = journal.read_bytes()
    for path in folder.iterdir():
        path.unlink()
    journal.write_bytes(left)
    record(folder, rows_of("bcda"), again="a")
    assert read(folder) == dict.fromkeys("abcd")


def test_a_run_that_is_stopped_leaves_parts_only(folder):
    with pytest.raises(Interrupted), ExitStack() as stack:
        results = open_dataset(folder, stack)
        results.add(row_of("a"))
        assert [path.name for path in folder.iterdir()] == ["_rows.jsonl"]
        raise Interrupted(15)
    assert read(folder) == {"a": None}
    assert [path.suffix for path in folder.iterdir()] == [".parquet"]


def test_rows_move_after_some_minutes(folder, monkeypatch):
    monkeypatch.setattr(writing, "_EVERY_S", 0.0)
    with ExitStack() as stack:
        open_dataset(folder, stack).add(row_of("a"))
        assert read(folder) == {"a": None}


def test_a_part_that_cannot_be_written_is_a_line_and_costs_nothing(folder, monkeypatch):
    record(folder, rows_of("a"))

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("os.fsync", full)
        with pytest.raises(RunFailure, match=r"cannot write .*part-00000.*: No space left"):
            record(folder, rows_of("bc"))
    assert read(folder) == {"a": None}
    assert record(folder, []) == "abc"
    assert read(folder) == dict.fromkeys("abc")


def test_force_empties_nothing_before_there_is_a_row(folder):
    record(folder, rows_of("abcde"))
    assert record(folder, [], force=True, finishes=False) == ""
    assert read(folder) == dict.fromkeys("abcde")
    record(folder, rows_of("b"), force=True, finishes=False)
    assert read(folder) == {"b": None}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "part-1.parquet", "x/part.parquet"])
def test_a_folder_with_other_things_is_left_alone(folder, name, force):
    (folder / name).parent.mkdir(parents=True)
    (folder / name).touch()
    with pytest.raises(SerLiveError, match="holds other things than results") as said:
        record(folder, rows_of("a"), force=force)
    assert name.split("/")[0] in str(said.value)
    assert (folder / name).exists()


def test_what_readers_pass_over_may_lie_in_the_folder(folder):
    folder.mkdir()
    (folder / ".DS_Store").write_text("x")
    (folder / "_SUCCESS").touch()
    record(folder, rows_of("a"))
    assert record(folder, []) == "a"


@pytest.mark.parametrize("kind", ["bytes", "columns", "types"])
def test_parts_of_something_else_are_refused(folder, kind):
    folder.mkdir()
    path = folder / "part-00000-00000000.parquet"
    path.write_bytes(b"nonsense")
    if kind == "columns":
        write_table(pyarrow.table({"file": ["a"]}), path)
    elif kind == "types":
        write_table(pyarrow.table({name: ["1"] for name in COLUMNS}), path)
    before = path.read_bytes()
    with pytest.raises(SerLiveError, match="exists and is no"):
        record(folder, [])
    assert path.read_bytes() == before
    record(folder, rows_of("a"), force=True)
    assert read(folder) == {"a": None}


@pytest.mark.skipif(sys.platform == "win32", reason="needs fcntl")
@pytest.mark.parametrize("column", ["file", "channel"])
def test_a_part_whose_rows_name_no_recording_is_refused(folder, column):
    record(folder, rows_of("a"))
    (path,) = folder.iterdir()
    schema = ParquetFile(path).schema_arrow
    row = ParquetFile(path).read().to_pylist()[0] | {column: None}
    write_table(pyarrow.Table.from_pylist([row], schema), path)
    with pytest.raises(SerLiveError, match="another program has changed it"):
        record(folder, [])


def test_two_runs_do_not_write_to_one_folder(folder):
    record(folder, rows_of("a"))
    with ExitStack() as stack:
        open_dataset(folder, stack)
        with pytest.raises(SerLiveError, match="another run writes to"):
            record(folder, [])
    assert record(folder, []) == "a"


def test_no_timeline_lies_among_the_parts(tmp_path):
    folder = tmp_path / "r"
    with pytest.raises(SerLiveError, match="which is for results"):
        ScorePlan(("x.wav",), folder, is_dataset=True, timeline=folder / "timelines")


def test_a_folder_that_cannot_be_made_is_a_line(tmp_path):
    (tmp_path / "file").touch()
    for place, said in ((tmp_path / "file", "is no folder"), (tmp_path / "x/y", "cannot make")):
        with pytest.raises(SerLiveError, match=said), ExitStack() as stack:
            open_dataset(place, stack)


def test_the_command_writes_to_a_folder_and_goes_on(tmp_path):
    first = ser_live("score", *CLIPS[:2], "-o", f"{tmp_path}/r/")
    assert first.returncode == 0, first.stderr
    again = ser_live("score", *CLIPS, "-o", tmp_path / "r")  # it is there now
    assert again.returncode == 0, again.stderr
    assert "2 recordings" in complaint(again)
    assert read(tmp_path / "r") == dict.fromkeys(map(str, CLIPS))
    refused = ser_live("score", *CLIPS, "-o", tmp_path / "q")
    assert refused.returncode == 2
    assert "or a folder of Parquet files" in complaint(refused)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_of_two_runs_that_begin_a_folder_together_one_is_refused(folder):
    with ExitStack() as first, ExitStack() as second:
        one, other = open_dataset(folder, first), open_dataset(folder, second)
        one.add(row_of("x"))
        with pytest.raises(SerLiveError, match="another run writes to"):
            other.add(row_of("x"))
        one.finish()
    assert read(folder) == {"x": None}


def test_a_run_that_comes_after_another_began_the_folder_is_refused(folder):
    with ExitStack() as second:
        other = open_dataset(folder, second)
        record(folder, rows_of("ab"))
        with pytest.raises(SerLiveError, match="another run has begun to write to"):
            other.add(row_of("a"))
    assert read(folder) == dict.fromkeys("ab")


def test_a_file_system_that_cannot_sync_folders_doubles_no_row(folder, monkeypatch):
    sync = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    record(folder, rows_of("abcde"))
    assert read(folder) == dict.fromkeys("abcde")


def test_a_name_that_no_system_takes_is_refused_in_one_line(tmp_path):
    with ExitStack() as stack, pytest.raises(SerLiveError, match="File name too long"):
        open_dataset(tmp_path / ("x" * 300), stack)


def test_a_pattern_that_matches_nothing_empties_nothing(tmp_path):
    output = tmp_path / "r.csv"
    ser_live("score", CLIPS[0], "--output", output)
    before = output.read_bytes()
    result = ser_live("score", tmp_path / "nothing*.wav", "--output", output, "--force")
    assert result.returncode == 2
    assert output.read_bytes() == before
