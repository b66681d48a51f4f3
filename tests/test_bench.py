"""The bench: contenders in turns on one core."""

from __future__ import annotations

import json

import pytest

from model.config import CONFIGURATIONS
from streamer.bundled import bundled
from streamer.errors import SerLiveError
from streamer.recognizer import Recognizer, open_model
from tests.test_recognizer import altered
from train import bench as bench_module
from train.bench import bench, configuration_of, json_of, print_table


def test_ratios_come_from_the_times(monkeypatch, capsys):
    monkeypatch.setattr(bench_module, "TURN_S", 0.002)
    monkeypatch.setattr(bench_module, "STREAMS_S", 0.04)
    result = bench(None, bundled("demo.flac"), 0.1)
    times = result.microseconds
    assert times["window run again"] > times["network step"] > times["multiply-adds"] > 0
    assert times["whole step"] > times["network step"] > times["of 16 together"]
    assert result.streams >= 1
    assert json.loads(json_of(result))["ratios"] == result.ratios
    print_table(result)
    assert "Silero chunk" in capsys.readouterr().out


def test_a_model_file_tells_its_configuration(exported):
    config = configuration_of(open_model(exported.path)[1])
    assert config in [make() for make in CONFIGURATIONS.values()]
    assert config.window_timesteps == Recognizer.load(exported.path).metadata.window_timesteps


def test_models_of_no_named_configuration_are_told(model_file, tmp_path):
    def widen(values):
        values["states"][-2]["shape"] = [3]

    metadata = open_model(altered(model_file, tmp_path / "model.onnx", widen))[1]
    with pytest.raises(SerLiveError, match="none of live"):
        configuration_of(metadata)
