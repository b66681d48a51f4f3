"""Inspects an untrusted ONNX file before anything runs it.

onnxruntime follows the paths that a file names, knows operators that read further files, and loops
as long as the file says. A network from timestep to estimate needs none of that, so a file that
asks for it is refused here. The field numbers are those of onnx.proto.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from streamer.errors import SerLiveError
from streamer.modelfile.wire import Value, bytes_of, fields_of

#: Our files have 3 MB, the paper's network has 8.
LARGEST_FILE = 64 * 2**20
#: Ours have 1,300; each node takes some, and takes time and memory to load.
MOST_FIELDS = 20_000

#: Kind of message -> number of a field that holds messages -> their kind.
_INNER = {
    "model": {7: "graph", 8: "operators", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        **{5: "tensor", 10: "tensor", 6: "subgraph", 11: "subgraph"},
        **{22: "sparse tensor", 23: "sparse tensor"},
    },
}
#: Kinds that are refused unread, and why.
_REFUSED = {
    "training": "trains as it runs",
    "function": "defines functions",
    "subgraph": "has loops or branches",
    "sparse tensor": "has sparse weights",
}
#: Field in which a message names the domain of its operators.
_DOMAIN = {"operators": 1, "node": 7}
_STANDARD_DOMAINS = (b"", b"ai.onnx")

#: Fields of a tensor.
_TYPE, _FLOATS, _INTEGERS, _RAW, _DOUBLES, _ELSEWHERE, _LOCATION = 2, 4, 5, 9, 10, 13, 14
#: Number of a data type -> NumPy's name, for the allowed types that can hold NaN.
_FLOAT_TYPES: dict[Value, str] = {1: "<f4", 10: "<f2", 11: "<f8"}
_HALF = 10
#: Numbers of the integer types of 8 to 64 bits and of the boolean type.
_WHOLE_TYPES = (2, 3, 4, 5, 6, 7, 9, 12, 13)
#: Fields of an attribute: a float, a tensor, floats.
_FLOAT, _TENSOR, _LIST = 2, 5, 7


def read_onnx(path: Path) -> bytes:
    """Read a file that holds a network with its weights, and nothing else.

    Raises:
        SerLiveError: it is damaged, too large, or asks for anything more.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise SerLiveError(f"larger than {LARGEST_FILE >> 20} MB")
    _Inspection().look_into("model", memoryview(data))
    return data


class _Inspection:
    """Checks the messages of one file and counts their fields."""

    def __init__(self) -> None:
        self._fields_left = MOST_FIELDS

    def look_into(self, kind: str, message: memoryview) -> None:
        """Refuse what is forbidden in a message and in the messages inside it.

        Duplicate fields are all checked: onnxruntime merges them or takes the last.
        """
        fields = list(islice(fields_of(message), self._fields_left + 1))
        self._fields_left -= len(fields)
        if self._fields_left < 0:
            raise SerLiveError("its network has far more parts than a ser-live model")
        if kind == "tensor":
            _check_tensor(fields)
        elif kind == "attribute":
            _check_attribute(fields)
        for number, value in fields:
            if number == _DOMAIN.get(kind) and bytes(bytes_of(value)) not in _STANDARD_DOMAINS:
                raise SerLiveError("it has operators of its own")
            inner = _INNER.get(kind, {}).get(number)
            if inner in _REFUSED:
                raise SerLiveError(f"it {_REFUSED[inner]}")
            if inner is not None:
                self.look_into(inner, bytes_of(value))


def _check_tensor(fields: list[tuple[int, Value]]) -> None:
    """Refuse values stored elsewhere, and values that spoil every product.

    The test run would not catch them all: a ReLU turns NaN into 0 on some machines. Floats in an
    encoding that is not read here are refused, whatever they are.
    """
    for number, value in fields:
        if number == _ELSEWHERE or (number == _LOCATION and value != 0):
            raise SerLiveError("its weights lie in another file")
    types = [value for number, value in fields if number == _TYPE]
    has_integers = any(number == _INTEGERS for number, _ in fields)
    if any(one not in (*_FLOAT_TYPES, *_WHOLE_TYPES) for one in types) or (
        _HALF in types and has_integers
    ):
        raise SerLiveError("its weights are numbers of a kind that ser-live does not read")
    for one in types:
        if one in _FLOAT_TYPES:
            _check_finite(fields, _RAW, _FLOAT_TYPES[one])
    _check_finite(fields, _FLOATS, "<f4")
    _check_finite(fields, _DOUBLES, "<f8")


def _check_attribute(fields: list[tuple[int, Value]]) -> None:
    """Check a constant likewise; neither check would catch a tensor in two parts."""
    if sum(number == _TENSOR for number, _ in fields) > 1:
        raise SerLiveError("a damaged ONNX file")
    _check_finite(fields, _FLOAT, "<f4")
    _check_finite(fields, _LIST, "<f4")


def _check_finite(fields: list[tuple[int, Value]], number: int, kind: str) -> None:
    """Check all values of a field together: they may come in any number of pieces."""
    data = b"".join(bytes_of(value) for one, value in fields if one == number)
    if len(data) % np.dtype(kind).itemsize:
        raise SerLiveError("a damaged ONNX file")
    values = np.frombuffer(data, kind)
    is_mask = values.size == 1 and np.isneginf(values[0])  # the attention's mask
    if not (is_mask or np.isfinite(values).all()):
        raise SerLiveError("its weights are damaged: they hold NaN or infinity")
