"""A model's name and digest, read without NumPy and onnxruntime, which are slow to import."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from streamer.errors import SerLiveError, printable
from streamer.modelfile.wire import bytes_of, fields_of

#: Key of the ONNX property that holds our metadata, as JSON.
METADATA_KEY = "ser-live"
#: Digits that tell models apart, for people.
SHOWN_DIGITS = 12

#: Field numbers of onnx.proto: the model's properties, and the key and value of one.
_PROPERTIES, _KEY, _VALUE = 14, 1, 2


class ModelIdentity(NamedTuple):  # dataclasses are slow to import
    """Which model it is.

    Attributes:
        name: name that it gives itself.
        digest: SHA-256 of its file, in hexadecimal digits.
    """

    name: str
    digest: str

    def __str__(self) -> str:
        return f"{printable(self.name)}, sha256 {self.digest[:SHOWN_DIGITS]}"


def identify(path: Path) -> ModelIdentity:
    """Identify a model file, without checking that it can run.

    Raises:
        SerLiveError: it cannot be read, or is not a model of ours.
    """
    try:
        data = path.read_bytes()
        name = _name(memoryview(data))
    except OSError as error:
        raise SerLiveError(f"model {path}: {error.strerror}") from error
    except SerLiveError as error:
        raise SerLiveError(f"model {path}: {error}") from error
    return ModelIdentity(name, hashlib.sha256(data).hexdigest())


def _name(model: memoryview) -> str:
    for number, value in fields_of(model):
        if number != _PROPERTIES:
            continue
        entry = {key: bytes(bytes_of(part)) for key, part in fields_of(bytes_of(value))}
        if entry.get(_KEY) != METADATA_KEY.encode():
            continue
        try:
            return str(json.loads(entry[_VALUE])["name"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise SerLiveError("its metadata is incomplete or wrong") from error
    raise SerLiveError("not a ser-live model")
