"""ser-live: speech emotion, live. ``Recognizer.load().stream()`` is the way in."""

from streamer.errors import SerLiveError
from streamer.recognizer import Estimate, Recognizer, Stream

__all__ = ["Estimate", "Recognizer", "SerLiveError", "Stream"]
