"""Reads and opens model files, which need not be trusted."""

from __future__ import annotations

import os
from pathlib import Path

from streamer.errors import SerLiveError
from streamer.modelfile.identity import METADATA_KEY
from streamer.modelfile.inspection import read_onnx
from streamer.modelfile.runtime import NetworkFile
from streamer.modelfile.shipped import SHIPPED
from streamer.recognition.metadata import ONE_STEP, ModelMetadata


def open_model(path: Path) -> tuple[NetworkFile, ModelMetadata]:
    """Open a model file on one thread; it need not be trusted.

    Raises:
        SerLiveError: the file is missing, not a model of ours, or of another schema.
    """
    return opened(path, read_model(path))


def read_model(path: Path) -> bytes:
    """Read a model file and inspect it; raises as :func:`open_model` does."""
    if not os.path.isfile(path):  # noqa: PTH113 (Path raises on names that are too long)
        is_there = os.path.lexists(path)
        why = "it is no regular file" if is_there else "no such file"
        if not is_there and not path.suffix and path.name == str(path):
            why += f", and no shipped model has that name; {', '.join(SHIPPED)} has"
        raise SerLiveError(f"model {path}: {why}")
    try:
        return read_onnx(path)
    except SerLiveError as error:
        raise SerLiveError(f"model {path}: {error}") from error
    except OSError as error:
        raise SerLiveError(f"model {path}: {error.strerror}") from error


def opened(path: Path, data: bytes) -> tuple[NetworkFile, ModelMetadata]:
    """Open a file's bytes; returns as :func:`open_model` does."""
    try:
        network = NetworkFile(data)
        properties = network.variant(**ONE_STEP).get_modelmeta().custom_metadata_map
    except Exception as error:  # onnxruntime raises a dozen unrelated types
        raise SerLiveError(f"model {path}: not an ONNX file that can be run") from error
    if METADATA_KEY not in properties:
        raise SerLiveError(f"model {path}: an ONNX file, but not a ser-live model")
    try:
        return network, ModelMetadata.from_json(properties[METADATA_KEY])
    except SerLiveError as error:
        raise SerLiveError(f"model {path}: {error}") from error
