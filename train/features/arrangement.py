"""Which utterance is heard when: a stretch of the stream of one speaker.

A monitor is always in the middle of something. So an example is no clip but a stretch of a stream:
a lead, utterances of one speaker with pauses between them, of emotions that change or stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamer.frontend import SAMPLE_RATE, TIMESTEP_SAMPLES
from train.ranges import check_number

Generator = np.random.Generator
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Streams:
    """What stretches of a stream are drawn from: a recipe's ``[streams]``.

    Attributes:
        seconds: length of an example.
        lead_s: longest silence or noise before the first utterance, at most half of the example; a
            quarter have next to none.
        pause_s: longest pause between utterances; of 4 s, four in ten are below half a second.
        stays: probability that the next utterance has the emotion of the one before.
        uneven_db: greatest change of level from one utterance to the next, either way, in a half
            of the streams.
        ordinary: share of the streams that are ordinary speech. It is a class of its own in
            training: were it taught as neutral, any sentence that no actor speaks would be.
        corpora: weight of each corpus; one that is not named weighs the fourth root of its size.
    """

    seconds: float = 12.0
    lead_s: float = 6.0
    pause_s: float = 4.0
    stays: float = 0.4
    uneven_db: float = 6.0
    ordinary: float = 0.0
    corpora: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_number("seconds", self.seconds, 1, 600)
        for name in ("lead_s", "pause_s"):
            check_number(name, getattr(self, name), 0, 60)
        for name in ("stays", "ordinary"):
            check_number(name, getattr(self, name), 0, 1)
        check_number("uneven_db", self.uneven_db, 0, 40)
        if not isinstance(self.corpora, Mapping):
            raise ValueError(f"corpora of streams must be a table of weights, is {self.corpora!r}")
        for corpus, weight in self.corpora.items():
            check_number(f"weight of {corpus}", weight, 0, 1e6)

    @property
    def timesteps(self) -> int:
        """Length of an example."""
        return round(self.seconds * SAMPLE_RATE) // TIMESTEP_SAMPLES


@dataclass(frozen=True, slots=True)
class Placement:
    """One recording in a stretch.

    Attributes:
        recording: index in the bank.
        at: sample of the stretch at which it begins.
        samples: how many samples of the stretch it fills, its end cut off where that is beyond.
        speed: played so many times as fast.
        gain_db: of this recording against the others.
    """

    recording: int
    at: int
    samples: int
    speed: float
    gain_db: float


@dataclass(frozen=True)
class Pool:
    """Recordings to draw from.

    Attributes:
        lengths: ``(recordings,)`` samples, of all in the bank.
        voices: by corpus, by speaker, by class the recordings; ordinary speech has
            classes below 0.
    """

    lengths: Int64
    voices: Mapping[str, Mapping[str, Mapping[int, Sequence[int]]]]

    @classmethod
    def of(
        cls, lengths: Int64, corpora: Sequence[str], speakers: Sequence[str], classes: Sequence[int]
    ) -> Pool:
        """Sort recordings, one entry a recording in each argument."""
        voices: dict[str, dict[str, dict[int, list[int]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        for index, (corpus, speaker, kind) in enumerate(
            zip(corpora, speakers, classes, strict=True)
        ):
            voices[corpus][speaker][kind].append(index)
        return cls(lengths, voices)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Recordings of each corpus; counted once, not for every stretch."""
        return {
            corpus: sum(len(found) for kinds in speakers.values() for found in kinds.values())
            for corpus, speakers in self.voices.items()
        }

    def weights(self, streams: Streams) -> dict[str, float]:
        """Share of the streams that each corpus has, ordinary speech apart."""
        given = {name: streams.corpora.get(name, size**0.25) for name, size in self.sizes.items()}
        total = sum(given.values())
        return {name: weight / total for name, weight in given.items()}


def arrange(
    pool: Pool,
    ordinary: Pool | None,
    streams: Streams,
    speeds: tuple[float, float],
    generator: Generator,
) -> list[Placement]:
    """Draw one stretch; indices into ``ordinary`` follow those into ``pool``.

    Args:
        pool: labelled recordings.
        ordinary: recordings of ordinary speech, or None.
        streams: what is drawn from.
        speeds: slowest and fastest playback, one for the whole stretch.
        generator: of everything drawn.
    """
    if ordinary is not None and generator.random() < streams.ordinary:
        voice = _voice(ordinary, dict.fromkeys(ordinary.voices, 1.0), generator)
        return _fill(voice, ordinary.lengths, len(pool.lengths), streams, speeds, generator)
    voice = _voice(pool, pool.weights(streams), generator)
    return _fill(voice, pool.lengths, 0, streams, speeds, generator)


def _voice(
    pool: Pool, weights: Mapping[str, float], generator: Generator
) -> Mapping[int, Sequence[int]]:
    """One speaker's recordings by class."""
    names = list(weights)
    shares = np.array([weights[name] for name in names])
    speakers = pool.voices[names[generator.choice(len(names), p=shares / shares.sum())]]
    keys = list(speakers)
    return speakers[keys[generator.integers(len(keys))]]


def _fill(
    voice: Mapping[int, Sequence[int]],
    lengths: Int64,
    offset: int,
    streams: Streams,
    speeds: tuple[float, float],
    generator: Generator,
) -> list[Placement]:
    total = streams.timesteps * TIMESTEP_SAMPLES
    speed = float(generator.uniform(*speeds))
    is_uneven = generator.random() < 0.5
    kinds = list(voice)
    kind = kinds[int(generator.integers(len(kinds)))]
    at = _lead(streams, generator)
    placed = []
    while at < total - TIMESTEP_SAMPLES:
        recording = voice[kind][int(generator.integers(len(voice[kind])))]
        whole = max(int(lengths[recording] / speed) - 2, 1)
        gain_db = float(generator.uniform(-1, 1)) * streams.uneven_db * is_uneven
        placed.append(Placement(offset + recording, at, min(whole, total - at), speed, gain_db))
        at += whole + _pause(streams, generator)
        if generator.random() >= streams.stays:
            kind = kinds[int(generator.integers(len(kinds)))]
    return placed


def _lead(streams: Streams, generator: Generator) -> int:
    most = min(streams.lead_s, streams.seconds / 2)
    longest = most if generator.random() < 0.75 else min(most, 0.2)
    return int(generator.uniform(0, longest) * SAMPLE_RATE)


def _pause(streams: Streams, generator: Generator) -> int:
    longest = streams.pause_s if generator.random() < 0.6 else min(streams.pause_s, 0.6)
    return int(generator.uniform(0, longest) * SAMPLE_RATE)
