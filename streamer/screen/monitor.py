"""What a screen knows of a session: a sink that stores the newest state and waits for nobody."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from streamer.decision import SILENCE, UNCERTAIN, WARMING_UP
from streamer.events import (
    Estimated,
    Event,
    Gap,
    Heard,
    SessionEnded,
    SessionStarted,
    SourceAway,
)
from streamer.frontend import TIMESTEP_S
from streamer.looks import GAP_CODE, NOTHING_CODE, STATE_CODES

Float32 = NDArray[np.float32]

HISTORY_TIMESTEPS = round(60.0 / TIMESTEP_S)
#: An estimate is held up if it comes so much, and a block, later than the promptest did; resampler
#: and device make a difference of less.
HELD_UP_MS = 2 * 1000.0 * TIMESTEP_S
#: Latencies kept for the percentiles: 10 s.
LATENCY_TIMESTEPS = round(10.0 / TIMESTEP_S)

QUIETEST_DBFS = -90.0
#: A shown peak falls slowly enough to be read, as on a mixing desk.
PEAK_FALL_DB_PER_S = 20.0
RMS_TIME_CONSTANT_S = 0.3
#: Weight of the past, per step, in the mean cost of a step: it follows the last second or two.
_COST_MEMORY = 0.97


def _dbfs(amplitude: float) -> float:
    return max(QUIETEST_DBFS, 20.0 * float(np.log10(max(amplitude, 1e-9))))


@dataclass(frozen=True, slots=True)
class Meter:
    """How loud the audio is, with the ballistics of a meter.

    Attributes:
        peak_dbfs: falling peak.
        power: mean square over the last 0.3 s.
        since_clipping_s: audio since it last clipped.
    """

    peak_dbfs: float = QUIETEST_DBFS
    power: float = 0.0
    since_clipping_s: float = float("inf")

    @property
    def rms_dbfs(self) -> float:
        return _dbfs(float(np.sqrt(self.power)))

    def after(self, heard: Heard) -> Meter:
        """The level once that was heard as well."""
        samples = heard.samples
        if not len(samples):
            return self
        duration_s = len(samples) / heard.sample_rate
        memory = float(np.exp(-duration_s / RMS_TIME_CONSTANT_S))
        newest = float(np.mean(samples * samples, dtype=np.float64))
        fallen = self.peak_dbfs - PEAK_FALL_DB_PER_S * duration_s
        return Meter(
            peak_dbfs=max(_dbfs(float(np.abs(samples).max())), fallen),
            power=newest + memory * (self.power - newest),
            since_clipping_s=0.0 if heard.clipped else self.since_clipping_s + duration_s,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A session at one moment; nothing in it changes any more.

    Attributes:
        session: its first event, None before it.
        time: end of the newest timestep in stream time, seconds.
        label: newest; "warming up" at the start alone, for after a pause it tells a person nothing
            that "uncertain" does not.
        probabilities: ``(labels,)`` newest, as the label was decided by them where an emotion was.
        speech: newest speech probability.
        attention: ``(T,)`` weights over the rolling window, newest last.
        codes: ``(1500,)`` int8, what each of the last timesteps was, newest last.
        lanes: ``(1500, labels)`` their probabilities.
        latencies_ms: ``(n,)`` of the last estimates, where a clock applies.
        promptest_ms: least latency so far, infinite before there is one.
        held_up: estimates that came more than :data:`HELD_UP_MS` and a block after that.
        compute_ms: mean cost of a step, None before the first.
        meter: level of the audio.
        gaps: how often audio was lost.
        overflows: losses that the device flagged.
        is_away: the source gives nothing; what else is told was true before.
        was_warm: an emotion or doubt was shown before.
    """

    session: SessionStarted | None = None
    time: float = 0.0
    label: str = ""
    probabilities: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    speech: float = 0.0
    attention: Float32 = field(default_factory=lambda: np.zeros(1, np.float32))
    codes: NDArray[np.int8] = field(
        default_factory=lambda: np.full(HISTORY_TIMESTEPS, NOTHING_CODE, np.int8)
    )
    lanes: Float32 = field(default_factory=lambda: np.zeros((HISTORY_TIMESTEPS, 0), np.float32))
    latencies_ms: tuple[float, ...] = ()
    promptest_ms: float = float("inf")
    held_up: int = 0
    compute_ms: float | None = None
    meter: Meter = Meter()
    gaps: int = 0
    overflows: int = 0
    is_away: bool = False
    was_warm: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, none before the session starts."""
        return self.session.labels if self.session else ()

    @property
    def timesteps(self) -> int:
        """Position of the newest timestep, counted from 1."""
        return round(self.time / TIMESTEP_S)


class Monitor:
    """A sink and listener whose :attr:`snapshot` other threads may read at any time.

    A snapshot is replaced, never changed, so neither side needs a lock.
    """

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self._spent_s = 0.0
        self._cost_s = 0.0
        self._steps = 0.0
        self._block_ms = 0.0

    def hear(self, heard: Heard) -> None:
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
                lanes = np.zeros((HISTORY_TIMESTEPS, len(event.labels)), np.float32)
                self.snapshot = Snapshot(
                    session=event,
                    probabilities=np.zeros(len(event.labels), np.float32),
                    lanes=lanes,
                )
            case Estimated():
                self.snapshot = self._after(event)
            case Gap():
                self.snapshot = replace(self.snapshot, gaps=self.snapshot.gaps + 1)
            case SourceAway():
                self.snapshot = self._without_audio()
            case SessionEnded():
                pass  # the last picture stands

    def _without_audio(self) -> Snapshot:
        """Nothing is heard, so no emotion is; the past stays to be seen."""
        before = self.snapshot
        return replace(
            before,
            label="",
            probabilities=np.zeros_like(before.probabilities),
            speech=0.0,
            attention=np.zeros_like(before.attention),
            meter=Meter(),
            is_away=True,
        )

    def _after(self, event: Estimated) -> Snapshot:
        estimate, before = event.estimate, self.snapshot
        self._cost_s = _COST_MEMORY * self._cost_s + self._spent_s
        self._steps = _COST_MEMORY * self._steps + 1.0
        self._spent_s = 0.0
        # Time that no estimate covers is time in which audio was lost.
        missing = max(0, round(estimate.time / TIMESTEP_S) - before.timesteps - 1)
        label = estimate.label
        if label == WARMING_UP and before.was_warm:
            label = UNCERTAIN
        code = STATE_CODES.get(label)
        newest = before.labels.index(label) if code is None else code
        if event.is_lost:
            newest = GAP_CODE
        shown = min(missing, HISTORY_TIMESTEPS)
        lost = np.zeros((shown, len(before.labels)), np.float32)
        latencies, promptest_ms, held_up = before.latencies_ms, before.promptest_ms, before.held_up
        if event.latency_ms is not None:
            latencies = (*latencies[1 - LATENCY_TIMESTEPS :], event.latency_ms)
            promptest_ms = min(promptest_ms, event.latency_ms)
            held_up += event.latency_ms > promptest_ms + HELD_UP_MS + self._block_ms
        weighed = estimate.weighed
        return replace(
            before,
            time=estimate.time,
            label=label,
            was_warm=before.was_warm or label not in (SILENCE, WARMING_UP),
            probabilities=estimate.probabilities if weighed is None else weighed,
            speech=estimate.speech,
            attention=estimate.attention,
            codes=np.r_[before.codes, [GAP_CODE] * shown, newest].astype(np.int8)[
                -HISTORY_TIMESTEPS:
            ],
            lanes=np.concatenate([before.lanes, lost, estimate.probabilities[None]])[
                -HISTORY_TIMESTEPS:
            ],
            latencies_ms=latencies,
            promptest_ms=promptest_ms,
            held_up=held_up,
            compute_ms=1000.0 * self._cost_s / self._steps,
        )
