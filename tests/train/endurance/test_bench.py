"""The benchmark: contenders in turns on one core."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
import torch

from model.config import CONFIGURATIONS, live
from model.network import Network
from streamer.bundled import bundled
from streamer.errors import SerLiveError
from streamer.recognition.opening import open_model
from streamer.recognition.recognizer import Recognizer
from tests.helpers.generated import TINY
from tests.helpers.model_files import altered
from tests.helpers.networks import SHIPPED, describe, enlivened, lively_network
from tests.helpers.places import CLIPS
from train.endurance import bench as bench_module
from train.endurance import throughput
from train.endurance.bench import (
    PEAK_SIDE,
    RERUN_TIMESTEPS,
    _WindowRun,
    bench,
    compare,
    configuration_of,
    json_of,
    print_table,
    take_turns,
)
from train.features import sound
from train.fitting import drawer
from train.fitting.recipe_file import OWN, read_recipe


class Clock:
    """A clock that only the fake contenders advance."""

    def __init__(self):
        self.now = 0.0

    def thread_time(self):
        return self.now

    perf_counter = thread_time

    def contender(self, *milliseconds):
        """Make a contender that takes these durations in turn."""
        durations = cycle(milliseconds)

        def work():
            self.now += next(durations) / 1000.0

        return work


@pytest.fixture
def fake_result(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(bench_module, "time", clock)
    contenders = {
        "whole step": clock.contender(1.0, 1.0, 1.0, 3.0),  # a second chunk every fourth step
        "network step": clock.contender(0.5),
        "of 16 together": clock.contender(3.2),
        "of 32 at once": clock.contender(4.0),
        "whole of 32": clock.contender(16.0),
        "Silero chunk": clock.contender(0.25),
        "window run again": clock.contender(10.0),
        "matrix product": clock.contender(1.0),
    }
    times = take_turns(contenders, 1.0)
    return compare(times, PEAK_SIDE**3 // 4, 17, 123.4, 0.4567)


def test_ratios_are_those_of_the_durations(fake_result):
    assert fake_result.ratios == pytest.approx(
        {
            "network step : Silero chunk": 2.0,
            "window run again : network step": 20.0,
            "network step : multiply-adds": 2.0,
            "network step : of 32 at once": 4.0,
            "window run again : of 32 at once": 80.0,
            "whole step : whole of 32": 3.0,
            "hours of audio a core-minute, of 32": 0.04 / 0.0005 / 60,
            "whole step : its audio (real-time factor)": 1.5 / 40.0,
        }
    )
    assert fake_result.microseconds == {
        "whole step": 1500.0,
        "network step": 500.0,
        "of 16 together": 200.0,
        "of 32 at once": 125.0,
        "whole of 32": 500.0,
        "Silero chunk": 250.0,
        "window run again": 10_000.0,
        "multiply-adds": 250.0,
    }
    assert fake_result.peak_multiply_adds == pytest.approx(1000.0 * PEAK_SIDE**3)


def test_a_round_that_was_disturbed_does_not_count():
    times = {
        name: np.array([1.0, 1.0, 50.0])
        for name in ("whole step", "network step", "of 16 together", "Silero chunk")
    }
    even = {
        "window run again": np.full(3, 8.0),
        "of 32 at once": np.ones(3),
        "whole of 32": np.ones(3),
        "matrix product": np.ones(3),
    }
    result = compare(times | even, 1, 1, 1.0, 1.0)
    assert result.rounds == 3
    assert result.ratios["window run again : network step"] == 8.0
    assert result.microseconds["whole step"] == 1e6


def test_the_table_shows_the_measured_values(fake_result, capsys):
    assert json.loads(json_of(fake_result))["ratios"] == fake_result.ratios
    print_table(fake_result)
    printed = capsys.readouterr().out
    assert "Silero chunk" in printed
    assert "1500.0" in printed
    assert "17 streams" in printed
    assert "takes in 123 utterances" in printed
    assert "takes 0.46 of the time" in printed


def test_the_contenders_run(monkeypatch):
    monkeypatch.setattr(bench_module, "TURN_S", 0.001)
    monkeypatch.setattr(bench_module, "most_streams", lambda *_: 17)
    monkeypatch.setattr(bench_module, "training_rate", lambda *_: 99.94)
    monkeypatch.setattr(bench_module, "drawing_share", lambda *_: 0.5)
    result = bench(None, bundled("demo.flac"), 0.0)
    assert (result.rounds, result.streams) == (1, 17)
    assert (result.utterances_per_s, result.drawing) == (99.9, 0.5)
    assert min(result.microseconds.values()) > 0
    assert min(result.ratios.values()) > 0


def test_the_training_rate_counts_whole_utterances_of_every_step(monkeypatch):
    clock, took_s = Clock(), 0.5
    trained = []

    def train_epoch(_self, batches):
        clock.now += took_s * len(batches)
        trained.extend(batches)

    monkeypatch.setattr(throughput, "time", clock)
    monkeypatch.setattr(throughput.Training, "train_epoch", train_epoch)
    batch = read_recipe(OWN).batch
    assert throughput.training_rate(TINY, 2.0) == batch / took_s
    assert len(trained) == throughput.WARM_UP_STEPS + 4
    assert trained[0].features.shape == (batch, 100, 4, 201)
    assert trained[0].targets.sum() == pytest.approx(batch)


def test_the_share_of_drawing_is_that_of_the_training_batches(monkeypatch):
    clock, learnt = Clock(), []

    class Slow(drawer.Drawer):
        def draw(self, batch, seed):
            assert batch == read_recipe(OWN).batch
            clock.now += 0.2 if learnt else 9.0  # the first batch warms up
            return super().draw(2, seed)

    def train_epoch(_self, batches):
        clock.now += 0.5
        learnt.extend(batches)

    monkeypatch.setattr(drawer, "Drawer", Slow)
    monkeypatch.setattr(throughput, "time", clock)
    monkeypatch.setattr(throughput.Training, "train_epoch", train_epoch)
    monkeypatch.setattr(sound, "MADE_NOISES", 2)
    monkeypatch.setattr(sound, "MADE_ROOMS", 2)
    threads = torch.get_num_threads()
    assert throughput.drawing_share(TINY, CLIPS[0]) == pytest.approx(0.4)
    assert len(learnt) == 4
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("attention", ["statistics", "context"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_window_run_again_is_the_offline_network_at_its_end(name, attention):
    network = enlivened(replace(CONFIGURATIONS[name](), attention=attention))
    generator = torch.Generator().manual_seed(5)
    features = torch.rand(1, RERUN_TIMESTEPS, 4, 201, generator=generator)
    with torch.no_grad():
        logits, _ = network(features)
        at_the_end = _WindowRun(network)(features)
    # The contract's bound: the two sum in another order, and how far that shows is the processor's.
    torch.testing.assert_close(at_the_end, torch.softmax(logits[:, -1], -1), atol=1e-5, rtol=0)


def test_a_model_file_tells_its_configuration(exported):
    config = configuration_of(open_model(exported.path)[1])
    named = [make() for make in CONFIGURATIONS.values()]
    assert config in [*named, lively_network(SHIPPED).config]
    assert config.window_timesteps == Recognizer.load(exported.path).metadata.window_timesteps


def test_a_model_file_tells_its_attention():
    for config in (live(), replace(live(), attention="context", window_timesteps=38)):
        assert configuration_of(describe(Network(config))) == config


def test_an_older_model_file_with_scalar_keys_tells_its_configuration():
    def without_last_axis(state):
        return replace(state, shape=state.shape[:1]) if state.name == "window_keys" else state

    metadata = describe(Network(live()))
    older = replace(metadata, states=tuple(map(without_last_axis, metadata.states)))
    assert older != metadata
    assert configuration_of(older) == live()


def test_models_of_no_named_configuration_are_refused(model_file, tmp_path):
    def widen(values):
        (keys,) = (one for one in values["states"] if one["name"] == "window_keys")
        keys["shape"] = [3]

    metadata = open_model(altered(model_file, tmp_path / "model.onnx", widen))[1]
    with pytest.raises(SerLiveError, match="none of live"):
        configuration_of(metadata)
