"""Measures a session at the pace of the clock: a repeated recording, or the microphone."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamer.commands.latency.probe import SETTLING_S, Arrival, Load, Probe
from streamer.commands.latency.reactions import Reactions, reactions, sound_begins
from streamer.commands.latency.spread import Spread
from streamer.commands.latency.stopwatch import TimedRecognizer
from streamer.formats.lines import JsonLines
from streamer.session.clock import Pace
from streamer.session.interrupts import Interrupts
from streamer.session.run import run_session
from streamer.sound.capture.devices import Device
from streamer.sound.capture.losses import Mark
from streamer.sound.capture.microphone import CAPTURE_BLOCK_MS, Microphone
from streamer.sound.files.recording import Recording
from streamer.sound.resampler import resampler_look_ahead_s
from streamer.sound.source import NO_SIGNALS, Float32, Signals, Source


@dataclass(frozen=True)
class LiveCost:
    """Latency of a session's estimates, and the session's cost.

    Attributes:
        source: file or device.
        sample_rate: the source's, in Hz.
        resampler_bound_ms: the most that resampling may hold back, derived.
        estimates: number of estimates followed.
        terms_ms: terms by name.
        sum_ms: sum of each estimate's terms.
        end_to_end_ms: from the end of the timestep to the output.
        rest_ms: part of each estimate's latency that its terms do not explain.
        reactions: from sounds to labels.
        load: load on the machine.
    """

    source: str
    sample_rate: int
    resampler_bound_ms: float
    estimates: int
    terms_ms: dict[str, Spread]
    sum_ms: Spread
    end_to_end_ms: Spread
    rest_ms: Spread
    reactions: Reactions
    load: Load


class Repeated:
    """A source that repeats a recording for so many seconds."""

    def __init__(self, path: Path, seconds: float) -> None:
        """Open the recording.

        Raises:
            SerLiveError: it cannot be read.
        """
        with Recording(path) as recording:
            self.name, self.sample_rate = recording.name, recording.sample_rate
        self.clipped = self.overflows = 0
        self._path = path
        self._rest = round(seconds * self.sample_rate)

    def unheard(self, position: int) -> None:
        """Return None: a recording waits."""

    def blocks(self, block_ms: int) -> Iterator[Float32]:
        while self._rest > 0:
            with Recording(self._path) as recording:
                for block in recording.blocks(block_ms):
                    taken = block[: self._rest]
                    self._rest -= len(taken)
                    if not len(taken):
                        break
                    yield taken


class DatedMicrophone(Microphone):
    """A microphone that tells the age of its blocks on arrival, and how long they waited."""

    def __init__(
        self,
        device: Device,
        say: Callable[[str], None],
        *,
        duration_s: float,
        signals: Signals = NO_SIGNALS,
    ) -> None:
        """Do as :class:`Microphone`, but fail if the device is gone."""
        super().__init__(device, say, duration_s=duration_s, reconnects=False, signals=signals)
        self._marks: deque[Mark] = deque()
        self._before = Mark(0, 0.0, 0.0)

    def arrival(self, stream_s: float) -> Arrival:
        """Return the arrival of the block that ends at ``stream_s``, as its callback dated it.

        Queries must come in ascending order.
        """
        now_s = time.monotonic()
        position = round(stream_s * self.sample_rate) - self._passed.lost_outside
        while self._marks and self._marks[0].position < position:
            self._before = self._marks.popleft()
        if not self._marks:  # taken up while its callback still runs
            return Arrival(1000.0 * (self._before.arrived_s - self._before.captured_s), 0.0)
        mark = self._marks[0]
        further_s = (mark.position - position) / self.sample_rate
        age_s = mark.arrived_s - mark.captured_s + further_s
        return Arrival(1000.0 * age_s, 1000.0 * (now_s - mark.arrived_s))

    def _capture(self, frames: Float32, count: int, dates: Any, status: Any) -> None:
        super()._capture(frames, count, dates, status)
        if self._mark is not None:
            self._marks.append(self._mark)


def replay_probe(recognizer: TimedRecognizer, signals: Signals = NO_SIGNALS) -> Probe:
    """Return a probe for :class:`Repeated`, which delivers each block when it was heard.

    Signals end the wait for a block.
    """
    pace = Pace(1.0, signals)

    def due(stream_s: float) -> Arrival:
        return Arrival(0.0, pace.latency_ms(stream_s) or 0.0)

    return Probe(pace, recognizer.metadata, recognizer.stopwatch, due)


def microphone_probe(recognizer: TimedRecognizer, microphone: DatedMicrophone) -> Probe:
    """Return a probe for a microphone, which is its own clock."""
    return Probe(microphone, recognizer.metadata, recognizer.stopwatch, microphone.arrival)


def run_probed(
    source: Source, recognizer: TimedRecognizer, probe: Probe, interrupts: Interrupts
) -> None:
    """Run a session, discard its JSON lines, and follow its estimates.

    Raises:
        SerLiveError: the audio is damaged.
        RunFailure: the device is gone.
        Interrupted: a signal came. The probe keeps its data in each of these cases.
    """
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        run_session(
            source,
            recognizer,
            [JsonLines(nowhere, names_file=False), probe],
            clock=probe,
            block_ms=CAPTURE_BLOCK_MS,
            interrupts=interrupts,
            listeners=[probe],
        )


def live_cost(
    source: Source, probe: Probe, changes: Sequence[tuple[float, str]] = ()
) -> LiveCost | None:
    """Return a probe's results; None if the session ended before it had settled.

    Args:
        source: source of the session.
        probe: probe that followed it.
        changes: known changes of emotion in the audio.
    """
    whole, load = probe.passage(), probe.load()
    passage = whole.after(SETTLING_S)
    if load is None or not passage.labels:
        return None
    return LiveCost(
        source.name,
        source.sample_rate,
        1000.0 * resampler_look_ahead_s(source.sample_rate),
        len(passage.labels),
        {name: Spread.of(values) for name, values in passage.terms_ms.items()},
        Spread.of(passage.sum_ms),
        Spread.of(passage.end_to_end_ms),
        Spread.of(passage.rest_ms),
        reactions(whole, sound_begins(*probe.levels()), changes, since_s=SETTLING_S),
        load,
    )
