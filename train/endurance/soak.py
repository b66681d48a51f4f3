"""Soak test: a day of audio through one stream, whose behaviour must not drift.

Recordings of all corpora present, background noise and digital silence come in random order and at
random levels, as one session at full speed. The test checks:

- the memory of the process and the time of a step, early and late in the run;
- every time stamp, exact to the sample; every probability, finite; every estimate, there;
- the difference at the end from fresh streams that have heard only the last minutes.

The network remembers only a few seconds. The normaliser forgets by 1/e in 500 timesteps of speech:
after 20 minutes emotion probabilities differ from those of a fresh stream by 1e-6, after 40 minutes
by no bit. The voice gate's recurrent state differs after some minutes only by float32 rounding,
which never vanishes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamer.commands.latency.process import machine, resident_mib
from streamer.commands.latency.spread import Spread
from streamer.counting import counted
from streamer.errors import RunFailure
from streamer.formats.lines import JsonLines
from streamer.modelfile.shipped import model_path
from streamer.outputs import OutputFile, say_on_stderr, write_line
from streamer.recognition.estimate import Estimate
from streamer.recognition.recognizer import Recognizer
from streamer.recognition.stream import Stream
from streamer.recognition.voice_gate import CHUNK_SAMPLES
from streamer.session.clock import Pace
from streamer.session.events import AudioBlock, Estimated, Event, SessionEnded
from streamer.session.interrupts import Interrupts
from streamer.session.run import run_session
from streamer.signal import SAMPLE_RATE, TIMESTEP_S, TIMESTEP_SAMPLES
from train.endurance.day import Day, Material

Float32 = NDArray[np.float32]

#: Audio that fresh streams hear before the end, where all are compared.
CONTEXTS_S = (10.0, 60.0, 300.0, 600.0, 1200.0, 2400.0, 3600.0)
COMPARED_S = 120.0
#: Fresh streams begin at boundaries of both the timesteps and the gate's chunks.
GRID_SAMPLES = int(np.lcm(TIMESTEP_SAMPLES, CHUNK_SAMPLES))
#: Number of memory samples in a day of any length.
LOOKS = 24


@dataclass(frozen=True)
class Likeness:
    """The difference of a fresh stream from the old one at the end.

    Attributes:
        context_s: seconds of audio that it heard before the comparison.
        difference: greatest difference of any emotion's probability.
        speech_difference: greatest difference of a speech probability.
        same_labels: share of timesteps with equal labels.
    """

    context_s: float
    difference: float
    speech_difference: float
    same_labels: float


@dataclass(frozen=True)
class Soak:
    """The results of a soak test.

    Attributes:
        hours: hours of audio.
        seed: seed of the order and the levels.
        samples: samples of audio at 16 kHz.
        duration_s: duration of the session according to its last event.
        estimates: number of estimates.
        off_time: number of estimates whose time is not that of their sample.
        not_finite: number of estimates with a probability that is not finite.
        early_ms: time of a 40 ms step in the first tenth.
        late_ms: the same in the last tenth before fresh streams use the core, too.
        slowdown: median late over median early.
        resident_mib: memory of the process at :data:`LOOKS` moments; empty if unknown.
        likeness: comparison with fresh streams, by the audio they heard.
    """

    hours: float
    seed: int
    samples: int
    duration_s: float
    estimates: int
    off_time: int
    not_finite: int
    early_ms: Spread
    late_ms: Spread
    slowdown: float
    resident_mib: tuple[float, ...]
    likeness: tuple[Likeness, ...]

    def faults(self) -> list[str]:
        """The definite faults; the user decides how much memory and time are too much."""
        owed = self.samples // TIMESTEP_SAMPLES
        found = {
            f"{counted(self.estimates, 'estimate')}, not {owed}": self.estimates != owed,
            f"times that are not those of their samples: {self.off_time}": self.off_time > 0,
            f"estimates that are not finite: {self.not_finite}": self.not_finite > 0,
            f"it ended at {self.duration_s} s": self.duration_s != self.samples / SAMPLE_RATE,
        }
        return [fault for fault, is_so in found.items() if is_so]


class Said(NamedTuple):
    """The compared fields of an estimate; attention is large and affects nothing further."""

    label: str
    speech: float
    probabilities: tuple[float, ...]

    @classmethod
    def of(cls, estimate: Estimate) -> Said:
        return cls(estimate.label, estimate.speech, tuple(estimate.probabilities.tolist()))

    @property
    def is_finite(self) -> bool:
        return all(map(math.isfinite, (self.speech, *self.probabilities)))


class _Fresh:
    """A stream that joins late and keeps only its last estimates."""

    def __init__(self, stream: Stream, kept: int) -> None:
        self._stream = stream
        self._last: deque[Said] = deque(maxlen=kept)

    def hear(self, samples: Float32) -> None:
        self._last.extend(map(Said.of, self._stream.accept(samples)))

    def likeness(self, old: Sequence[Said], context_s: float) -> Likeness:
        """End the stream and compare the last estimates."""
        self._last.extend(map(Said.of, self._stream.flush()))
        pairs = list(zip(old, self._last, strict=True))
        differences = [np.subtract(a.probabilities, b.probabilities) for a, b in pairs]
        return Likeness(
            context_s,
            float(np.abs(differences).max()),
            max(abs(a.speech - b.speech) for a, b in pairs),
            float(np.mean([a.label == b.label for a, b in pairs])),
        )


class Watch:
    """Sink and listener of a soak's session, with constant memory."""

    def __init__(
        self, recognizer: Recognizer, samples: int, contexts_s: Sequence[float], compared_s: float
    ) -> None:
        """Watch a session of this many samples, with one block per timestep."""
        steps = samples // TIMESTEP_SAMPLES
        self._steps_ms = np.full(steps, np.nan, np.float32)  # allocated before memory is sampled
        self._look_every = max(1, steps // LOOKS)
        self._recognizer = recognizer
        self._compared = round(compared_s / TIMESTEP_S)
        starts = {one: samples - round((one + compared_s) * SAMPLE_RATE) for one in contexts_s}
        #: First sample of each fresh stream, by its context.
        self._joining = {
            one: start // GRID_SAMPLES * GRID_SAMPLES for one, start in starts.items() if start > 0
        }
        self._fresh: dict[float, _Fresh] = {}
        self._steps = self._heard = 0
        self._last: deque[Said] = deque(maxlen=self._compared)
        self.resident: list[float] = []
        self.estimates = self.off_time = self.not_finite = 0
        self.duration_s = float("nan")

    def hear(self, heard: AudioBlock) -> None:
        self._steps_ms[self._steps] = 1000.0 * heard.compute_s
        for context_s, first in self._joining.items():
            if first == self._heard:
                self._fresh[context_s] = _Fresh(self._recognizer.stream(), self._compared)
        for fresh in self._fresh.values():
            fresh.hear(heard.samples)
        self._heard += len(heard.samples)
        self._steps += 1
        if self._steps % self._look_every == 0:
            self._look()

    def _look(self) -> None:
        resident = resident_mib()
        self.resident += [] if resident is None else [resident]
        say_on_stderr(f"{self._heard / SAMPLE_RATE / 3600:.2f} h, {resident or 0.0:.1f} MiB")

    def take(self, event: Event) -> None:
        match event:
            case Estimated(estimate):
                self._check(estimate)
            case SessionEnded():
                self.duration_s = event.duration_s

    def _check(self, estimate: Estimate) -> None:
        self.estimates += 1
        # A float is exact to 1e-11 s within a day; sums over two million steps are not.
        off = estimate.time * SAMPLE_RATE - self.estimates * TIMESTEP_SAMPLES
        self.off_time += not abs(off) <= 1e-3  # NaN too
        said = Said.of(estimate)
        self.not_finite += not said.is_finite
        self._last.append(said)

    def spreads_ms(self) -> tuple[Spread, Spread]:
        """Return step times of the first tenth and of the last before a fresh stream joined."""
        tenth = max(1, len(self._steps_ms) // 10)
        alone = min(self._joining.values(), default=self._heard) // TIMESTEP_SAMPLES
        last = max(alone, 2 * tenth)
        parts = self._steps_ms[:tenth], self._steps_ms[last - tenth : last]
        early, late = (Spread.of(part.astype(np.float64)) for part in parts)
        return early, late

    def likeness(self) -> tuple[Likeness, ...]:
        return tuple(one.likeness(self._last, context_s) for context_s, one in self._fresh.items())


def soak(
    recognizer: Recognizer,
    material: Material,
    seed: int,
    seconds: float,
    contexts_s: Sequence[float] = CONTEXTS_S,
    compared_s: float = COMPARED_S,
) -> Soak:
    """Run a day through a stream.

    Args:
        recognizer: makes the streams.
        material: what the day is made of.
        seed: seed of its order and levels.
        seconds: its length, in whole timesteps.
        contexts_s: audio that the fresh streams hear; those too long for the day are left out.
        compared_s: seconds at the end that are compared.
    """
    samples = round(seconds * SAMPLE_RATE) // GRID_SAMPLES * GRID_SAMPLES
    watch = Watch(recognizer, samples, contexts_s, compared_s)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        run_session(
            Day(material, seed, samples),
            recognizer,
            [JsonLines(nowhere, names_file=False), watch],
            clock=Pace(None),
            block_ms=round(1000 * TIMESTEP_S),
            interrupts=Interrupts(),
            listeners=[watch],
        )
    early, late = watch.spreads_ms()
    return Soak(
        samples / SAMPLE_RATE / 3600,
        seed,
        samples,
        watch.duration_s,
        watch.estimates,
        watch.off_time,
        watch.not_finite,
        early,
        late,
        late.p50 / early.p50,
        tuple(watch.resident),
        watch.likeness(),
    )


def run_soak(options: argparse.Namespace) -> None:
    """Run ``python -m train soak``.

    Raises:
        SerLiveError: a file cannot be read or written.
        RunFailure: the stream has faults.
    """
    with ExitStack() as stack:
        out = None
        if options.json is not None:
            inputs = [model_path(options.model)]
            out = stack.enter_context(OutputFile(options.json, options.force, inputs))
        material = Material.at_hand(options.corpora)
        result = soak(Recognizer.load(options.model), material, options.seed, 3600 * options.hours)
        print(text_of(result))
        if out is not None:
            write_line(out, json.dumps(asdict(result) | {"machine": machine()}, indent=1))
    if faults := result.faults():
        raise RunFailure(f"the stream did not come through: {'; '.join(faults)}")


def text_of(result: Soak) -> str:
    """Format the results as text."""
    lines = [
        f"{result.hours:g} h, seed {result.seed}: {counted(result.estimates, 'estimate')}, "
        f"{result.off_time} off time, {result.not_finite} not finite, "
        f"ended at {result.duration_s:.6f} s",
        f"a step: {result.early_ms.p50:.3f} ms early, {result.late_ms.p50:.3f} ms late (medians "
        f"of a tenth), ratio {result.slowdown:.3f}",
    ]
    if result.resident_mib:
        first, last = result.resident_mib[0], result.resident_mib[-1]
        lines.append(f"memory: {first:.1f} MiB early, {last:.1f} MiB at the end")
    for one in result.likeness:
        lines.append(
            f"a fresh stream after {one.context_s:g} s: probabilities differ by "
            f"{one.difference:.2g} at most, those of speech by {one.speech_difference:.2g}, labels "
            f"{one.same_labels:.2%} the same"
        )
    return "\n".join(lines)
