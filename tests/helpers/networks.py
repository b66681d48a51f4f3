"""Torch networks with random weights, what they say of themselves, and a step at a time."""

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
#: Of the networks: what ships is the live one that lets go, and tells ordinary speech.
SHIPPED = "shipped"
EVERYDAY_PRIOR = (0.05, 0.05, 0.85, 0.05)


@dataclass(frozen=True)
class Exported:
    """A network, what it says of itself, and the file it was exported to."""

    network: Network
    metadata: ModelMetadata
    path: Path


def lively_network(name: str) -> Network:
    """A network of a named configuration, or of what ships."""
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
    """What the file of such a network says of it."""
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
    )


def stream(network, features, heard=None):
    """Logits and attention of ``(batch, timesteps, 4, 201)``, one timestep at a time."""
    batch, timesteps = features.shape[:2]
    state = network.initial_state(batch)
    nothing = torch.zeros_like(features[:, :1])
    logits, attention = [], []
    delay = network.latency
    for step in range(timesteps + delay):
        frames = features[:, step : step + 1] if step < timesteps else nothing
        end = torch.full((batch,), timesteps if step >= timesteps else UNKNOWN_END)
        # Of timesteps before the stream nothing is taken in, whatever is asked for.
        at = max(step - delay, 0)
        taken = None if heard is None else heard[:, at : at + 1]
        moment = Moment.of(network, torch.full((batch, 1), step), end)
        (one, weights), state = network.step(frames, moment, state, taken)
        if step >= delay:
            logits.append(one)
            attention.append(weights)
    return torch.cat(logits, 1), torch.cat(attention, 1)
