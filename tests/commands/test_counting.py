"""Counts in texts for people."""

from __future__ import annotations

from streamer.commands.score.finding.listing import Listing
from streamer.counting import counted, counted_are
from streamer.errors import SerLiveError
from streamer.sound.channels import MIX


def test_one_has_no_plural():
    assert [counted(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert [counted_are(number, "row") for number in (1, 2)] == ["1 row is", "2 rows are"]


def test_a_folder_with_one_other_file_has_one(tmp_path):
    (tmp_path / "notes.txt").touch()
    said = []
    with Listing((str(tmp_path),), MIX, said.append) as items:
        try:
            items.check()
        except SerLiveError as error:
            said.append(str(error))
    assert "(passed over 1 other file)" in said[-1]
