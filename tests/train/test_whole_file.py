"""Files that are written completely or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from streamer.errors import RunFailure
from train.whole_file import whole_file


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    with whole_file(path) as file:
        file.write(b"first")
    assert path.read_bytes() == b"first"
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        file.write(b"second, half of i")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_there_before_it_is_whole(tmp_path):
    path = tmp_path / "weights"
    with whole_file(path) as file:
        file.write(b"some")
        assert not path.exists()
    assert [one.name for one in tmp_path.iterdir()] == ["weights"]


def _full():
    raise OSError(errno.ENOSPC, "No space left on device")


def _full_for_torch():
    try:
        _full()
    except OSError:
        raise RuntimeError("enforce fail at inline_container.cc") from None


@pytest.mark.parametrize("write", [_full, _full_for_torch])
def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path, write):
    path = tmp_path / "weights"
    with (
        pytest.raises(RunFailure, match=f"^cannot write {path}: No space left on device$"),
        whole_file(path),
    ):
        write()
    assert list(tmp_path.iterdir()) == []


def _bug():
    raise ValueError("x")


def _bug_after_a_missing_file():
    try:
        Path("/nowhere/at/all").read_bytes()
    except FileNotFoundError:
        raise ValueError("x") from None


@pytest.mark.parametrize("fail", [_bug, _bug_after_a_missing_file])
def test_another_error_is_not_laid_to_the_disk(tmp_path, fail):
    with pytest.raises(ValueError, match="x"), whole_file(tmp_path / "weights"):
        fail()
