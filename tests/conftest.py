from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from torch import nn

from model.config import CONFIGURATIONS, NetworkConfig
from model.export import export, state_specs
from model.network import Network
from streamer.bundled import bundled
from streamer.modelfile.metadata import ModelMetadata
from streamer.recognition.decision import DecisionConfig
from streamer.recognition.normaliser import Normaliser
from streamer.recognition.recognizer import Recognizer
from streamer.signal import FREQUENCY_BINS
from tests.helpers.places import CLIPS

# A suite run in the background, or by nohup, ignores signals, and so would every command it starts.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler)

# Small networks: a second thread costs more than it gives, above all on a busy machine.
torch.set_num_threads(1)

TEMPERATURE = 0.7


@pytest.fixture(scope="session")
def speech() -> NDArray[np.float32]:
    """Four clips of one speaker in a row, 9 s at 16 kHz."""
    return np.concatenate([soundfile.read(clip, dtype="float32")[0] for clip in CLIPS])


#: Of the networks: what ships is the live one that lets go, and tells ordinary speech.
SHIPPED = "shipped"
EVERYDAY_PRIOR = (0.05, 0.05, 0.85, 0.05)


@pytest.fixture(scope="session")
def shipped() -> Recognizer:
    return Recognizer.load()


@dataclass(frozen=True)
class Exported:
    """A network, what it says of itself, and the file it was exported to."""

    network: Network
    metadata: ModelMetadata
    path: Path


def lively_network(name: str) -> Network:
    if name == SHIPPED:
        live = CONFIGURATIONS["live"]()
        config = replace(live, attention="context", ordinary=True, voice=True, window_timesteps=38)
        return enlivened(config)
    return enlivened(CONFIGURATIONS[name]())


def enlivened(config: NetworkConfig) -> Network:
    """Random weights and batch-norm statistics, so that no bias or response to zeros is zero."""
    torch.manual_seed(7)
    network = Network(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.3)
    for block in network.blocks:  # the farthest tap must be felt at the output
        nn.init.constant_(block.look_ahead[-1:], 1.0)
    nn.init.normal_(network.classifier.weight, std=0.3)
    if network.voice is not None:
        nn.init.normal_(network.voice.differ.weight, std=0.3)
    return network.eval()


def describe(network: Network) -> ModelMetadata:
    config = network.config
    return ModelMetadata(
        "test",
        config.labels,
        config.delay_timesteps,
        config.look_ahead_samples,
        config.window_timesteps,
        TEMPERATURE,
        Normaliser(np.full(FREQUENCY_BINS, 1.0 / FREQUENCY_BINS)),
        DecisionConfig(),
        state_specs(network.initial_state()),
        everyday_prior=EVERYDAY_PRIOR if config.ordinary else (),
        ordinary_share=0.12 if config.ordinary else 0.0,
    )


@pytest.fixture(scope="session")
def export_lively(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Exports a network by its name, once."""

    @cache
    def export_named(name: str) -> Exported:
        network = lively_network(name)
        metadata = describe(network)
        path = tmp_path_factory.mktemp("models") / f"{name}.onnx"
        export(network, metadata, path)
        return Exported(network, metadata, path)

    return export_named


@pytest.fixture(scope="session", params=[*sorted(CONFIGURATIONS), SHIPPED])
def exported(request: pytest.FixtureRequest, export_lively: Callable[[str], Exported]) -> Exported:
    """Look-ahead of 15 ms, 175 ms and 4.4 s."""
    return export_lively(request.param)


@pytest.fixture(scope="session")
def knowing(export_lively: Callable[[str], Exported]) -> Exported:
    """A network that gets to know voices."""
    return export_lively(SHIPPED)


@pytest.fixture
def tiny_corpus(tmp_path):
    """The clips under many names: speakers of all three parts in CREMA-D's layout."""
    folder = tmp_path / "corpora" / "cremad" / "AudioWAV"
    folder.mkdir(parents=True)
    for speaker in (1001, 1002, 1003, 1004, 1005, 1006, 1008, 1009):
        for clip in CLIPS:
            _, sentence, emotion, level = clip.stem.split("_")
            name = f"{speaker}_{sentence}_{emotion}_{level}.flac"
            (folder / name).write_bytes(clip.read_bytes())
    noise = tmp_path / "corpora" / "noise" / "House"
    noise.mkdir(parents=True)
    soundfile.write(noise / "hum.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    return tmp_path / "corpora"


@pytest.fixture
def model_file() -> Path:
    return bundled("ser-live.onnx")
