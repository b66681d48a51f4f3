"""Hostile model files: refused before the first estimate, in one line, within time and memory."""

from __future__ import annotations

import json
import random
import re
import struct

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from streamer.bundled import bundled
from streamer.commands.program import main
from streamer.errors import RunFailure, SerLiveError
from streamer.modelfile import runtime as inference
from streamer.modelfile.identity import METADATA_KEY
from streamer.modelfile.inspection import LARGEST_FILE
from streamer.recognition.metadata import ModelMetadata
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupts

pytest.importorskip("resource", reason="this system limits no memory")

from tests.helpers.command import complaint, ser_live
from tests.helpers.places import CLIPS
from tests.hostile.mutation import mutated
from tests.hostile.trial import try_files

FIRST_WEIGHT = "network.front.first.weight"


def shipped_model():
    return onnx.load(str(bundled("ser-live.onnx")))


def weight(proto, name=FIRST_WEIGHT):
    return next(tensor for tensor in proto.graph.initializer if tensor.name == name)


def replaced(proto, output, *nodes):
    """Rename an output's value to ``before``, and let nodes make the output from it."""
    for node in proto.graph.node:
        for place in (node.input, node.output):
            place[:] = ["before" if name == output else name for name in place]
    proto.graph.node.extend(nodes)


def retyped(proto, output, kind):
    """Give an output a type other than float32."""
    replaced(proto, output, helper.make_node("Cast", ["before"], [output], to=kind))
    value = next(one for one in proto.graph.output if one.name == output)
    value.type.tensor_type.elem_type = kind


def poisoned(value):
    def attack(proto):
        values = numpy_helper.to_array(weight(proto)).copy()
        values[0, 0, 0, 0] = value
        weight(proto).CopyFrom(numpy_helper.from_array(values, FIRST_WEIGHT))

    return attack


def elsewhere(tensor, location):
    """Let a tensor refer to its bytes in another file."""
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)


def loop_forever(proto):
    """Loop 2^63 times on the way to an output."""
    body = onnx.parser.parse_graph(
        "b (int64 i, bool on, float[n, m] a) => (bool still, float[n, m] c)"
        " { still = Identity(on) c = Identity(a) }"
    )
    proto.graph.initializer.append(numpy_helper.from_array(np.array(2**63 - 1), "times"))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(True), "on"))
    loop = helper.make_node("Loop", ["times", "on", "before"], ["attention"], body=body)
    replaced(proto, "attention", loop)


def allocate(proto):
    """Multiply a row by a column into 40 GB."""
    side = np.ones((100_000, 1), np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(side, "column"))
    proto.graph.initializer.append(numpy_helper.from_array(side.T.copy(), "row"))
    replaced(
        proto,
        "attention",
        helper.make_node("MatMul", ["column", "row"], ["huge"]),
        helper.make_node("ReduceMin", ["huge"], ["one"], keepdims=0),
        helper.make_node("Mul", ["before", "one"], ["attention"]),
    )


def compute_for_long(proto):
    """Multiply large matrices, one after the other, for a quarter of an hour."""
    matrix = np.full((1_800, 1_800), 1 / 1_800, np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(matrix, "power_0"))
    for step in range(3_000):
        names = [f"power_{step}", "power_0"], [f"power_{step + 1}"]
        proto.graph.node.append(helper.make_node("MatMul", *names))
    last = helper.make_node("ReduceMean", ["power_3000"], ["one"], keepdims=0)
    replaced(proto, "attention", last, helper.make_node("Mul", ["before", "one"], ["attention"]))


def multiply(proto, output, factor):
    constant = numpy_helper.from_array(np.float32(factor), "factor")
    proto.graph.initializer.append(constant)
    replaced(proto, output, helper.make_node("Mul", ["before", "factor"], [output]))


def foreign_operator(proto):
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    node = helper.make_node("Gelu", ["before"], ["attention"], domain="com.microsoft")
    replaced(proto, "attention", node)


def own_function(proto):
    opset = helper.make_opsetid("", 20)
    relu = helper.make_node("Relu", ["a"], ["b"])
    proto.functions.append(helper.make_function("", "Mine", ["a"], ["b"], [relu], [opset]))


def sparse_weights(proto):
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    indices = numpy_helper.from_array(np.zeros(1, np.int64))
    sparse = helper.make_sparse_tensor(values, indices, [2**31, 2**31])
    proto.graph.sparse_initializer.append(sparse)


def sequence_output(proto):
    node = helper.make_node("SequenceConstruct", ["before"], ["attention"])
    replaced(proto, "attention", node)
    value = next(one for one in proto.graph.output if one.name == "attention")
    value.type.CopyFrom(helper.make_sequence_type_proto(value.type))


def transpose(proto):
    tensor = max(proto.graph.initializer, key=lambda one: len(one.raw_data))
    tensor.dims[:] = tensor.dims[::-1]


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
    "too many parts": (
        lambda p: p.graph.node.extend(helper.make_node("Relu", ["a"], ["b"]) for _ in range(7_000)),
        "far more parts",
    ),
}


def refusal(path):
    """Return the error for a model file, which must be refused as unreadable input."""
    with pytest.raises(SerLiveError) as caught:
        Recognizer.load(path)
    assert caught.value.exit_code == 2
    line = str(caught.value)
    assert line.startswith(f"model {path}: ")
    assert line.isprintable()
    assert len(line) < 500
    return line


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


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99, 0.9999])
def test_truncated_models_are_refused(tmp_path, model_file, share):
    whole, path = model_file.read_bytes(), tmp_path / "cut.onnx"
    path.write_bytes(whole[: int(share * len(whole))])
    refusal(path)


def test_other_files_are_no_models(tmp_path):
    assert "not a ser-live model" in refusal(bundled("voice-gate.onnx"))
    large, ort = tmp_path / "large.onnx", tmp_path / "model.ort"
    with large.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    assert "larger than 64 MB" in refusal(large)
    ort.write_bytes(struct.pack("<I4s", 32, b"ORTM") + bytes(1_000))  # onnxruntime's own format
    refusal(ort)
    refusal(bundled("demo.flac"))


def test_an_output_whose_name_is_not_text_prints_nothing(tmp_path, model_file, capfd):
    """By default onnxruntime prints on stdout that it tries again."""
    before, name, after = model_file.read_bytes().rpartition(b"probabilities")
    path = tmp_path / "model.onnx"
    path.write_bytes(before + b"\xef" + name[1:] + after)
    refusal(path)
    assert capfd.readouterr() == ("", "")


def deep(levels):
    return "[" * levels + "]" * levels


HOSTILE_TEXTS = {
    "no object": "[1]",
    "no text": "\x00",
    "nothing": "",
    "brackets without end": deep(100_000),
    "a schema without end": json.dumps({"schema": "9" * 100_000}),
    "a number without end": '{"schema": ' + "9" * 100_000 + "}",
}


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_text_that_is_not_metadata_is_refused(tmp_path, name):
    proto = shipped_model()
    helper.set_model_props(proto, {METADATA_KEY: HOSTILE_TEXTS[name]})
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    refusal(path)


HOSTILE_METADATA = {
    "window": (lambda v: v.update(window_timesteps=10**9), "window"),
    "look-ahead": (lambda v: v.update(delay_timesteps=-4, look_ahead_samples=-2320), "delay"),
    "no temperature": (lambda v: v.update(temperature=0), "temperature"),
    "NaN temperature": (lambda v: v.update(temperature=float("nan")), "temperature"),
    "text as temperature": (lambda v: v.update(temperature="1"), "wrong"),
    "escape in a label": (lambda v: v["labels"].__setitem__(0, "\x1b[2J"), "printable"),
    "lines in a label": (lambda v: v["labels"].__setitem__(0, "a\nb"), "printable"),
    "reversed label": (lambda v: v["labels"].__setitem__(0, "a\u202eb"), "printable"),
    "endless label": (lambda v: v["labels"].__setitem__(0, "a" * 10**6), "characters"),
    "empty label": (lambda v: v["labels"].__setitem__(0, " "), "characters"),
    "label that is no text": (lambda v: v["labels"].__setitem__(0, 7), "printable"),
    "endless fact": (lambda v: v["training"].update(licence="a" * 10**6), "characters"),
    "huge prior": (lambda v: v["normaliser"].update(prior_spectrum=[10**400] * 201), "wrong"),
    "no prior": (lambda v: v["normaliser"].update(prior_spectrum=[0.0] * 201), "positive"),
    "shares of fewer labels": (lambda v: v.update(everyday_prior=[0.5, 0.5]), "one a label"),
    "a share of nothing": (lambda v: v.update(everyday_prior=[0.0, 0.1, 0.8, 0.1]), "between"),
    "a share below nothing": (lambda v: v.update(everyday_prior=[-0.5, 0.5, 0.5, 0.5]), "between"),
    "NaN as a share": (lambda v: v.update(everyday_prior=[float("nan")] * 4), "between"),
    "endless share": (lambda v: v.update(everyday_prior=[10**400] * 4), "between"),
    "text as shares": (lambda v: v.update(everyday_prior="0.25"), "between"),
    "shares of more than all": (lambda v: v.update(everyday_prior=[0.3] * 4), "sum to 1"),
    "shares that are one": (lambda v: v.update(everyday_prior=0.25), "wrong"),
    "endless unknown key": (lambda v: v["decision"].update({"a" * 10**6: 1}), "wrong"),
    "state twice": (lambda v: v["states"].append(v["states"][0]), "different names"),
    "large states": (
        lambda v: v["states"].extend(
            {"name": f"s{i}", "shape": [2**23], "dtype": "int64"} for i in range(100)
        ),
        "values in all",
    ),
    "position of text": (lambda v: v["states"][-1].update(dtype="float32"), "other inputs"),
}


@pytest.mark.parametrize("name", HOSTILE_METADATA)
def test_hostile_metadata_is_refused(tmp_path, name):
    change, words = HOSTILE_METADATA[name]
    proto = shipped_model()
    values = json.loads(proto.metadata_props[0].value)
    change(values)
    helper.set_model_props(proto, {METADATA_KEY: json.dumps(values)})
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    assert words in refusal(path)


def places(values, path=()):
    """Return paths to every value in a JSON object; in long lists, only to the first."""
    yield path
    items = values.items() if isinstance(values, dict) else enumerate(values[:1])
    for key, value in items:
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))
        else:
            yield (*path, key)


METADATA = json.loads(shipped_model().metadata_props[0].value)
hostile_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([10**400, -(10**400), "a" * 1_000, [], {}, [[]], {"a": 1}, ["a"] * 9]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.sampled_from(sorted(places(METADATA), key=str)), value=hostile_values)
def test_any_value_in_the_metadata_is_read_or_refused(place, value):
    values = json.loads(json.dumps(METADATA))
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    if place:
        inner[place[-1]] = value
    else:
        values = value
    try:
        metadata = ModelMetadata.from_json(json.dumps(values))
    except SerLiveError as error:
        assert error.exit_code == 2
    else:
        assert metadata.look_ahead_ms > 0


def test_any_mutated_model_is_read_or_refused(tmp_path, model_file):
    """The structure is at both ends of a file, the weights between; a change may hit either.

    Changed weights may do harm only in mid-stream: then the run fails, with one line.
    """
    whole, chance = model_file.read_bytes(), random.Random(1)
    paths = []
    for number in range(60):
        path = tmp_path / f"{number}.onnx"
        at_the_end = number % 2
        data = whole[::-1] if at_the_end else whole
        data = mutated(data, chance, reach=40_000)
        path.write_bytes(data[::-1] if at_the_end else data)
        paths.append(path)
    outcomes = try_files("models", paths)
    found = {
        path: outcome
        for path, outcome in outcomes.items()
        if not (
            outcome.kind in ("read", "refused") or outcome.line.endswith("what is no probability")
        )
        or outcome.seconds > 20
        or outcome.peak_mb > 1000
    }
    assert not found


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


def test_a_hostile_model_is_one_line_and_exit_2(tmp_path, wav):
    path = tmp_path / "model.onnx"
    proto = shipped_model()
    loop_forever(proto)
    path.write_bytes(proto.SerializeToString())
    for arguments in (["info"], ["replay", wav]):
        result = ser_live(*arguments, "--model", path)
        assert result.returncode == 2
        assert result.stdout == b""
        assert "loops" in complaint(result)


def wider_with_more_timesteps(proto):
    """Make a state's width grow with the number of timesteps; one timestep looks fine."""
    ones = numpy_helper.from_array(np.ones(2, np.int64), "ones")
    second = numpy_helper.from_array(np.array([1]), "second")
    proto.graph.initializer.extend([ones, second])
    nodes = [
        helper.make_node("Shape", ["features"], ["shape"]),
        helper.make_node("Gather", ["shape", "second"], ["timesteps"]),
        helper.make_node("Concat", ["ones", "timesteps"], ["repeats"], axis=0),
        helper.make_node("Tile", ["before", "repeats"], ["next_frames"]),
    ]
    replaced(proto, "next_frames", *nodes)
    value = next(one for one in proto.graph.output if one.name == "next_frames")
    value.type.tensor_type.shape.dim[2].dim_param = "any"


def test_a_network_that_misbehaves_with_many_timesteps_ends_in_one_line(tmp_path, capsys):
    proto = shipped_model()
    wider_with_more_timesteps(proto)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    arguments = ["--speed", "max", "--format", "jsonl", "--model", str(path)]
    assert main(["replay", str(CLIPS[0]), *arguments], Interrupts()) == 1
    err = capsys.readouterr().err
    assert err == "ser-live: the network of the model failed in the middle of the run\n"
