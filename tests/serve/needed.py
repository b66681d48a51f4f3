"""Imported first by tests of the server: they are skipped where it cannot be had."""

import pytest

for _name in ("starlette", "uvicorn", "websockets"):
    pytest.importorskip(_name, reason="the extra serve is not installed")
