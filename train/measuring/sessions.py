"""Running streams: a speaker's utterances in one stream, with a verdict on each.

A monitor is always in the middle of something. So every recording is part of a session, after a
lead, with pauses, in digital silence or faint noise, and the runtime's rule makes its verdict from
its own timesteps. For comparison, the same recording is also heard alone, in its own stream.
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

from streamer.recognition.metadata import ModelMetadata
from streamer.signal import SAMPLE_RATE, TIMESTEP_SAMPLES
from streamer.sound.files.recording import read_recording
from train.corpora.known import Utterance
from train.features.augment import active_rms
from train.measuring.conditions import CLEAN, Condition, heard_in
from train.measuring.hearing import (
    StreamResult,
    hear,
    hear_all,
    name_of,
    votes_of,
    worker_recognizer,
)
from train.measuring.measures import Result, result_of
from train.measuring.streams import by_speaker, join, silence

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

#: Pauses of the session sets, and the one closest to a monitor's day.
PAUSES_S = (0.4, 1.0, 3.0)
LONG_PAUSE_S = 3.0
#: Leads before the first utterance; sessions alternate them.
LEADS_S = (0.0, 1.0, 3.0, 10.0)
#: Most utterances in a session; more are cut into several of about equal length.
MOST_UTTERANCES = 12
#: Faint noise in pauses and leads: white, -60 dBFS.
FAINT_RMS = 10.0 ** (-60.0 / 20.0)
#: Recordings below this active level, -100 dBFS, are silent.
SILENT_RMS = 1e-5
#: Place in a session -> its range of utterances, counted from 0, end excluded.
PLACES: dict[str, tuple[int, int]] = {
    "first": (0, 1),
    "second and third": (1, 3),
    "fourth and later": (3, MOST_UTTERANCES),
}


@dataclass(frozen=True, slots=True)
class Session:
    """Utterances of one speaker in one stream.

    Attributes:
        name: name of the speaker and the session.
        utterances: utterances in order.
        pause_s: pause between two of them.
        lead_s: lead before the first.
        is_noisy: whether pauses and lead hold faint noise instead of digital silence.
    """

    name: str
    utterances: tuple[Utterance, ...]
    pause_s: float
    lead_s: float
    is_noisy: bool


def plan_sessions(utterances: Sequence[Utterance], pause_s: float) -> list[Session]:
    """Plan sessions of every known speaker, in which each utterance occurs once.

    The order depends only on the speaker's name, so pauses and other speakers do not change it.
    Sessions alternate leads and fillings; each pause shifts the cycle, so that a first utterance
    gets several leads.
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
    """Return a source of white noise at -60 dBFS, seeded by the name."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return lambda samples: generator.normal(0.0, FAINT_RMS, samples).astype(np.float32)


def own_timesteps(start: int, end: int) -> tuple[int, int]:
    """Return the first timestep of a part of a stream, and the one after its last.

    Timestep ``t`` covers samples ``[640 t, 640 t + 640)``. Timesteps entirely within the part are
    its own; a part at the start of the stream has as many as alone.

    Args:
        start: index of the part's first sample.
        end: index of the sample after its last one.
    """
    first = -(-start // TIMESTEP_SAMPLES)
    return first, max(first, end // TIMESTEP_SAMPLES)


@dataclass(frozen=True)
class HeardSession:
    """A session and the runtime's outputs on it.

    Attributes:
        session: the planned session.
        spans: for each utterance, the first of its own timesteps and the one after the last.
        heard: outputs of one stream, from the first sample to the last.
    """

    session: Session
    spans: tuple[tuple[int, int], ...]
    heard: StreamResult


def hear_session(
    session: Session,
    model: Path,
    adapts: bool = True,
    condition: Condition = CLEAN,
    noise_root: Path = Path(),
) -> HeardSession:
    """Read, join and hear the recordings in a worker.

    A condition of the voice changes each recording, any other the whole stream, pauses included.
    """
    recordings = [read_recording(one.path) for one in session.utterances]
    if condition.is_of_voice:
        recordings = [
            heard_in(condition, recording, name_of(one), noise_root)
            for one, recording in zip(session.utterances, recordings, strict=True)
        ]
    fill = faint_noise(session.name) if session.is_noisy else silence
    samples, starts = join(recordings, session.pause_s, session.lead_s, fill)
    spans = [
        own_timesteps(start, start + len(recording))
        for start, recording in zip(starts, recordings, strict=True)
    ]
    if condition != CLEAN and not condition.is_of_voice:
        samples = heard_in(condition, samples, session.name, noise_root, mean_level(recordings))
    heard = hear(worker_recognizer(model), samples, adapts=adapts)
    return HeardSession(session, tuple(spans), heard)


def mean_level(recordings: Sequence[Float32]) -> float:
    """Return the mean level of recordings in dB, as an amplitude; silent ones do not count.

    Loud recordings do not govern it: a background goes on while some sentences are shouted and
    others are not.
    """
    levels = [active_rms(one) for one in recordings]
    heard = [level for level in levels if level > SILENT_RMS]
    return float(np.exp(np.mean(np.log(heard)))) if heard else SILENT_RMS


def hear_sessions(
    pool: ProcessPoolExecutor,
    model: Path,
    utterances: Sequence[Utterance],
    pause_s: float,
    condition: Condition = CLEAN,
    noise_root: Path = Path(),
) -> list[HeardSession]:
    """Join the utterances to sessions with this pause and hear them in a condition."""
    work = partial(hear_session, model=model, condition=condition, noise_root=noise_root)
    title = f"{utterances[0].corpus}, pauses {pause_s:g} s"
    if condition != CLEAN:
        title += f", {condition.described}"
    return list(hear_all(pool, work, plan_sessions(utterances, pause_s), title))


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance's own timesteps in a stream.

    Attributes:
        utterance: the utterance.
        place: its place in the stream, from 0.
        lead_s: lead of the stream.
        probabilities: ``(timesteps, labels)``.
        votes: ``(timesteps,)`` weights in a verdict, zero without speech.
        labels: the decision layer's label of every timestep.
    """

    utterance: Utterance
    place: int
    lead_s: float
    probabilities: NDArray[np.floating]
    votes: Int64
    labels: tuple[str, ...]


def parts_of(sessions: Sequence[HeardSession], metadata: ModelMetadata) -> list[Spoken]:
    """Cut out the utterances' own timesteps, session by session."""
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
    """Return the same for recordings heard in streams of their own."""
    return [
        Spoken(utterance, 0, 0.0, one.probabilities, votes_of(one, metadata), one.labels)
        for utterance, one in zip(utterances, heard, strict=True)
    ]


@dataclass(frozen=True)
class Figures:
    """Accuracy of the verdicts on utterances.

    Attributes:
        voted: by the runtime's rule, with estimates weighted by the speech in their window.
        plain: by the unweighted mean of the estimates with speech.
    """

    voted: Result
    plain: Result


def weighted_mean(
    parts: Sequence[Spoken], weights: Sequence[NDArray[np.integer]], labels: int
) -> tuple[Float64, NDArray[np.bool_]]:
    """Return verdicts ``(parts, labels)``, uniform if no weight is nonzero, and whether one is."""
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
    """Results on utterances in running streams.

    Attributes:
        by_pause: results by pause in seconds, the longest first.
        by_place: results by place in the sessions with long pauses.
        by_lead: results on the first utterances of all sessions, by lead in seconds.
        sessions: number of sessions.
        minutes: total length of the sessions.
    """

    by_pause: dict[float, Figures]
    by_place: dict[str, Result]
    by_lead: dict[float, Result]
    sessions: int
    minutes: float

    @property
    def headline(self) -> Figures:
        """Figures after long pauses, by which models are judged."""
        return self.by_pause[LONG_PAUSE_S]


def judge_spoken(sessions: Sequence[HeardSession], metadata: ModelMetadata) -> Result | None:
    """Judge the utterances of sessions; None if there are no sessions."""
    return figures_of(parts_of(sessions, metadata), metadata).voted if sessions else None


def judge_sessions(
    by_pause: dict[float, list[HeardSession]], metadata: ModelMetadata
) -> Running | None:
    """Judge session sets by pause; None if there are no sessions."""
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
