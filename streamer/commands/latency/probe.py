"""Follows every estimate of a session from the sound to the output, from outside the session.

An estimate of the timestep that ends at T needs sound up to T + look-ahead (the tail of its last
frame, *framing*, counted separately). After that it waits for

- the *block*: the rest of the source's block that contains the last of this sound;
- the *resampler*: further blocks that it takes in before it outputs this sound;
- the *capture buffer*: age of a block when the device delivered it, according to the host API;
- *queueing*: how long the block then waited to be taken up; a recording's block is delivered at
  the moment that it is due;
- *front end, VAD, network, decision*: computing;
- *output*: a JSON line, rendered and written.

The session's clock gives the total latency of an estimate once it is out: the terms must add up to
it, and any difference is shown as the rest.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamer.commands.latency.stopwatch import PARTS, Stopwatch
from streamer.recognition.metadata import ModelMetadata
from streamer.session.clock import Clock
from streamer.session.events import AudioBlock, Estimated, Event, Gap
from streamer.signal import FRAME_TAIL_SAMPLES, SAMPLE_RATE, TIMESTEP_S

Float64 = NDArray[np.float64]

FRAMING_MS = 1000.0 * FRAME_TAIL_SAMPLES / SAMPLE_RATE
#: Terms measured for each estimate, in ms.
MEASURED_TERMS = ("block", "capture buffer", "resampler", "queueing", *PARTS, "output")
_COLUMNS = ("time", "end to end", *MEASURED_TERMS)
#: A sound server takes a second or two to find its buffer sizes; nothing before counts.
SETTLING_S = 2.0
#: Times are sums of floats; a microsecond is negligible.
_ROUNDING_S = 1e-6


class Arrival(NamedTuple):
    """The arrival of a block.

    Attributes:
        age_ms: age of its last frame when the source delivered it.
        waited_ms: time from then until it was taken up.
    """

    age_ms: float
    waited_ms: float


@dataclass(frozen=True)
class Passage:
    """The passage of estimates from the sound to the output.

    Attributes:
        time_s: ``(n,)`` end of the timesteps, stream time.
        labels: the estimates' labels.
        end_to_end_ms: ``(n,)`` time from ``time_s`` to the output.
        terms_ms: ``(n,)`` each, by name, including constant terms.
    """

    time_s: Float64
    labels: tuple[str, ...]
    end_to_end_ms: Float64
    terms_ms: dict[str, Float64]

    @property
    def sum_ms(self) -> Float64:
        """The sum of all terms ``(n,)``."""
        return np.asarray(sum(self.terms_ms.values()))

    @property
    def rest_ms(self) -> Float64:
        """The rest ``(n,)`` that the terms do not explain."""
        return self.end_to_end_ms - self.sum_ms

    def after(self, time_s: float) -> Passage:
        """Return the passage without the estimates up to a moment."""
        late = self.time_s > time_s
        labels = tuple(label for label, is_late in zip(self.labels, late, strict=True) if is_late)
        terms_ms = {name: values[late] for name, values in self.terms_ms.items()}
        return Passage(self.time_s[late], labels, self.end_to_end_ms[late], terms_ms)


@dataclass(frozen=True)
class Load:
    """The session's cost for the machine after :data:`SETTLING_S` of stream time.

    Attributes:
        audio_s: audio heard.
        real_time_factor: computing time over audio time.
        cpu_share: share of one core, for all threads of the process.
        deadline_misses: estimates with more than 40 ms for computing and output.
        overflows: losses that the device flagged.
        lost_samples: samples of the losses that began in that time, at the source's rate.
    """

    audio_s: float
    real_time_factor: float
    cpu_share: float
    deadline_misses: int
    overflows: int
    lost_samples: int


@dataclass(frozen=True, slots=True)
class _Use:
    """The process's resource use so far, and the device's flags."""

    wall_s: float
    cpu_s: float
    overflows: int

    @classmethod
    def now(cls, overflows: int) -> _Use:
        return cls(time.monotonic(), time.process_time(), overflows)


class Probe:
    """Wraps a session's clock, and is its listener and its last sink."""

    def __init__(
        self,
        clock: Clock,
        metadata: ModelMetadata,
        stopwatch: Stopwatch,
        arrival: Callable[[float], Arrival],
    ) -> None:
        """Watch a session.

        Args:
            clock: the source's clock.
            metadata: the model's.
            stopwatch: stopwatch of the session's recognizer.
            arrival: returns the arrival of the source's block that ends at a moment, in s, and is
                being taken up.
        """
        self._clock = clock
        self._look_ahead_s = metadata.look_ahead_ms / 1000.0
        self._stopwatch = stopwatch
        self._arrival = arrival
        self._block_ends_s: list[float] = []
        self._lost_lately = 0
        self._is_silence = False
        self._levels = array("d")
        self._taken_up_s = self._computed_s = 0.0
        self._arrived = Arrival(0.0, 0.0)
        self._parts_ms: dict[str, float] = {}
        self._rows = array("d")
        self._labels: list[str] = []
        self._settled: _Use | None = None
        self._audio_s = self._compute_s = 0.0
        self._deadline_misses = self._overflows = self._lost_samples = 0

    def wait_until(self, stream_s: float, block_s: float) -> None:
        """Wait as the clock does; then the block that ends at ``stream_s`` is taken up."""
        self._clock.wait_until(stream_s, block_s)
        self._taken_up_s = time.monotonic()
        self._arrived = self._arrival(stream_s)
        self._block_ends_s.append(stream_s)
        self._is_silence = False
        self._stopwatch.lap()

    def latency_ms(self, time_s: float) -> float | None:
        """Return the clock's latency."""
        return self._clock.latency_ms(time_s)

    def hear(self, heard: AudioBlock) -> None:
        """Note that the block was computed, or the silence for a reported :class:`Gap`."""
        self._computed_s = time.monotonic()
        if self._lost_lately:
            before_s = self._block_ends_s[-1] if self._block_ends_s else 0.0
            self._block_ends_s.append(before_s + self._lost_lately / heard.sample_rate)
            self._is_silence, self._lost_lately = True, 0
        self._parts_ms = self._stopwatch.lap()
        samples = heard.samples
        self._levels.append(float(np.sqrt(np.mean(samples * samples, dtype=np.float64))))
        if self._settled is not None:
            self._audio_s += len(samples) / heard.sample_rate
            self._compute_s += heard.compute_s
        elif self._block_ends_s[-1] >= SETTLING_S:
            self._settled = _Use.now(heard.overflows)
        self._overflows = heard.overflows

    def take(self, event: Event) -> None:
        """Note that an estimate is out."""
        match event:
            case Gap():
                self._lost_lately = event.lost_samples
                if event.time_s >= SETTLING_S:
                    self._lost_samples += event.lost_samples
            case Estimated() if event.latency_ms is not None and not self._is_silence:
                self._follow(event.estimate.time, event.estimate.label)

    def _follow(self, time_s: float, label: str) -> None:
        needed_s = time_s + self._look_ahead_s - _ROUNDING_S
        end_s = self._block_ends_s[-1]
        if needed_s > end_s:
            return  # flushed at the end: its look-ahead never came
        out_s = time.monotonic()
        end_to_end_ms = self._clock.latency_ms(time_s)
        assert end_to_end_ms is not None, "only a session with a clock can be measured"
        block_end_s = self._block_ends_s[bisect_left(self._block_ends_s, needed_s)]
        terms = {
            "block": 1000.0 * (block_end_s - time_s - self._look_ahead_s),
            "capture buffer": self._arrived.age_ms,
            "resampler": 1000.0 * (end_s - block_end_s),
            "queueing": self._arrived.waited_ms,
            **self._parts_ms,
            "output": 1000.0 * (out_s - self._computed_s),
        }
        self._rows.extend((time_s, end_to_end_ms, *(terms[name] for name in MEASURED_TERMS)))
        self._labels.append(label)
        self._deadline_misses += time_s > SETTLING_S and out_s - self._taken_up_s > TIMESTEP_S

    def passage(self) -> Passage:
        """Return every estimate so far, including those before the session had settled."""
        rows = np.array(self._rows).reshape(-1, len(_COLUMNS)).T
        time_s, end_to_end_ms, *measured = rows
        derived = {
            "framing": np.full(len(time_s), FRAMING_MS),
            "look-ahead": np.full(len(time_s), 1000.0 * self._look_ahead_s - FRAMING_MS),
        }
        terms_ms = derived | dict(zip(MEASURED_TERMS, measured, strict=True))
        return Passage(time_s, tuple(self._labels), end_to_end_ms, terms_ms)

    def levels(self) -> tuple[Float64, Float64]:
        """Return the starts of the blocks in s, and their RMS."""
        begins = [begin for begin, _ in pairwise((0.0, *self._block_ends_s))]
        heard = len(self._levels)  # the last block may only have been taken up
        return np.array(begins[:heard]), np.array(self._levels)

    def load(self) -> Load | None:
        """Return the cost so far; None before the session has settled."""
        before, now = self._settled, _Use.now(self._overflows)
        if before is None or not self._audio_s:
            return None
        return Load(
            self._audio_s,
            self._compute_s / self._audio_s,
            (now.cpu_s - before.cpu_s) / (now.wall_s - before.wall_s),
            self._deadline_misses,
            now.overflows - before.overflows,
            self._lost_samples,
        )
