"""Writes the commit into what hatchling builds; ``streamer/version.py`` reads it."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface):
    """Adds ``streamer/commit.txt`` to wheels and source archives built from a checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file; an editable install asks git each time."""
        root = Path(self.root)
        known = _version_module(root)
        commit = known.checkout_commit(root)
        if version == "editable" or not commit:
            return
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / known.COMMIT_FILE
        path.write_text(f"{commit}\n", encoding="ascii")
        build_data["force_include"][str(path)] = f"streamer/{known.COMMIT_FILE}"

    def finalize(self, *_: object) -> None:
        """Remove the temporary file."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def _version_module(root: Path) -> Any:
    """Return ``streamer/version.py``, which needs nothing that the build lacks."""
    spec = importlib.util.spec_from_file_location("_version", root / "streamer" / "version.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
