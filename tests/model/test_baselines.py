"""The systems of the paper's comparison: estimates, sizes, cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from model.attention import ContextAttention, WindowMean
from model.baselines import SYSTEMS, build, c_bilstm, c_bilstm_rolling, c_pfsmn, lstm, pfsmn
from model.config import EMOTIONS, NetworkConfig, SystemConfig, live
from model.contract import Moment
from model.cost import step_cost
from model.export import export
from model.network import Network
from streamer.recognition.recognizer import Recognizer
from tests.helpers.estimates import TOLERANCE, probabilities, run, torch_probabilities
from tests.helpers.networks import Exported, describe, enlivened, stream

STREAMING = [name for name in SYSTEMS if isinstance(SYSTEMS[name](EMOTIONS), NetworkConfig)]
parametrize_systems = pytest.mark.parametrize("name", SYSTEMS)


def make(name, **changes):
    torch.manual_seed(5)
    return build(replace(SYSTEMS[name](EMOTIONS), **changes)).eval()


def features(timesteps, batch=1):
    generator = torch.Generator().manual_seed(timesteps)
    return torch.rand(batch, timesteps, 4, 201, generator=generator)


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


@parametrize_systems
@torch.no_grad()
def test_systems_estimate_per_timestep_or_once_per_utterance(name):
    network = make(name)
    logits, weights = network(features(12, batch=2))
    whole = name == "c-bilstm"
    assert logits.shape == (2, 1 if whole else 12, len(EMOTIONS))
    assert weights.shape == (2, *((1, 12) if whole else (12, network.config.window_timesteps)))
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
    assert network(features(12, batch=2)[:, :0])[0].shape == (2, 0, len(EMOTIONS))


def test_sizes_are_those_in_the_docstring():
    told = {
        "lstm": 1.26,
        "c-bilstm": 2.20,
        "pfsmn": 0.47,
        "c-pfsmn": 1.83,
        "c-pfsmn-a": 1.84,
        "c-pfsmn-a-live": 0.72,
    }
    assert {name: round(size(make(name)) / 1e6, 2) for name in SYSTEMS} == told
    assert told["c-bilstm"] == pytest.approx(2.12, rel=0.1)  # Table 3
    assert told["c-pfsmn-a"] == pytest.approx(1.85, rel=0.1)


@parametrize_systems
def test_configurations_survive_a_dictionary(name):
    config = SYSTEMS[name](("no", "yes"))
    assert type(config).from_dict(config.to_dict()) == config
    assert build(config).config is config


@pytest.mark.parametrize(
    ("config", "change", "name"),
    [
        (lstm(), {"layers": 0}, "layers"),
        (lstm(), {"front": "fourier"}, "front"),
        (lstm(), {"attention": "none"}, "attention"),
        (lstm(), {"rolling": True}, "rolling is for"),
        (c_bilstm(), {"attention": "context"}, "needs rolling"),
        (lstm(), {"window_timesteps": 0}, "window_timesteps"),
        (c_bilstm(), {"hidden": 15}, "hidden"),
        (c_bilstm(), {"labels": ("a",)}, "labels"),
    ],
)
def test_impossible_configurations_are_named(config, change, name):
    with pytest.raises(ValueError, match=name):
        replace(config, **change)


def test_a_configuration_of_no_system_is_refused():
    for function in (build, step_cost):
        with pytest.raises(TypeError, match="SystemConfig"):
            function(SystemConfig(EMOTIONS))


@pytest.mark.parametrize("name", STREAMING)
@torch.no_grad()
def test_without_convolutions_or_attention_streaming_equals_offline(name):
    network = enlivened(SYSTEMS[name](EMOTIONS))
    heard = features(130)
    logits, weights = network(heard)
    streamed, streamed_weights = stream(network, heard)
    torch.testing.assert_close(
        torch.softmax(streamed, -1), torch.softmax(logits, -1), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(streamed_weights, weights, atol=1e-5, rtol=0)


@pytest.mark.parametrize("attention", ["mean", "context"])
def test_exported_systems_run_live_as_offline(speech, tmp_path, attention):
    blocks = live().blocks[:2]
    config = replace(live(), front="frames", attention=attention, hidden=16, blocks=blocks)
    network = enlivened(config)
    exported = Exported(network, describe(network), tmp_path / "pfsmn.onnx")
    export(network, exported.metadata, exported.path)
    samples = speech[:80_000]  # 125 timesteps: more than the rolling window
    estimates = run(Recognizer.load(exported.path), samples, [7_001] * 9)
    offline = torch_probabilities(exported, samples, lambda network, x, _: network(x))
    assert np.abs(probabilities(estimates) - offline).max() <= TOLERANCE


@torch.no_grad()
def test_the_mean_is_that_of_the_last_timesteps():
    mean = WindowMean(replace(live(), window_timesteps=3, hidden=2))
    hidden = torch.arange(10.0).reshape(1, 5, 2)
    pooled, _ = mean(hidden)
    expected = [hidden[0, max(0, t - 2) : t + 1].mean(0) for t in range(5)]
    torch.testing.assert_close(pooled[0], torch.stack(expected))


@torch.no_grad()
def test_a_rolling_bilstm_estimates_at_every_timestep_and_hears_all():
    network = build(replace(c_bilstm_rolling(), channels=(2, 4), hidden=32)).eval()
    heard = features(20)
    later = heard.clone()
    later[:, 15:] += 1
    logits, weights = network(heard)
    assert logits.shape == (1, 20, len(EMOTIONS))
    assert weights.shape == (1, 20, network.config.window_timesteps)
    assert not torch.allclose(network(later)[0][:, 14], logits[:, 14], atol=1e-6)


@torch.no_grad()
def test_an_lstm_of_one_direction_hears_nothing_of_the_future():
    heard = features(20)
    for name, is_causal in [("lstm", True), ("c-bilstm", False)]:
        network = make(name, front="frames")
        later = heard.clone()
        later[:, 15:] += 1
        same = torch.allclose(network(later)[0][:, :15], network(heard)[0][:, :15], atol=1e-6)
        assert same == is_causal


@parametrize_systems
def test_every_system_learns_eight_utterances(name):
    network = make(name, channels=(4, 8), hidden=32, dropout=0.0).train()
    labels = torch.arange(8) % len(EMOTIONS)
    heard = features(24, batch=8)
    for utterance, label in zip(heard, labels, strict=True):  # each label is louder in its own band
        utterance[:, :, 40 * label : 40 * label + 30] += 1
    optimiser = torch.optim.AdamW(network.parameters(), 5e-3)
    losses = []
    for _ in range(15):
        with torch.autocast("cpu", dtype=torch.bfloat16):  # as train/fitting/training.py does
            logits, _ = network(heard)
        targets = labels[:, None].expand(-1, logits.shape[1])
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert logits[:, -1].argmax(-1).tolist() == labels.tolist()


def multiply_adds(work):
    """Return the multiply-adds that torch counts while it runs."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        work()
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *((name, {}) for name in SYSTEMS),
        ("c-pfsmn-a-live", {"attention": "context", "ordinary": True}),
        ("lstm", {"attention": "statistics"}),
    ],
)
def test_the_cost_equals_the_products_that_run(name, changes):
    network = make(name, **changes)
    if isinstance(network, Network):
        state = network.initial_state()
        moment = Moment.of(network, torch.tensor([[0]]), torch.tensor([1]))
        counted = multiply_adds(lambda: network.step(features(1)[:, :1], moment, state))
        # The taps are not a matrix product.
        taps = sum(
            block.look_back_order + 1 + block.look_ahead_order for block in network.config.blocks
        )
        counted += taps * network.config.memory
    else:
        last = network.config.window_timesteps if network.config.bidirectional else 1
        # In float32 an LSTM runs in oneDNN, where torch counts no product.
        counted = multiply_adds(lambda: network.double()(features(last).double()))
    assert step_cost(network.config) == counted


def test_running_again_computes_every_key_of_the_window_again():
    config = c_bilstm_rolling()
    network, last = build(config), config.window_timesteps
    sequence = network.sequence(features(last))
    counted = multiply_adds(lambda: network.double().sequence(features(last).double()))
    network.float()
    counted += multiply_adds(lambda: network.attention.look(sequence))
    # Only the newest timestep asks a question, and only its window is pooled and classified.
    question = (ContextAttention.ASKED + 1) * config.hidden
    window = (ContextAttention.ASKED + 1) * last + 2 * last * config.hidden
    counted += window + 2 * config.hidden * len(config.outputs) - (last - 1) * question
    assert step_cost(config) == counted


def test_running_again_for_every_estimate_costs_dozens_of_times_as_much():
    assert step_cost(c_bilstm()) > 50 * step_cost(c_pfsmn())
    assert step_cost(pfsmn()) < step_cost(lstm()) < step_cost(live()) < step_cost(c_pfsmn())
