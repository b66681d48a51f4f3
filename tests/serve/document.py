"""The document that describes the server, and what checks messages by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamer.serve import protocol

jsonschema = pytest.importorskip("jsonschema")
DOCUMENT = json.loads(Path(protocol.__file__).with_name("asyncapi.json").read_text())


def checker(name):
    """Validates a message by its schema."""
    resolved = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return jsonschema.Draft202012Validator(resolved)
