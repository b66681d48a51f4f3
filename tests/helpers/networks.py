"""Torch networks with random weights, their metadata, and their output step by step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from model.config import CONFIGURATIONS, NetworkConfig
from model.contract import Moment
from model.export import state_specs
from model.network import Network
from streamer.recognition.decision import DecisionConfig
from streamer.recognition.metadata import UNKNOWN_END, ModelMetadata
from streamer.recognition.normaliser import Normaliser
from streamer.signal import FREQUENCY_BINS

TEMPERATURE = 0.7
#: Name of the shipped shape: the live network with attention by context and ordinary speech.
SHIPPED = "shipped"
#: The same without levels in the voice memory, as files were before they knew them.
LEVELLESS = "levelless"
EVERYDAY_PRIOR = (0.05, 0.05, 0.85, 0.05)


@dataclass(frozen=True)
class Exported:
    """A network, its metadata, and its exported file."""

    network: Network
    metadata: ModelMetadata
    path: Path


def lively_network(name: str) -> Network:
    """Make a network of a named configuration."""
    if name in (SHIPPED, LEVELLESS):
        live = CONFIGURATIONS["live"]()
        voice = {"voice": True, "level": name == SHIPPED, "ordinary": True}
        return enlivened(replace(live, attention="context", window_timesteps=38, **voice))
    return enlivened(CONFIGURATIONS[name]())


def enlivened(config: NetworkConfig) -> Network:
    """Set random weights and statistics, so that no bias or response to zeros is zero."""
    torch.manual_seed(7)
    network = Network(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.3)
    for block in network.blocks:  # the farthest tap must affect the output
        nn.init.constant_(block.look_ahead[-1:], 1.0)
    nn.init.normal_(network.classifier.weight, std=0.3)
    if network.voice is not None:
        nn.init.normal_(network.voice.differ.weight, std=0.3)
        if network.voice.level_classifier is not None:
            nn.init.normal_(network.voice.level_classifier.weight, std=0.1)
            nn.init.normal_(network.voice.level_classifier.bias, std=0.3)
    return network.eval()


def describe(network: Network) -> ModelMetadata:
    """Make the metadata of such a network."""
    config = network.config
    return ModelMetadata(
        "test",
        config.labels,
        network.latency,
        network.look_ahead_samples,
        config.window_timesteps,
        TEMPERATURE,
        Normaliser(np.full(FREQUENCY_BINS, 1.0 / FREQUENCY_BINS)),
        DecisionConfig(),
        state_specs(network.initial_state()),
        everyday_prior=EVERYDAY_PRIOR if config.ordinary else (),
        ordinary_share=0.12 if config.ordinary else 0.0,
        hears_level=config.level,
    )


def stream(network, features, heard=None):
    """Logits and attention of ``(batch, timesteps, 4, 201)``, one timestep at a time."""
    logits, attention, _ = stream_from(
        network.initial_state(len(features)), network, features, heard
    )
    return logits, attention


def stream_from(state, network, features, heard=None):
    """Return logits, attention and the last state of a stream that begins with ``state``."""
    batch, timesteps = features.shape[:2]
    nothing = torch.zeros_like(features[:, :1])
    logits, attention = [], []
    delay = network.latency
    for step in range(timesteps + delay):
        frames = features[:, step : step + 1] if step < timesteps else nothing
        end = torch.full((batch,), timesteps if step >= timesteps else UNKNOWN_END)
        # Timesteps before the stream are never taken in.
        at = max(step - delay, 0)
        taken = None if heard is None else heard[:, at : at + 1]
        moment = Moment.of(network, torch.full((batch, 1), step), end)
        (one, weights), state = network.step(frames, moment, state, taken)
        if step >= delay:
            logits.append(one)
            attention.append(weights)
    return torch.cat(logits, 1), torch.cat(attention, 1), state
