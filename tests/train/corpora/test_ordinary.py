"""Ordinary speech is split into disjoint parts."""

from __future__ import annotations

import zlib

import pytest

from streamer.errors import SerLiveError
from train.corpora.ordinary import ordinary_speech


def test_ordinary_speech_has_disjoint_parts_for_training_choosing_and_judging(tmp_path):
    for number in range(200):
        kind = ("intent", "keywords/alexa")[number % 2]
        path = tmp_path / "speech" / kind / f"{number}.opus"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for other in ("LICENSE", "intent/._0.opus"):  # macOS adds such files
        (tmp_path / "speech" / other).touch()
    found = ordinary_speech(tmp_path)
    assert len({*found.train, *found.validation, *found.test}) == 200
    assert len(found.train) + len(found.validation) + len(found.test) == 200
    # The training part is the same as before there was a test part.
    assert {zlib.crc32(path.stem.encode()) % 4 for path in found.train} == {1, 2, 3}
    for kept in (found.validation, found.test):
        assert len(kept) / 200 == pytest.approx(0.125, abs=0.06)
        assert {path.parent.name for path in kept} == {"intent", "alexa"}
    (tmp_path / "speech" / "intent" / "1000.opus").touch()
    more = ordinary_speech(tmp_path)
    assert set(found.train) <= set(more.train)
    assert set(found.validation) <= set(more.validation)
    assert set(found.test) <= set(more.test)
    with pytest.raises(SerLiveError, match="no ordinary speech in"):
        ordinary_speech(tmp_path / "elsewhere")
