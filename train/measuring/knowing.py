"""The gain from knowing a voice, by a profile or by adaptation within a stream.

Profiles come from sentences labelled neutral, but never from the judged one, so that every profile
is judged on the same recordings. Adaptation is measured in one stream of all of a speaker's
utterances, with and without it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from streamer.recognition.metadata import ModelMetadata
from streamer.recognition.profile import ALL, Profile
from streamer.recognition.recognizer import Recognizer
from streamer.recognition.stream import Stream
from streamer.signal import TIMESTEP_S
from streamer.sound.files.recording import read_recording
from train.corpora.known import NEUTRAL, Utterance
from train.measuring.hearing import StreamResult, hear, hear_all, worker_recognizer
from train.measuring.measures import Result
from train.measuring.sessions import (
    HeardSession,
    Session,
    Spoken,
    alone,
    figures_of,
    hear_session,
    parts_of,
)
from train.measuring.streams import by_speaker

#: Sentences per profile; if a speaker has fewer, all but the judged sentence.
SENTENCES = (0, 1, 3, 10)
#: Sentences of the profile that is also made at other levels, and these differences in dB, up or
#: down by the speaker: as from another microphone, or from another distance.
ELSEWHERE_SENTENCES, ELSEWHERE_DB = 3, (8.0, 15.0)
#: Groups of utterances: least seconds of speech before them in the stream.
SPEECH_S = (0.0, 30.0, 120.0)
#: Pause and lead of the streams in which the model adapts to a voice.
PAUSE_S, LEAD_S = 1.0, 1.0


@dataclass(frozen=True)
class Known:
    """Verdicts by knowledge of the voice.

    Attributes:
        by_sentences: on recordings alone, by the number of sentences in the profile.
        elsewhere: the same with :data:`ELSEWHERE_SENTENCES`, by how far their level is off.
        fewest: fewest sentences in a profile meant to have ten.
        by_speech: on recordings in one long stream per speaker, by the seconds of speech before
            them, with and without adaptation.
    """

    by_sentences: dict[int, Result]
    elsewhere: dict[float, Result]
    fewest: int
    by_speech: dict[float, tuple[Result, Result]]


def judge_known(
    pool: ProcessPoolExecutor,
    model: Path,
    utterances: Sequence[Utterance],
    metadata: ModelMetadata,
) -> Known | None:
    """Judge recordings with knowledge of the voice; None if the model has no voice memory.

    The result is also None if speakers or neutral sentences are unknown.
    """
    voices = by_speaker(utterances)
    if not (metadata.knows_voices and voices and NEUTRAL in metadata.labels):
        return None
    work = partial(_hear_speaker, model=model)
    jobs = [tuple(own) for _, own in voices]
    by_voice = list(hear_all(pool, work, jobs, f"{utterances[0].corpus}, profiles"))
    judged = [one for own in jobs for one in own]
    found = []
    for heard in zip(*(one for own in by_voice for one in own), strict=True):
        found.append(figures_of(alone(judged, heard, metadata), metadata).voted)
    by_sentences = dict(zip(SENTENCES, found, strict=False))
    elsewhere = dict(zip(ELSEWHERE_DB, found[len(SENTENCES) :], strict=True))
    neutral = [sum(one.label == NEUTRAL for one in own) for own in jobs]
    fewest = min(max(SENTENCES), *(max(count - 1, 0) for count in neutral))
    return Known(by_sentences, elsewhere, fewest, _by_speech(pool, model, voices, metadata))


def _by_speech(
    pool: ProcessPoolExecutor,
    model: Path,
    voices: Sequence[tuple[str, list[Utterance]]],
    metadata: ModelMetadata,
) -> dict[float, tuple[Result, Result]]:
    sessions = [_long_session(name, own) for name, own in voices]
    spoken: list[list[tuple[float, Spoken]]] = []
    for adapts in (True, False):
        work = partial(hear_session, model=model, adapts=adapts)
        title = f"{voices[0][1][0].corpus}, one stream"
        found = list(hear_all(pool, work, sessions, title))
        before = [seconds for one in found for seconds in _speech_before(one, metadata)]
        spoken.append(list(zip(before, parts_of(found, metadata), strict=True)))
    result = {}
    ends = (*SPEECH_S[1:], float("inf"))
    for first, end in zip(SPEECH_S, ends, strict=True):
        pair = [[one for at, one in own if first <= at < end] for own in spoken]
        if pair[0]:
            adapted, fixed = (figures_of(own, metadata).voted for own in pair)
            result[first] = (adapted, fixed)
    return result


def _long_session(name: str, utterances: Sequence[Utterance]) -> Session:
    """Put all of a speaker's utterances in one stream, shuffled by the name alone."""
    order = np.random.default_rng(zlib.crc32(name.encode())).permutation(len(utterances))
    said = tuple(utterances[index] for index in order)
    return Session(f"{name}/all", said, PAUSE_S, LEAD_S, False)


def _speech_before(one: HeardSession, metadata: ModelMetadata) -> list[float]:
    """Return the seconds of speech in the stream before each utterance."""
    heard = np.cumsum(one.heard.speech >= metadata.decision.speech_on) * TIMESTEP_S
    return [float(heard[first - 1]) if first else 0.0 for first, _ in one.spans]


def _hear_speaker(utterances: Sequence[Utterance], model: Path) -> list[list[StreamResult]]:
    """Hear a speaker's recordings with each profile, in a worker, as in :class:`Known`."""
    recognizer = worker_recognizer(model)
    paths = [one.path for one in utterances if one.label == NEUTRAL]
    seed = zlib.crc32(f"{utterances[0].corpus}/{utterances[0].speaker}".encode())
    neutral = [paths[index] for index in np.random.default_rng(seed).permutation(len(paths))]
    sign = 1.0 if seed % 2 else -1.0
    found = []
    for utterance in utterances:
        samples = read_recording(utterance.path)
        others = [path for path in neutral if path != utterance.path]
        known = [_profile(model, tuple(others[:sentences])) for sentences in SENTENCES]
        three = tuple(others[:ELSEWHERE_SENTENCES])
        known += [_profile(model, three, sign * off_db) for off_db in ELSEWHERE_DB]
        found.append([hear(recognizer, samples, profile) for profile in known])
    return found


@cache
def _profile(model: Path, paths: tuple[Path, ...], gain_db: float = 0.0) -> Profile | None:
    """Make a profile of recordings of any length, without the minimum required of users."""
    recognizer: Recognizer = worker_recognizer(model)
    known = _profile(model, paths[:-1], gain_db) if len(paths) > 1 else None
    if not paths:
        return None
    stream = Stream(recognizer, known, ALL)
    gain = np.float32(10.0 ** (gain_db / 20.0))
    samples = np.clip(gain * read_recording(paths[-1]), -1.0, 1.0)
    heard = stream.accept(samples) + stream.flush()
    has_speech = any(one.speech >= recognizer.metadata.decision.speech_on for one in heard)
    return stream.profile() if has_speech else known
