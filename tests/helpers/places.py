"""Paths of the repository, the clips of speech and the recipes."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Four sentences of one speaker: angry, happy, neutral, sad.
CLIPS = sorted((ROOT / "tests" / "clips").glob("*.flac"))
RECIPES = ROOT / "train" / "recipes"
RESULTS = ROOT / "train" / "results"
