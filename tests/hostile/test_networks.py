"""Hostile networks: refused before the first estimate, within time and memory."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamer.commands.program import main
from streamer.errors import RunFailure
from streamer.modelfile import runtime as inference
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupts

pytest.importorskip("resource", reason="this system limits no memory")

from tests.helpers.places import CLIPS
from tests.hostile.networks import (
    allocate,
    compute_for_long,
    elsewhere,
    foreign_operator,
    loop_forever,
    multiply,
    own_function,
    poisoned,
    push_nothing,
    refusal,
    replaced,
    retyped,
    sequence_output,
    shipped_model,
    sparse_weights,
    transpose,
    weight,
    wider_with_more_timesteps,
)

ATTACKS = {
    "NaN that a ReLU hides": (poisoned(np.nan), "NaN"),
    "infinite weight": (poisoned(np.inf), "NaN or infinity"),
    "weights turned round": (transpose, "not an ONNX file that can be run|does not fit"),
    "newest operators": (lambda p: setattr(p.opset_import[0], "version", 999), "can be run"),
    "newest format": (lambda p: setattr(p, "ir_version", 999), "can be run"),
    "external weights": (lambda p: elsewhere(weight(p), "weights.bin"), "another file"),
    "weights up a folder": (lambda p: elsewhere(weight(p), "../weights.bin"), "another file"),
    "a system file": (lambda p: elsewhere(weight(p), "/etc/passwd"), "another file"),
    "memory as weights": (lambda p: elsewhere(weight(p), "*/_ORT_MEM_ADDR_/*"), "another file"),
    "endless loop": (loop_forever, "loops"),
    "40 GB": (allocate, "memory"),
    "foreign operator": (foreign_operator, "operators of its own"),
    "own function": (own_function, "functions"),
    "training": (lambda p: p.training_info.add(), "trains"),
    "sparse weights": (sparse_weights, "sparse"),
    "a sequence": (sequence_output, "other inputs or outputs"),
    "double precision": (lambda p: retyped(p, "attention", TensorProto.DOUBLE), "other inputs"),
    "half precision": (lambda p: retyped(p, "attention", TensorProto.FLOAT16), "other inputs"),
    "text": (lambda p: retyped(p, "attention", TensorProto.STRING), "other inputs"),
    "probability 10^9": (lambda p: multiply(p, "probabilities", 1e9), "no probability"),
    "negative attention": (lambda p: multiply(p, "attention", -1), "no probability"),
    "a delay line that stands still": (push_nothing, "other shapes"),
    "too many parts": (
        lambda p: p.graph.node.extend(helper.make_node("Relu", ["a"], ["b"]) for _ in range(7_000)),
        "far more parts",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_networks_are_refused(tmp_path, name):
    attack, words = ATTACKS[name]
    proto = shipped_model()
    (tmp_path / "models").mkdir()
    for place in (tmp_path, tmp_path / "models"):  # following the path would succeed
        (place / "weights.bin").write_bytes(weight(proto).raw_data)
    attack(proto)
    path = tmp_path / "models" / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    assert re.search(words, refusal(path))


def holding(*parts):
    """Make a network of only these tensors and nodes."""
    graph = onnx.GraphProto()
    for part in parts:
        (graph.initializer if isinstance(part, TensorProto) else graph.node).append(part)
    return onnx.ModelProto(graph=graph).SerializeToString()


def tensor(kind, **values):
    (numbers,) = values.values()
    size = 1 if isinstance(numbers, bytes) else len(numbers)
    return TensorProto(name="further", dims=[size], data_type=kind, **values)


def in_pieces(numbers):
    """Store floats in separate fields, each of which could be a mask."""
    packed = np.array(numbers, "<f4").tobytes()
    pieces = b"".join(b"%" + packed[first : first + 4] for first in range(0, len(packed), 4))
    whole = holding(tensor(TensorProto.FLOAT, float_data=numbers))
    assert len(numbers) == 2  # so both are of one length
    return whole.replace(b'"\x08' + packed, pieces)


def in_two_parts(one, other):
    """Store a constant's tensor as two messages, which readers merge."""

    def field(number, message):
        return bytes([number << 3 | 2, len(message)]) + message

    attribute = helper.make_attribute("value", one).SerializeToString()
    attribute += field(5, other.SerializeToString())
    node = helper.make_node("Constant", [], ["further"]).SerializeToString()
    return field(7, field(1, node + field(5, attribute)))


HIDDEN = {
    "infinity where a mask may be": holding(tensor(TensorProto.FLOAT, float_data=[np.inf])),
    "two masks": in_pieces([-np.inf, -np.inf]),
    "NaN of half precision": holding(tensor(TensorProto.FLOAT16, raw_data=b"\x00\x7e")),
    "the same as a whole number": holding(tensor(TensorProto.FLOAT16, int32_data=[0x7E00])),
    "NaN of a short exponent": holding(tensor(TensorProto.BFLOAT16, raw_data=b"\xc0\x7f")),
    "a complex NaN": holding(tensor(TensorProto.COMPLEX64, float_data=[np.nan, 0.0])),
    "a constant": holding(helper.make_node("Constant", [], ["further"], value_float=np.nan)),
    "constants": holding(helper.make_node("Constant", [], ["further"], value_floats=[np.nan, 1.0])),
    "a constant in two parts": in_two_parts(
        TensorProto(dims=[1], data_type=TensorProto.INT32, raw_data=b"\x00\x00\xc0\x7f"),
        TensorProto(data_type=TensorProto.FLOAT),
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_nan_and_infinity_are_found_wherever_they_are_written(tmp_path, model_file, name):
    """Readers merge bytes appended to a model into it."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file.read_bytes() + HIDDEN[name])
    onnx.load(str(path))
    assert re.search("NaN or infinity|numbers of a kind|damaged ONNX file", refusal(path))


def test_masks_and_integers_are_not_damage(tmp_path, model_file):
    harmless = [
        tensor(TensorProto.FLOAT, float_data=[-np.inf]),
        tensor(TensorProto.INT64, int64_data=[-1]),
        tensor(TensorProto.BOOL, int32_data=[1]),
    ]
    for number, one in enumerate(harmless):
        one.name = f"further {number}"
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file.read_bytes() + holding(*harmless))
    assert Recognizer.load(path).metadata.name == Recognizer.load(model_file).metadata.name


def test_a_network_that_computes_for_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(inference, "TIME_LIMIT_S", 0.5)
    proto = shipped_model()
    compute_for_long(proto)
    path = tmp_path / "slow.onnx"
    path.write_bytes(proto.SerializeToString())
    refusal(path)


def test_a_fault_in_mid_stream_is_a_run_failure(tmp_path, speech):
    """The model works until the fifth timestep."""
    proto = shipped_model()
    limit = numpy_helper.from_array(np.array(5), "limit")
    proto.graph.initializer.append(limit)
    replaced(
        proto,
        "probabilities",
        helper.make_node("Greater", ["position", "limit"], ["is_late"]),
        helper.make_node("Cast", ["is_late"], ["late"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["late"], ["more"], keepdims=0),
        helper.make_node("Add", ["before", "more"], ["probabilities"]),
    )
    path = tmp_path / "later.onnx"
    path.write_bytes(proto.SerializeToString())
    stream = Recognizer.load(path).stream()
    with pytest.raises(RunFailure, match="no probability"):
        stream.accept(speech)


def test_a_network_that_misbehaves_with_many_timesteps_ends_in_one_line(tmp_path, capsys):
    proto = shipped_model()
    wider_with_more_timesteps(proto)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    arguments = ["--speed", "max", "--format", "jsonl", "--model", str(path)]
    assert main(["replay", str(CLIPS[0]), *arguments], Interrupts()) == 1
    err = capsys.readouterr().err
    assert err == "ser-live: the network of the model failed in the middle of the run\n"
