"""Running streams: a speaker's utterances in one stream, and what each is called there.

A monitor is always in the middle of something. So every recording is heard as a part of a session,
with pauses, after a lead, in digital silence or faint noise; and its verdict is made of its own
timesteps by the runtime's rule. Beside it stands the same recording alone, in a stream of its own.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.modelfile.metadata import ModelMetadata
from streamer.signal import SAMPLE_RATE, TIMESTEP_SAMPLES
from streamer.sound.files.recording import read_recording
from train.corpora.known import Utterance
from train.judging.hearing import StreamResult, hear, hear_all, votes_of, worker_recognizer
from train.judging.measures import Result, result_of
from train.judging.streams import by_speaker, join, silence

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

#: Pauses of the session sets, and the one whose sessions say most of a monitor's day.
PAUSES_S = (0.4, 1.0, 3.0)
LONG_PAUSE_S = 3.0
#: Before the first utterance; they take turns.
LEADS_S = (0.0, 1.0, 3.0, 10.0)
#: More utterances than these are cut into several sessions of about one length.
MOST_UTTERANCES = 12
#: Faint noise in pauses and leads: white, -60 dBFS.
FAINT_RMS = 10.0 ** (-60.0 / 20.0)
#: Places in a session -> those of the utterances, counted from 0, the end not among them.
PLACES: dict[str, tuple[int, int]] = {
    "first": (0, 1),
    "second and third": (1, 3),
    "fourth and later": (3, MOST_UTTERANCES),
}


@dataclass(frozen=True, slots=True)
class Session:
    """Utterances of one speaker in one stream.

    Attributes:
        name: of the speaker and the session.
        utterances: in their order.
        pause_s: between two of them.
        lead_s: before the first one.
        is_noisy: pauses and lead hold faint noise, not digital silence.
    """

    name: str
    utterances: tuple[Utterance, ...]
    pause_s: float
    lead_s: float
    is_noisy: bool


def plan_sessions(utterances: Sequence[Utterance], pause_s: float) -> list[Session]:
    """Sessions of every speaker who is known, in which each utterance is heard once.

    The order is drawn from the speaker's name alone: the same with every pause, and another
    speaker changes nothing. Leads and fillings take turns; with each pause the turn moves on, so
    that a first utterance meets several leads.
    """
    turn = PAUSES_S.index(pause_s) if pause_s in PAUSES_S else 0
    sessions = []
    for name, own in by_speaker(utterances):
        seed = zlib.crc32(name.encode())
        order = np.random.default_rng(seed).permutation(len(own))
        parts = np.array_split(order, math.ceil(len(own) / MOST_UTTERANCES))
        for number, part in enumerate(parts, seed % (2 * len(LEADS_S))):
            sessions.append(
                Session(
                    f"{name}/{number}",
                    tuple(own[index] for index in part),
                    pause_s,
                    LEADS_S[(number + turn) % len(LEADS_S)],
                    bool((number + number // len(LEADS_S)) % 2),
                )
            )
    return sessions


def faint_noise(name: str) -> Callable[[int], Float32]:
    """White noise of -60 dBFS, the same for the same name: so many samples at every call."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return lambda samples: generator.normal(0.0, FAINT_RMS, samples).astype(np.float32)


def own_timesteps(start: int, end: int) -> tuple[int, int]:
    """First timestep of a part of a stream, and the one after its last.

    Timestep ``t`` covers samples ``[640 t, 640 t + 640)``. Those that lie in the part as a whole
    are its own; a part that starts with the stream has as many as if it were alone.

    Args:
        start: index of the part's first sample.
        end: index of the sample after its last one.
    """
    first = -(-start // TIMESTEP_SAMPLES)
    return first, max(first, end // TIMESTEP_SAMPLES)


@dataclass(frozen=True)
class HeardSession:
    """A session and what the runtime made of it.

    Attributes:
        session: as it was planned.
        spans: of each utterance the first of its own timesteps, and the one after the last.
        heard: by one stream, from the first sample to the last.
    """

    session: Session
    spans: tuple[tuple[int, int], ...]
    heard: StreamResult


def hear_session(session: Session, model: Path, adapts: bool = True) -> HeardSession:
    """Worker: read the recordings, join and hear them."""
    recordings = [read_recording(one.path) for one in session.utterances]
    fill = faint_noise(session.name) if session.is_noisy else silence
    samples, starts = join(recordings, session.pause_s, session.lead_s, fill)
    spans = [
        own_timesteps(start, start + len(recording))
        for start, recording in zip(starts, recordings, strict=True)
    ]
    heard = hear(worker_recognizer(model), samples, adapts=adapts)
    return HeardSession(session, tuple(spans), heard)


def hear_sessions(
    pool: ProcessPoolExecutor, model: Path, utterances: Sequence[Utterance], pause_s: float
) -> list[HeardSession]:
    """Join the utterances to sessions with such pauses and hear them."""
    work = partial(hear_session, model=model)
    title = f"{utterances[0].corpus}, pauses {pause_s:g} s"
    return list(hear_all(pool, work, plan_sessions(utterances, pause_s), title))


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance's own timesteps of a stream.

    Attributes:
        utterance: that is spoken in them.
        place: of the utterance in the stream, from 0.
        lead_s: of the stream.
        probabilities: ``(timesteps, labels)``.
        votes: ``(timesteps,)`` weights in a verdict, zero without speech.
        labels: of every timestep, by the decision layer.
    """

    utterance: Utterance
    place: int
    lead_s: float
    probabilities: NDArray[np.floating]
    votes: Int64
    labels: tuple[str, ...]


def parts_of(sessions: Sequence[HeardSession], metadata: ModelMetadata) -> list[Spoken]:
    """What became of each utterance, session by session."""
    parts = []
    for one in sessions:
        votes = votes_of(one.heard, metadata)
        pairs = zip(one.session.utterances, one.spans, strict=True)
        parts += [
            Spoken(
                utterance,
                place,
                one.session.lead_s,
                one.heard.probabilities[first:end],
                votes[first:end],
                one.heard.labels[first:end],
            )
            for place, (utterance, (first, end)) in enumerate(pairs)
        ]
    return parts


def alone(
    utterances: Sequence[Utterance], heard: Sequence[StreamResult], metadata: ModelMetadata
) -> list[Spoken]:
    """The same of recordings that were heard in streams of their own."""
    return [
        Spoken(utterance, 0, 0.0, one.probabilities, votes_of(one, metadata), one.labels)
        for utterance, one in zip(utterances, heard, strict=True)
    ]


@dataclass(frozen=True)
class Figures:
    """How right the verdicts on utterances are.

    Attributes:
        voted: by the runtime's rule, estimates weighted by the speech in their window.
        plain: by the mean of the estimates with speech, all alike.
    """

    voted: Result
    plain: Result


def weighted_mean(
    parts: Sequence[Spoken], weights: Sequence[NDArray[np.integer]], labels: int
) -> tuple[Float64, NDArray[np.bool_]]:
    """Verdicts ``(parts, labels)``, equal where nothing weighs, and whether anything does."""
    verdicts = np.full((len(parts), labels), 1.0 / labels)
    for index, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        if weight.any():
            verdicts[index] = weight @ part.probabilities.astype(np.float64) / weight.sum()
    return verdicts, np.array([bool(weight.any()) for weight in weights], np.bool_)


def figures_of(parts: Sequence[Spoken], metadata: ModelMetadata) -> Figures:
    """Judge verdicts on utterances."""
    labels = np.array([metadata.labels.index(one.utterance.label) for one in parts], np.int64)
    speakers = [one.utterance.speaker for one in parts]
    votes = [one.votes for one in parts]
    presence = [(one.votes > 0).astype(np.int64) for one in parts]
    voted, plain = (
        result_of(*weighted_mean(parts, weights, len(metadata.labels)), labels, speakers)
        for weights in (votes, presence)
    )
    return Figures(voted, plain)


@dataclass(frozen=True)
class Running:
    """Utterances in running streams.

    Attributes:
        by_pause: by the pauses of the sessions, in seconds, the longest first.
        by_place: by place in the sessions with long pauses.
        by_lead: of the first utterances of all sessions, by the lead before them, in seconds.
        sessions: how many.
        minutes: length of all of them.
    """

    by_pause: dict[float, Figures]
    by_place: dict[str, Result]
    by_lead: dict[float, Result]
    sessions: int
    minutes: float

    @property
    def headline(self) -> Figures:
        """After long pauses: the figure by which models are judged."""
        return self.by_pause[LONG_PAUSE_S]


def judge_sessions(
    by_pause: dict[float, list[HeardSession]], metadata: ModelMetadata
) -> Running | None:
    """Judge session sets, by their pauses; None if nobody's utterances could be joined."""
    if not any(by_pause.values()):
        return None
    parts = {pause_s: parts_of(sessions, metadata) for pause_s, sessions in by_pause.items()}

    def voted(chosen: list[Spoken]) -> Result:
        return figures_of(chosen, metadata).voted

    by_place = {
        name: [one for one in parts[LONG_PAUSE_S] if first <= one.place < end]
        for name, (first, end) in PLACES.items()
    }
    firsts = [one for own in parts.values() for one in own if one.place == 0]
    by_lead = {lead_s: [one for one in firsts if one.lead_s == lead_s] for lead_s in LEADS_S}
    sessions = [one for own in by_pause.values() for one in own]
    return Running(
        {pause_s: figures_of(parts[pause_s], metadata) for pause_s in sorted(parts, reverse=True)},
        {name: voted(chosen) for name, chosen in by_place.items() if chosen},
        {lead_s: voted(chosen) for lead_s, chosen in by_lead.items() if chosen},
        len(sessions),
        sum(one.heard.samples for one in sessions) / SAMPLE_RATE / 60,
    )
