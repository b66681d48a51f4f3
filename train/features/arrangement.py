"""Arrange one speaker's utterances into a stretch of a stream.

A monitor is always in the middle of something. So an example is not a clip but a stretch of a
stream: a lead, then one speaker's utterances with pauses. Their emotions change or stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamer.signal import SAMPLE_RATE, TIMESTEP_SAMPLES
from train.ranges import check_number

Generator = np.random.Generator
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Streams:
    """The distribution of stretches of a stream: a recipe's ``[streams]``.

    Attributes:
        seconds: length of an example.
        lead_s: longest silence or noise before the first utterance, at most half of the example; a
            quarter of the leads are near zero.
        pause_s: longest pause between utterances; of 4 s, four in ten are below half a second.
        stays: probability that the next utterance keeps the emotion.
        uneven_db: greatest change of level between neighbouring utterances, either way, in half of
            the streams.
        known: share of the streams, not counting ordinary speech, that begin with known ordinary
            speech of the same voice, like a profile: sentences labelled neutral, without a target.
        known_s: longest such beginning, in addition to the stream's ``seconds``.
        elsewhere: share of such beginnings that were heard in a stream of their own, as a profile
            is: after them the front end begins anew.
        elsewhere_db: standard deviation of the level of those, in dB: a profile comes from another
            day, and often from another microphone.
        unheard: share of the streams from which the voice memory takes in nothing.
        ordinary: share of the streams that are ordinary speech. It is a separate class in
            training; taught as neutral, it would make every unacted sentence neutral.
        corpora: weight of each corpus; by default the fourth root of its size.
    """

    seconds: float = 12.0
    lead_s: float = 6.0
    pause_s: float = 4.0
    stays: float = 0.4
    uneven_db: float = 6.0
    known: float = 0.0
    known_s: float = 8.0
    elsewhere: float = 0.0
    elsewhere_db: float = 0.0
    unheard: float = 0.2
    ordinary: float = 0.0
    corpora: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_number("seconds", self.seconds, 1, 600)
        for name in ("lead_s", "pause_s", "known_s"):
            check_number(name, getattr(self, name), 0, 60)
        for name in ("stays", "known", "elsewhere", "unheard", "ordinary"):
            check_number(name, getattr(self, name), 0, 1)
        for name in ("uneven_db", "elsewhere_db"):
            check_number(name, getattr(self, name), 0, 40)
        if not isinstance(self.corpora, Mapping):
            raise ValueError(f"corpora of streams must be a table of weights, is {self.corpora!r}")
        for corpus, weight in self.corpora.items():
            check_number(f"weight of {corpus}", weight, 0, 1e6)

    @property
    def timesteps(self) -> int:
        """Length of an example in timesteps."""
        seconds = self.seconds + (self.known_s if self.known else 0.0)
        return round(seconds * SAMPLE_RATE) // TIMESTEP_SAMPLES


@dataclass(frozen=True, slots=True)
class Placement:
    """One recording in a stretch.

    Attributes:
        recording: index in the bank.
        at: its first sample in the stretch.
        samples: its length in samples of the stretch; the stretch cuts off the rest.
        speed: factor of the playback speed.
        gain_db: gain relative to the other recordings.
        is_known: whether it belongs to a beginning of known ordinary speech.
    """

    recording: int
    at: int
    samples: int
    speed: float
    gain_db: float
    is_known: bool = False


@dataclass(frozen=True)
class Pool:
    """Recordings to draw from.

    Attributes:
        lengths: ``(recordings,)`` in samples, for the whole bank.
        voices: recordings by corpus, speaker and class; ordinary speech has classes below 0.
    """

    lengths: Int64
    voices: Mapping[str, Mapping[str, Mapping[int, Sequence[int]]]]

    @classmethod
    def of(
        cls, lengths: Int64, corpora: Sequence[str], speakers: Sequence[str], classes: Sequence[int]
    ) -> Pool:
        """Sort recordings; each argument has one entry per recording."""
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
        """Number of recordings per corpus; counted once, not for every stretch."""
        return {
            corpus: sum(len(found) for kinds in speakers.values() for found in kinds.values())
            for corpus, speakers in self.voices.items()
        }

    def weights(self, streams: Streams) -> dict[str, float]:
        """Return each corpus's share of the streams, not counting ordinary speech."""
        given = {name: streams.corpora.get(name, size**0.25) for name, size in self.sizes.items()}
        total = sum(given.values())
        return {name: weight / total for name, weight in given.items()}


def arrange(
    pool: Pool,
    ordinary: Pool | None,
    streams: Streams,
    speeds: tuple[float, float],
    generator: Generator,
    neutral: int | None = None,
) -> list[Placement]:
    """Draw one stretch; indices into ``ordinary`` follow those into ``pool``.

    Args:
        pool: labelled recordings.
        ordinary: recordings of ordinary speech, or None.
        streams: the distribution to draw from.
        speeds: slowest and fastest playback; each stretch has one speed.
        generator: source of all random draws.
        neutral: class for known beginnings; None makes none.
    """
    if ordinary is not None and generator.random() < streams.ordinary:
        voice = _voice(ordinary, dict.fromkeys(ordinary.voices, 1.0), generator)
        speed = float(generator.uniform(*speeds))
        return _fill(voice, ordinary.lengths, len(pool.lengths), streams, speed, 0, generator)
    voice = _voice(pool, pool.weights(streams), generator)
    speed = float(generator.uniform(*speeds))
    known: list[Placement] = []
    is_known = bool(streams.known) and generator.random() < streams.known
    if is_known and neutral is not None and neutral in voice:
        known = _known(voice[neutral], pool.lengths, streams, speed, generator)
        taken = {one.recording for one in known}
        left = {kind: [one for one in found if one not in taken] for kind, found in voice.items()}
        voice = {kind: found for kind, found in left.items() if found}
    at = known[-1].at + known[-1].samples if known else 0
    return known + _fill(voice, pool.lengths, 0, streams, speed, at, generator)


def _known(
    recordings: Sequence[int],
    lengths: Int64,
    streams: Streams,
    speed: float,
    generator: Generator,
) -> list[Placement]:
    """Draw a beginning of ordinary speech, empty if the speaker has only one such recording."""
    longest = int(generator.uniform(min(2.0, streams.known_s), streams.known_s) * SAMPLE_RATE)
    at = int(generator.uniform(0, 0.5) * SAMPLE_RATE)
    placed: list[Placement] = []
    # Leave some for the stream that follows.
    for index in generator.permutation(len(recordings))[: len(recordings) - 1].tolist():
        recording = recordings[index]
        whole = max(int(lengths[recording] / speed) - 2, 1)
        if at + whole > longest and placed:
            break
        whole = min(whole, int(streams.known_s * SAMPLE_RATE) - at)
        if whole <= 0:
            break
        placed.append(Placement(recording, at, whole, speed, 0.0, True))
        at += whole + int(generator.uniform(0, 0.6) * SAMPLE_RATE)
    return placed


def _voice(
    pool: Pool, weights: Mapping[str, float], generator: Generator
) -> Mapping[int, Sequence[int]]:
    """Draw a speaker and return their recordings by class."""
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
    speed: float,
    begins: int,
    generator: Generator,
) -> list[Placement]:
    """Fill a stretch from sample ``begins`` on."""
    total = streams.timesteps * TIMESTEP_SAMPLES
    is_uneven = generator.random() < 0.5
    kinds = list(voice)
    kind = kinds[int(generator.integers(len(kinds)))]
    at = begins + _lead(streams, generator)
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
