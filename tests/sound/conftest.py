"""Speech for files."""

from __future__ import annotations

import pytest

from tests.sound.heard import RATE


@pytest.fixture(scope="module")
def voice(speech):
    return speech[: 3 * RATE]
