"""Every layer keeps the contract, alone and in a chain; a layer that does not is caught."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from model.attention import window_attention
from model.config import CONFIGURATIONS, BlockConfig, live
from model.contract import Chain, Layer, Newest, ReceptiveField
from model.convolution import ConvolutionFront, FrameFront
from model.memory import MemoryBlock
from model.verify import verify_contract
from model.voice import VoiceMemory
from tests.helpers.networks import enlivened

SMALL = replace(
    live(),
    channels=(2, 3),
    hidden=8,
    memory=4,
    attention_hidden=4,
    window_timesteps=6,
    blocks=(BlockConfig(2, 1), BlockConfig(2, 2, 2, 1), BlockConfig(1, 1, 3, 2)),
)


def frames(batch, timesteps):
    return torch.rand(batch, timesteps, 4, 201)


def hidden(batch, timesteps):
    return torch.randn(batch, timesteps, SMALL.hidden)


def first_block(batch, timesteps):
    return hidden(batch, timesteps), None


def later_block(batch, timesteps):
    return hidden(batch, timesteps), torch.randn(batch, timesteps, SMALL.memory)


def voices(batch, timesteps):
    return hidden(batch, timesteps), torch.randint(0, 3, (batch, timesteps)).float()


def lively(layer: nn.Module) -> Any:
    """Put a layer in evaluation mode, with nonzero statistics, biases and taps."""
    for module in layer.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0.1, 0.5)
        if isinstance(module, MemoryBlock):
            nn.init.uniform_(module.look_back, 0.2, 0.8)
            nn.init.uniform_(module.look_ahead, 0.2, 0.8)
    return layer.eval()


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


@pytest.mark.parametrize("frames_ahead", [(r1, r2) for r1 in range(5) for r2 in range(5)])
def test_convolutions_keep_the_contract(frames_ahead):
    front = lively(ConvolutionFront(replace(SMALL, frames_ahead=frames_ahead)))
    # The field in whole timesteps covers the frames; the last frame may have no effect.
    verify_contract(front, frames)


@pytest.mark.parametrize("padding", [0, 3, 4])
def test_convolutions_of_any_padding_keep_the_contract(padding):
    verify_contract(lively(ConvolutionFront(replace(SMALL, frequency_padding=padding))), frames)


def test_concatenated_frames_keep_the_contract():
    verify_contract(lively(FrameFront(SMALL)), frames)


@pytest.mark.parametrize("taps", ["scalar", "vector"])
@pytest.mark.parametrize(
    "block", [BlockConfig(0, 0), BlockConfig(3, 0), BlockConfig(2, 2, 3, 2), BlockConfig(0, 3)]
)
@pytest.mark.parametrize("make_input", [first_block, later_block])
def test_memory_blocks_keep_the_contract(block, taps, make_input):
    verify_contract(lively(MemoryBlock(replace(SMALL, taps=taps), block)), make_input)


@pytest.mark.parametrize("attention", ["timestep", "statistics", "context", "mean"])
def test_attentions_keep_the_contract(attention):
    pooling = lively(window_attention(replace(SMALL, attention=attention)))
    verify_contract(pooling, hidden)


def test_the_memory_of_a_voice_keeps_the_contract():
    memory = lively(VoiceMemory(replace(SMALL, voice=True), SMALL.hidden))
    verify_contract(memory, voices, hears_all=False)  # how much is heard has no gradient


def test_the_memory_of_a_voice_and_its_level_keeps_the_contract():
    def sounds(batch, timesteps):
        pooled, heard = voices(batch, timesteps)
        levels = -30.0 + 8.0 * torch.randn(batch, timesteps, 1)
        return torch.cat([pooled, levels], dim=-1), heard

    memory = lively(VoiceMemory(replace(SMALL, voice=True, level=True), SMALL.hidden))
    torch.nn.init.normal_(memory.level_classifier.weight, std=0.1)
    verify_contract(memory, sounds, hears_all=False)


def test_a_chain_keeps_the_contract_and_adds_up():
    blocks = Chain(lively(MemoryBlock(SMALL, block)) for block in SMALL.blocks)
    assert blocks.receptive_field == ReceptiveField(2 + 4 + 3, 1 + 2 + 2)
    assert blocks.latency == 5
    assert blocks.asks == (0, 1, 3)
    verify_contract(blocks, first_block)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_network_keeps_the_contract(name):
    config = replace(
        CONFIGURATIONS[name](), channels=(2, 3), hidden=8, memory=4, window_timesteps=6
    )
    # Through many layers, distant timesteps have hardly any effect.
    verify_contract(enlivened(config), frames, tolerance=1e-4, hears_all=False)


def test_a_network_that_remembers_the_voice_keeps_the_contract_without_one():
    network = enlivened(replace(SMALL, voice=True, ordinary=True))
    assert network.receptive_field.back is None
    verify_contract(network, frames, hears_all=False)


class Delayed(Layer[torch.Tensor]):
    """Adds the input of two timesteps ago, by the contract or with a fault."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.gain = nn.Parameter(torch.ones(()))

    @property
    def receptive_field(self) -> ReceptiveField:
        return ReceptiveField(
            1 if self.fault == "hears more" else 3 if self.fault == "hears less" else 2,
            1 if self.fault == "waits for nothing" else 0,
        )

    def forward(self, x):
        back = torch.cat([torch.zeros_like(x[:, :2]), x[:, :-2]], dim=1)
        return self.gain * (back + x)

    def initial_state(self, batch):
        return torch.zeros(batch, 2, SMALL.hidden)

    @property
    def asks(self):
        return (0,)

    def newest(self, x, moment, state):
        rows = x * (1.0 if self.fault == "hears before" else moment.exists)
        if self.fault == "mixes streams":
            rows = rows + 0.1 * rows.flip(0)
        if self.fault == "remembers":
            rows = rows + 0.0 * state[:, :1]
        gain = self.gain.detach() if self.fault == "has no gradient" else self.gain
        late = 1 if self.fault == "is early" else 0
        earlier = torch.cat([state, rows], dim=1)[:, late : late + x.shape[1]]
        if self.fault == "waits for a step":
            earlier = state[:, :1].expand_as(x)
        return gain * (earlier + x), Newest(rows)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("", None),
        ("is early", "streaming is not offline"),
        ("has no gradient", "gradients differ"),
        ("hears more", "should have forgotten"),
        ("hears less", "far edge"),
        ("waits for nothing", "streaming is not offline"),
        ("hears before", "beside its stream"),
        ("remembers", "NaN stays"),
        ("mixes streams", "streaming is not offline"),
        ("waits for a step", "timesteps are not steps of one"),
    ],
)
def test_a_layer_that_breaks_the_contract_is_caught(fault, complaint):
    layer = Delayed(fault).eval()
    if complaint is None:
        verify_contract(layer, hidden)
        return
    with pytest.raises(AssertionError, match=complaint):
        verify_contract(layer, hidden)
