"""Copies of the shipped model with other metadata."""

from __future__ import annotations

import json

import onnx

from streamer.modelfile.identity import METADATA_KEY


def altered(model_file, path, change):
    """A copy of the shipped model with its metadata changed."""
    proto = onnx.load(str(model_file))
    values = json.loads(proto.metadata_props[0].value)
    change(values)
    onnx.helper.set_model_props(proto, {METADATA_KEY: json.dumps(values)})
    onnx.save(proto, str(path))
    return path
