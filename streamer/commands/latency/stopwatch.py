"""Times each part of a step from outside: the run-time code is not aware of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streamer.recognition.metadata import ModelMetadata
from streamer.recognition.recognizer import Recognizer
from streamer.recognition.voice_gate import SpeechDetector

if TYPE_CHECKING:
    import onnxruntime

#: Parts of a step, in the order that a timestep passes through them.
PARTS = ("front end", "VAD", "network", "decision")


class Stopwatch:
    """Adds up the time of each part; a part called inside another counts separately."""

    def __init__(self) -> None:
        self._spent_ms = dict.fromkeys(PARTS, 0.0)
        self._inside_s = [0.0]

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same function with its time counted for the part."""

        def call(*arguments: Any, **options: Any) -> Any:
            self._inside_s.append(0.0)
            began = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                whole_s = time.perf_counter() - began
                self._spent_ms[part] += 1000.0 * (whole_s - self._inside_s.pop())
                self._inside_s[-1] += whole_s

        return call

    def lap(self) -> dict[str, float]:
        """Return milliseconds by part since the last lap."""
        spent, self._spent_ms = self._spent_ms, dict.fromkeys(PARTS, 0.0)
        self._inside_s = [0.0]
        return spent


class _Timed:
    """Wraps an object; the calls of one method count for a part."""

    def __init__(self, wrapped: Any, stopwatch: Stopwatch, part: str, method: str) -> None:
        self._wrapped = wrapped
        setattr(self, method, stopwatch.timed(part, getattr(wrapped, method)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


class TimedRecognizer(Recognizer):
    """A recognizer with timed parts.

    Attributes:
        stopwatch: stopwatch with the times.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        metadata: ModelMetadata,
        detector: SpeechDetector | None = None,
    ) -> None:
        self.stopwatch = Stopwatch()

        def timed(wrapped: Any, part: str, method: str) -> Any:
            return _Timed(wrapped, self.stopwatch, part, method)

        gate = timed(detector or SpeechDetector(), "VAD", "accept_many")
        super().__init__(session, metadata, gate)
        self._network = timed(self._network, "network", "step")
        self._analysis = timed(self._analysis, "front end", "accept_many")
        self._normaliser = timed(self._normaliser, "front end", "normalise_many")
        self._decision = timed(self._decision, "decision", "decide")
