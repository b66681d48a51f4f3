"""The screen's data on a session: a sink that stores the newest state and waits for nobody."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from streamer.appearance import GAP_CODE, STATE_CODES
from streamer.recognition.decision import SILENCE, UNCERTAIN, WARMING_UP
from streamer.screen.drawing.meter import NO_LEVEL, Meter
from streamer.screen.history import NO_HISTORY, History, Log
from streamer.screen.lateness import NO_LATENESS, Lateness, LatenessCounts
from streamer.session.events import (
    AudioBlock,
    Estimated,
    Event,
    Gap,
    SessionEnded,
    SessionStarted,
    SourceAway,
)
from streamer.signal import TIMESTEP_S

Float32 = NDArray[np.float32]

#: Weight of the past, per step, in a step's mean cost: it follows the last second or two.
_COST_MEMORY = 0.97


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A session at one moment; immutable.

    Attributes:
        session: its first event, None before that.
        time: end of the newest timestep in stream time, seconds.
        label: the newest; "warming up" only at the start, because after a pause it says no more to
            the user than "uncertain".
        probabilities: ``(labels,)`` newest; with an emotion, those that decided the label.
        speech: newest speech probability.
        attention: ``(T,)`` weights over the rolling window, newest last.
        history: labels of the last ten minutes, and totals of the session.
        lateness: latency of the estimates.
        compute_ms: mean cost of a step, None before the first.
        meter: level of the audio.
        gaps: how often audio was lost.
        lost_s: how much audio was lost.
        overflows: losses that the device flagged.
        is_away: whether the source delivers nothing; the other values are then older.
        was_warm: whether an emotion or "uncertain" was shown before.
        ended: last event of the session, None while it goes on.
        session_latency_ms: median and 95th percentile over the whole session, once it has ended.
    """

    session: SessionStarted | None = None
    time: float = 0.0
    label: str = ""
    probabilities: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    speech: float = 0.0
    attention: Float32 = field(default_factory=lambda: np.zeros(1, np.float32))
    history: History = NO_HISTORY
    lateness: Lateness = NO_LATENESS
    compute_ms: float | None = None
    meter: Meter = NO_LEVEL
    gaps: int = 0
    lost_s: float = 0.0
    overflows: int = 0
    is_away: bool = False
    was_warm: bool = False
    ended: SessionEnded | None = None
    session_latency_ms: tuple[float, float] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, empty before the session starts."""
        return self.session.labels if self.session else ()

    @property
    def timesteps(self) -> int:
        """Position of the newest timestep, counted from 1."""
        return round(self.time / TIMESTEP_S)


class Monitor:
    """A sink and listener with a :attr:`snapshot` that other threads may read at any time.

    A snapshot is replaced, never changed, so neither side needs a lock.
    """

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self._spent_s = 0.0
        self._cost_s = 0.0
        self._steps = 0.0
        self._block_ms = 0.0
        self._log = Log(0)
        self._latencies = LatenessCounts()

    def stopped(self) -> None:
        """Note that the process is about to be stopped by hand, which adds no latency."""
        self._latencies.stopped()

    def resumed(self) -> None:
        """Note that the process goes on."""
        self._latencies.resumed()

    def hear(self, heard: AudioBlock) -> None:
        self._spent_s += heard.compute_s
        self._block_ms = 1000.0 * len(heard.samples) / heard.sample_rate
        before = self.snapshot
        self.snapshot = replace(
            before,
            meter=before.meter.after(heard),
            overflows=heard.overflows,
            is_away=False,
        )

    def take(self, event: Event) -> None:
        match event:
            case SessionStarted():
                self._spent_s = self._cost_s = self._steps = 0.0
                self._log, self._latencies = Log(len(event.labels)), LatenessCounts()
                self.snapshot = Snapshot(
                    session=event,
                    probabilities=np.zeros(len(event.labels), np.float32),
                    history=self._log.history(),
                )
            case Estimated():
                self.snapshot = self._after(event)
            case Gap():
                self.snapshot = self._with_gap(event)
            case SourceAway():
                self.snapshot = self._without_audio()
            case SessionEnded():
                latency_ms = self._latencies.of_session()
                self.snapshot = replace(self.snapshot, ended=event, session_latency_ms=latency_ms)

    def _with_gap(self, gap: Gap) -> Snapshot:
        before = self.snapshot
        lost_s = gap.lost_samples / before.session.sample_rate if before.session else 0.0
        return replace(before, gaps=before.gaps + 1, lost_s=before.lost_s + lost_s)

    def _without_audio(self) -> Snapshot:
        """Return the snapshot without audio or an emotion; the past stays visible."""
        before = self.snapshot
        return replace(
            before,
            label="",
            probabilities=np.zeros_like(before.probabilities),
            speech=0.0,
            attention=np.zeros_like(before.attention),
            meter=NO_LEVEL,
            is_away=True,
        )

    def _after(self, event: Estimated) -> Snapshot:
        estimate, before = event.estimate, self.snapshot
        self._cost_s = _COST_MEMORY * self._cost_s + self._spent_s
        self._steps = _COST_MEMORY * self._steps + 1.0
        self._spent_s = 0.0
        # Time without an estimate is time with lost audio.
        missing = max(0, round(estimate.time / TIMESTEP_S) - before.timesteps - 1)
        label = estimate.label
        if label == WARMING_UP and before.was_warm:
            label = UNCERTAIN
        code = STATE_CODES.get(label)
        newest = before.labels.index(label) if code is None else code
        if event.is_lost:
            newest = GAP_CODE
        self._log.add(newest, estimate.probabilities, missing)
        return replace(
            before,
            time=estimate.time,
            label=label,
            was_warm=before.was_warm or label not in (SILENCE, WARMING_UP),
            probabilities=estimate.decisive,
            speech=estimate.speech,
            attention=estimate.attention,
            history=self._log.history(),
            lateness=self._latencies.after(event.latency_ms, self._block_ms),
            compute_ms=1000.0 * self._cost_s / self._steps,
        )
