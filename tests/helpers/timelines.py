"""Timelines as Praat reads them."""

from __future__ import annotations

from functools import partial

import pytest


def textgrid_of(text, tmp_path):
    """Read tiers by name with Praat; items are ``(start, end, text)`` or ``(time, text)``."""
    parselmouth = pytest.importorskip("parselmouth")
    praat = pytest.importorskip("parselmouth.praat")

    path = tmp_path / "read.TextGrid"
    path.write_text(text, encoding="utf-8", newline="")
    ask = partial(praat.call, parselmouth.read(str(path)))
    tiers = {}
    for number in range(1, ask("Get number of tiers") + 1):
        if ask("Is interval tier", number):
            kind, parts = "interval", ("start time of interval", "end time of interval")
            parts = (*parts, "label of interval")
        else:
            kind, parts = "point", ("time of point", "label of point")
        count = ask(f"Get number of {kind}s", number)
        tiers[ask("Get tier name", number)] = [
            tuple(ask(f"Get {part}", number, one) for part in parts) for one in range(1, count + 1)
        ]
    return ask("Get total duration"), tiers


def assert_tiled(tier, duration_s):
    """Check that intervals cover 0 to the end without hole or overlap."""
    assert tier[0][0] == 0.0
    assert tier[-1][1] == duration_s
    assert all(start < end for start, end, _ in tier)
    assert [end for _, end, _ in tier[:-1]] == [start for start, _, _ in tier[1:]]
