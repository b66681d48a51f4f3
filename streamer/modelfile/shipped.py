"""The model files that come with the program."""

from __future__ import annotations

import os
from pathlib import Path

from streamer.bundled import bundled

#: Shipped models beside the default, by the name that ``--model`` takes.
SHIPPED = {"research": "ser-live-research.onnx"}


def model_path(path: Path | str | None) -> Path:
    """A model file: the shipped default, another shipped one by its name, or any file."""
    if path is None:
        return bundled("ser-live.onnx")
    if str(path) in SHIPPED and not os.path.lexists(path):
        return bundled(SHIPPED[str(path)])
    return Path(path)
