"""What several rooms of the training's tests need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

import train.features.sound
from streamer.signal import SAMPLE_RATE
from streamer.sound.files.recording import read_recording
from tests.helpers.drawn import CLASSES, SPEAKERS
from tests.helpers.generated import STREAMED
from tests.helpers.places import CLIPS
from tests.helpers.whisper import keep, tiny_encoder
from train.corpora.ordinary import is_word
from train.features.bank import load_bank
from train.fitting.drawer import StreamSet


@pytest.fixture
def few_surroundings(monkeypatch):
    """Make few backgrounds and rooms, to save time."""
    monkeypatch.setattr(train.features.sound, "MADE_NOISES", 4)
    monkeypatch.setattr(train.features.sound, "MADE_ROOMS", 4)


@pytest.fixture
def teacher(tmp_path):
    """The file of a small encoder for networks to imitate, among the corpora."""
    path = tmp_path / "corpora" / "teacher.safetensors"
    path.parent.mkdir(exist_ok=True)
    keep(tiny_encoder(), path)
    return path


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """Four emotions by three speakers, then two sentences and two words of ordinary speech."""
    root = tmp_path_factory.mktemp("recordings")
    paths = []
    for number, speaker in enumerate(SPEAKERS):
        for clip in CLIPS:
            samples = read_recording(clip) * (0.5 + number / 2)
            paths.append(root / f"{speaker}-{clip.stem}.flac")
            soundfile.write(paths[-1], samples, SAMPLE_RATE)
    for number, clip in enumerate(CLIPS):
        kind = root / ("keywords" if number % 2 else "intent")
        kind.mkdir(exist_ok=True)
        paths.append(kind / f"{number}.flac")
        paths[-1].write_bytes(clip.read_bytes())
    return paths


@pytest.fixture(scope="session")
def data(recordings, tmp_path_factory):
    """The material of all these recordings."""
    bank = load_bank(recordings, tmp_path_factory.mktemp("cache"))
    labelled = len(SPEAKERS) * len(CLIPS)
    classes = np.arange(labelled) % len(CLIPS)
    return StreamSet(
        bank,
        np.eye(len(CLASSES), dtype=np.float32)[classes],
        ["cremad"] * labelled,
        [speaker for speaker in SPEAKERS for _ in CLIPS],
        np.eye(len(CLASSES), dtype=np.float32)[-1],
        [is_word(path) for path in recordings[labelled:]],
        noises=[np.random.default_rng(5).standard_normal(48_000).astype(np.float32)],
        rooms=[],
        normaliser=replace(STREAMED.normaliser_with(bank.prior), prior_timesteps=40.0),
    )
