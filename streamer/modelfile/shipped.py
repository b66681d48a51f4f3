"""The model files that ship with the program."""

from __future__ import annotations

import os
from pathlib import Path

from streamer.bundled import bundled

#: Shipped models besides the default, by their name for ``--model``.
SHIPPED = {"research": "ser-live-research.onnx"}


def model_path(path: Path | str | None) -> Path:
    """Return the path of a model: the shipped default, another shipped one by name, or any file."""
    if path is None:
        return bundled("ser-live.onnx")
    if str(path) in SHIPPED and not os.path.lexists(path):
        return bundled(SHIPPED[str(path)])
    return Path(path)
