"""The folders of a run, and what lies in them."""

from __future__ import annotations

import pytest
import soundfile

from streamer.sound.files.recording import read_recording
from tests.helpers.places import CLIPS
from train.fitting.run_folder import Folders


@pytest.fixture
def folders(tiny_corpus, tmp_path):
    return Folders(tiny_corpus, tmp_path / "cache", tmp_path / "run")


@pytest.fixture
def own(tmp_path):
    """Own recordings: class folders, each with a folder per speaker."""
    for clip, label in zip(CLIPS, ("cats", "dogs", "cats", "dogs"), strict=True):
        for speaker in ("ann", "bob", "eve"):
            file = tmp_path / "own" / label / speaker / clip.name
            file.parent.mkdir(parents=True, exist_ok=True)
            gain = 1.0 - 0.1 * ("ann", "bob", "eve").index(speaker)  # no two recordings are equal
            soundfile.write(file, gain * read_recording(clip), 16_000)
    return tmp_path / "own"


@pytest.fixture
def ordinary(folders):
    """Ordinary speech among the corpora, in its official layout."""
    for number in range(6):
        for kind, clip in (("intent/a", CLIPS[0]), ("keywords/b", CLIPS[1])):
            path = folders.corpora / "speech" / kind / f"{number}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(clip.read_bytes())
