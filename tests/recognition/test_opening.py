"""Contradictory or damaged model files, and other files, are refused in one line."""

from __future__ import annotations

import os

import onnx
import pytest

from streamer.errors import SerLiveError
from streamer.recognition.recognizer import Recognizer
from tests.helpers.model_files import altered


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(schema=99), "schema 99"),
        (lambda v: v.pop("labels"), "labels"),
        (lambda v: v.pop("normaliser"), "normaliser"),
        (lambda v: v["signal"].update(sample_rate=8000), "sample rate"),
        (lambda v: v.update(labels=[*v["labels"], "bored"], everyday_prior=[]), "other shapes"),
        (lambda v: v.update(look_ahead_samples=0), "look_ahead_samples"),
        (lambda v: v["states"].pop(), "other inputs"),
        (lambda v: v["states"][0].update(shape=[2**40]), "impossible shape"),
        (lambda v: v["states"][0].update(shape=[1, 1]), "does not fit"),
        (lambda v: v["decision"].update(speech_on=7), "speech_on"),
        (lambda v: v["states"][0].update(shape=[2**33, 2**33]), "impossible shape"),
        (lambda v: v["states"][0].update(shape=[1.5]), "integers"),
        (lambda v: v["states"][0].update(shape=[True, 4]), "integers"),
        (lambda v: v["states"][0].update(shape=[1] * 100), "impossible shape"),
        (lambda v: v["normaliser"].update(prior_timesteps=float("inf")), "prior_timesteps"),
        (lambda v: v["normaliser"].update(speech_threshold=None), "metadata"),
        (lambda v: v.update(window_timesteps=1.5), "whole numbers"),
        (lambda v: v.update(name=["a"]), "printable"),
        (lambda v: v.update(name="a\x1b[2J"), "printable"),
        (lambda v: v.update(training=3), "metadata"),
        (lambda v: v["labels"].__setitem__(0, "silence"), "none of"),
    ],
)
def test_models_that_contradict_themselves_are_refused(model_file, tmp_path, change, message):
    path = altered(model_file, tmp_path / "model.onnx", change)
    with pytest.raises(SerLiveError, match=message) as caught:
        Recognizer.load(path)
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_refused(model_file, tmp_path):
    proto = onnx.load(str(model_file))
    largest = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    largest.raw_data = b"\xff" * len(largest.raw_data)  # NaN
    onnx.save(proto, str(tmp_path / "nan.onnx"))
    with pytest.raises(SerLiveError, match="NaN"):
        Recognizer.load(tmp_path / "nan.onnx")


def test_other_files_are_no_models(model_file, tmp_path):
    whole = model_file.read_bytes()
    (tmp_path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.onnx").write_text("not a model")
    (tmp_path / "empty.onnx").touch()
    other = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]> g (float[1] x) => (float[1] y) { y = Relu(x) }'
    )
    onnx.save(other, str(tmp_path / "other.onnx"))
    for name in ("half", "text", "empty", "other", "missing"):
        with pytest.raises(SerLiveError, match=f"{name}.onnx") as caught:
            Recognizer.load(tmp_path / f"{name}.onnx")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_model_must_be_a_regular_file_and_a_pipe_does_not_block(tmp_path, make):
    make(tmp_path / "other.onnx")
    with pytest.raises(SerLiveError, match=r"other\.onnx: it is no regular file"):
        Recognizer.load(tmp_path / "other.onnx")
