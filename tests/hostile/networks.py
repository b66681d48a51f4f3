"""Changes that make the shipped network hostile."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamer.bundled import bundled
from streamer.errors import SerLiveError
from streamer.recognition.recognizer import Recognizer

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


def push_nothing(proto):
    """Yield no newest row for a delay line."""
    for name, number in (("first", 0), ("last", 0), ("axis", 1)):
        proto.graph.initializer.append(numpy_helper.from_array(np.array([number]), name))
    names = ["before", "first", "last", "axis"]
    replaced(proto, "next_frames", helper.make_node("Slice", names, ["next_frames"]))


def transpose(proto):
    tensor = max(proto.graph.initializer, key=lambda one: len(one.raw_data))
    tensor.dims[:] = tensor.dims[::-1]


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
