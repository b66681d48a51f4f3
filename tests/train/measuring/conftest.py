"""Backgrounds for conditions."""

from __future__ import annotations

import pytest

from tests.helpers.trees import make_backgrounds


@pytest.fixture
def noise_root(tmp_path):
    make_backgrounds(tmp_path / "noise")
    return tmp_path / "noise"
