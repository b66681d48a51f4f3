"""Which recordings are found, in which order, and the names that they get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer.commands.score.hearing.jobs import timeline_path
from streamer.errors import SerLiveError
from tests.helpers.trees import make_tree
from tests.score.rows import find


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
