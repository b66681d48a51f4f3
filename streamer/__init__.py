"""ser-live: speech emotion, live. ``Recognizer.load().stream()`` is the way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamer.errors import SerLiveError
    from streamer.recognizer import Estimate, Recognizer, Stream

__all__ = ["Estimate", "Recognizer", "SerLiveError", "Stream"]


def __getattr__(name: str) -> Any:
    # On demand: the command line starts without NumPy and onnxruntime.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from streamer import errors, recognizer

    return getattr(errors if name == "SerLiveError" else recognizer, name)
