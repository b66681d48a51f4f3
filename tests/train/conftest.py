"""What several rooms of the training's tests need."""

from __future__ import annotations

import pytest

import train.features.sound


@pytest.fixture
def few_surroundings(monkeypatch):
    """Make few backgrounds and rooms, to save time."""
    monkeypatch.setattr(train.features.sound, "MADE_NOISES", 4)
    monkeypatch.setattr(train.features.sound, "MADE_ROOMS", 4)
