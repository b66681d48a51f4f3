"""Files that are written completely or not at all."""

from __future__ import annotations

import pytest

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
