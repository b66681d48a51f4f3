"""ser-live: live speech emotion recognition. 16 kHz mono float32 in, an estimate every 40 ms out.

>>> import numpy as np
>>> stream = Recognizer.load().stream()
>>> [estimate.label for estimate in stream.accept(np.zeros(4_000, np.float32))]
['silence']

The names below are public. Everything else belongs to the command ``ser-live`` and may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamer.client import connect
    from streamer.errors import SerLiveError
    from streamer.formats.reader import RecordedSession, read_sessions
    from streamer.recognition.estimate import Estimate, StreamState
    from streamer.recognition.metadata import ModelMetadata
    from streamer.recognition.profile import Profile
    from streamer.recognition.recognizer import Recognizer
    from streamer.recognition.stream import Stream
    from streamer.sound.resampler import Resampler

__all__ = [
    "Estimate",
    "ModelMetadata",
    "Profile",
    "Recognizer",
    "RecordedSession",
    "Resampler",
    "SerLiveError",
    "Stream",
    "StreamState",
    "connect",
    "read_sessions",
]

_MODULES = {
    "Estimate": "recognition.estimate",
    "ModelMetadata": "recognition.metadata",
    "Profile": "recognition.profile",
    "Recognizer": "recognition.recognizer",
    "RecordedSession": "formats.reader",
    "Resampler": "sound.resampler",
    "SerLiveError": "errors",
    "Stream": "recognition.stream",
    "StreamState": "recognition.estimate",
    "connect": "client",
    "read_sessions": "formats.reader",
}


def __getattr__(name: str) -> Any:
    # Imported on demand: the command line starts without NumPy and onnxruntime.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"streamer.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
