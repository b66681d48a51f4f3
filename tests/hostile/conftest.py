from __future__ import annotations

import pytest

from tests.helpers.command import ser_live
from tests.helpers.places import CLIPS


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """The JSON lines of a clip."""
    path = tmp_path_factory.mktemp("session") / "session.jsonl"
    result = ser_live("replay", CLIPS[3], "--speed", "max", "--output", path)
    assert result.returncode == 0
    return path
