from __future__ import annotations

from tests.end_to_end.conftest import wav

__all__ = ["wav"]  # fixtures
