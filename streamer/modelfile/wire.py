"""The wire format of ONNX files, which is that of protocol buffers.

The onnx package is a dependency of training only, and a file must be inspected before anything else
reads it.
"""

from __future__ import annotations

from collections.abc import Iterator

from streamer.errors import SerLiveError

#: Value of a field: a number, or bytes.
Value = int | memoryview

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def bytes_of(value: Value) -> memoryview:
    """Return the bytes of a field.

    Raises:
        SerLiveError: it is a number.
    """
    if isinstance(value, int):
        raise SerLiveError("a damaged ONNX file")
    return value


def fields_of(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield the number and value of each field; fixed-size values as bytes.

    Raises:
        SerLiveError: it is damaged, or not such a message.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == _LENGTH:
            size, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise SerLiveError("no ONNX file")
        if size > len(message) - at:
            raise SerLiveError("a damaged ONNX file, or none")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number of seven bits per byte, lowest bits first, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at == len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise SerLiveError("a damaged ONNX file, or none")
