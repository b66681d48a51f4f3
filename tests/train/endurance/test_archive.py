"""The simulated archive: every row exists, and few tasks are queued at once."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("distributed")
pytest.importorskip("fsspec")

from train.endurance.archive import measure


def test_a_command_that_fails_is_reported_with_its_logs(tmp_path):
    with pytest.raises(SystemExit, match=r"^exit code [1-9]\d*, 0 rows\n."):
        measure(10, 1, tmp_path, False, "nowhere/results.csv")


@pytest.mark.parametrize("output", ["results.csv", "results/"])
def test_the_archive_is_scored_whole_and_once(tmp_path, output):
    if output.endswith("/"):
        pytest.importorskip("pyarrow")
    first, again = measure(2_500, 1, tmp_path, True, output).splitlines()
    assert first.startswith("2500 rows in ")
    assert again.startswith("the same command again: 2500 rows in ")
    assert int(re.search(r"scheduler (\d+) tasks", first)[1]) < 20
