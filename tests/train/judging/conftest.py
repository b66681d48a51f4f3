"""Corpora of a few recordings, with and without ordinary speech."""

from __future__ import annotations

import shutil
import zlib

import numpy as np
import pytest
import soundfile

from streamer.signal import SAMPLE_RATE
from streamer.sound.files.recording import read_recording
from tests.helpers.places import CLIPS
from tests.helpers.trees import make_backgrounds


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Two test speakers and one of each other part in CREMA-D's layout, and a silent recording."""
    root = tmp_path_factory.mktemp("corpora")
    make_backgrounds(root / "noise")
    folder = root / "cremad" / "AudioWAV"
    folder.mkdir(parents=True)
    for speaker in (1001, 1008, 1002, 1003):
        for clip in CLIPS:
            name = clip.stem.replace("1018", str(speaker))
            soundfile.write(folder / f"{name}.flac", read_recording(clip)[:24_000], SAMPLE_RATE)
    soundfile.write(folder / "1001_DFA_ANG_XX.flac", np.zeros(16_000), SAMPLE_RATE)
    return root


@pytest.fixture
def corpora_and_speech(corpora, tmp_path):
    """The same, with ordinary speech: four commands and a wake word for validation and for test."""
    folder = tmp_path / "corpora"
    shutil.copytree(corpora, folder)
    for sub, kept in (("intent", 4), ("keywords", 1)):
        (folder / "speech" / sub).mkdir(parents=True)
        stems = [f"{sub}{number}" for number in range(80)]
        parts = {"train": [], "validation": [], "test": []}
        for one in stems:
            kind, number = zlib.crc32(one.encode()) % 4, zlib.crc32(one.encode()) // 4
            parts["train" if kind else "test" if number % 2 else "validation"].append(one)
        chosen = [*parts["validation"][:kept], *parts["test"][:kept], *parts["train"][:3]]
        for number, stem in enumerate(chosen):
            samples = read_recording(CLIPS[number % len(CLIPS)])[:32_000]
            soundfile.write(folder / "speech" / sub / f"{stem}.flac", samples, SAMPLE_RATE)
    return folder
