"""A day of audio through one stream: whether it still is what it was when it began.

Recordings of all corpora at hand, background noise and digital silence come in random order and at
random levels, as one session at full speed. What is held against it:

- the memory of the process and the time of a step, early and late in the same run;
- every time stamp, exact to the sample; every probability, finite; every estimate, there;
- what fresh streams say at the end, that have heard nothing but the last minutes.

The network remembers a few seconds and no more. The normaliser forgets by 1/e in 500 timesteps of
speech: after 20 minutes what a stream says of emotions differs from what the fresh one says by
1e-6, after 40 minutes not in a bit. The voice gate's recurrent state differs after some minutes by
no more than the rounding of float32, which never goes.
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
from streamer.errors import RunFailure, SerLiveError
from streamer.formats.lines import JsonLines
from streamer.modelfile.shipped import model_path
from streamer.outputs import OutputFile, say_on_stderr, write_line
from streamer.recognition.estimate import Estimate
from streamer.recognition.recognizer import Recognizer
from streamer.recognition.stream import Stream
from streamer.recognition.voice_gate import CHUNK_SAMPLES
from streamer.session.events import AudioBlock, Estimated, Event, SessionEnded
from streamer.session.interrupts import Interrupts
from streamer.session.run import Pace, run_session
from streamer.signal import SAMPLE_RATE, TIMESTEP_S, TIMESTEP_SAMPLES
from train.endurance.day import Day, Material

Float32 = NDArray[np.float32]

#: Of the days that can be asked for.
SHORTEST_H, LONGEST_H = 0.01, 1000.0
#: Fresh streams hear so much before the end, where all are compared.
CONTEXTS_S = (10.0, 60.0, 300.0, 600.0, 1200.0, 2400.0, 3600.0)
COMPARED_S = 120.0
#: A fresh stream begins where the timesteps and the gate's chunks of the old one do.
GRID_SAMPLES = int(np.lcm(TIMESTEP_SAMPLES, CHUNK_SAMPLES))
#: How often memory is looked at in a day, however long.
LOOKS = 24


@dataclass(frozen=True)
class Likeness:
    """What a fresh stream says at the end beside the old one.

    Attributes:
        context_s: that it has heard before they are compared.
        difference: greatest, of any probability of an emotion.
        speech_difference: greatest, of a probability of speech.
        same_labels: share of the timesteps.
    """

    context_s: float
    difference: float
    speech_difference: float
    same_labels: float


@dataclass(frozen=True)
class Soak:
    """How a stream came through.

    Attributes:
        hours: of audio.
        seed: of the order and the levels.
        samples: of audio, at 16 kHz.
        duration_s: of the session, as its last event says.
        estimates: that it gave.
        off_time: estimates whose time is not that of their sample.
        not_finite: estimates with a probability that is not finite.
        early_ms: a step of 40 ms, in the first tenth.
        late_ms: the same in a tenth as late as it can be before fresh streams want the core too.
        slowdown: median late over median early.
        resident_mib: memory of the process at :data:`LOOKS` moments; empty where it is unknown.
        likeness: of fresh streams, by what they have heard.
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
        """What is wrong beyond doubt; how much memory and time are too much, a person says."""
        owed = self.samples // TIMESTEP_SAMPLES
        found = {
            f"{self.estimates} estimates, not {owed}": self.estimates != owed,
            f"{self.off_time} times are not those of their samples": self.off_time > 0,
            f"{self.not_finite} estimates are not finite": self.not_finite > 0,
            f"it ended at {self.duration_s} s": self.duration_s != self.samples / SAMPLE_RATE,
        }
        return [fault for fault, is_so in found.items() if is_so]


class Said(NamedTuple):
    """What is compared of an estimate; its attention is large, and decides nothing further."""

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
    """A stream that joins late; of its estimates only the last are kept."""

    def __init__(self, stream: Stream, kept: int) -> None:
        self._stream = stream
        self._last: deque[Said] = deque(maxlen=kept)

    def hear(self, samples: Float32) -> None:
        self._last.extend(map(Said.of, self._stream.accept(samples)))

    def likeness(self, old: Sequence[Said], context_s: float) -> Likeness:
        """Ends the stream, and compares the last estimates."""
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
    """Sink and listener of a soak's session; needs no more memory as it goes on."""

    def __init__(
        self, recognizer: Recognizer, samples: int, contexts_s: Sequence[float], compared_s: float
    ) -> None:
        """Watch a session of so many samples, a block a timestep."""
        steps = samples // TIMESTEP_SAMPLES
        self._steps_ms = np.full(steps, np.nan, np.float32)  # in memory before that is looked at
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
        # A float of a day is exact to 1e-11 s; what adds up over two million steps is not.
        off = estimate.time * SAMPLE_RATE - self.estimates * TIMESTEP_SAMPLES
        self.off_time += not abs(off) <= 1e-3  # NaN too
        said = Said.of(estimate)
        self.not_finite += not said.is_finite
        self._last.append(said)

    def spreads_ms(self) -> tuple[Spread, Spread]:
        """Steps of the first tenth, and of the last before the first fresh stream joined."""
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
        seed: of its order and levels.
        seconds: its length; whole timesteps are heard.
        contexts_s: of the fresh streams; those that the day is too short for are left out.
        compared_s: at the end, by which they are judged.
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
    """``python -m train soak``.

    Raises:
        SerLiveError: the hours are impossible, or a file cannot be read or written.
        RunFailure: the stream did not come through whole.
    """
    if not SHORTEST_H <= options.hours <= LONGEST_H:
        raise SerLiveError(f"--hours must lie in {SHORTEST_H:g}..{LONGEST_H:g}")
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
    """The figures for people."""
    lines = [
        f"{result.hours:g} h, seed {result.seed}: {result.estimates} estimates, "
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
