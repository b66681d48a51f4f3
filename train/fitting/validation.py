"""Validation sets: utterances of the validation speakers, alone and within streams.

The runtime's front end and voice gate run once; each judgement is one pass of the network.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import train.features.sound
from streamer.recognition.normaliser import Normaliser
from streamer.recognition.spectra import SpectralAnalysis
from streamer.recognition.voice_gate import SpeechDetector
from streamer.sound.files.recording import read_recording
from train.corpora.known import Utterance
from train.features.augment import Augmentation, active_rms
from train.features.data import (
    Example,
    Features,
    example_of,
    features_of,
    key_of,
    load_examples,
    normalise,
    prepare,
    save_examples,
    source_digest,
)
from train.features.sound import Surroundings, coloured, draw_colours, surround
from train.measuring.sessions import PAUSES_S, Session, faint_noise, own_timesteps, plan_sessions
from train.measuring.streams import join, silence
from train.progress import tracked
from train.workers import WorkerPool

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

#: Name of the set whose streams hold one utterance each.
ALONE = "alone"


@dataclass(frozen=True)
class ValidationSet:
    """Streams with the utterances to judge.

    Attributes:
        name: name of the set, for display.
        features: features of the streams.
        spans: ``(utterances, 3)`` stream, first timestep, timestep after the last.
        labels: ``(utterances,)`` index of the network's label.
        corpora: corpus of each utterance.
        speakers: speaker of each utterance.
    """

    name: str
    features: Features
    spans: Int64
    labels: Int64
    corpora: Sequence[str]
    speakers: Sequence[str]


def plan(utterances: Sequence[Utterance], pauses_s: Sequence[float] = PAUSES_S) -> list[Session]:
    """Plan sessions with every utterance of a known speaker; sessions alternate the pauses."""
    by_pause = [plan_sessions(utterances, pause_s) for pause_s in pauses_s]
    return [found[turn % len(pauses_s)] for turn, found in enumerate(zip(*by_pause, strict=True))]


def alone(
    utterances: Sequence[Utterance],
    labels: Int64,
    normaliser: Normaliser,
    cache_folder: Path,
    normalisation: str = "causal",
) -> ValidationSet:
    """Put each utterance, as recorded, in a stream of its own."""
    features = features_of(prepare(utterances, cache_folder), normaliser, normalisation)
    corpora = [one.corpus for one in utterances]
    speakers = [one.speaker for one in utterances]
    return ValidationSet(ALONE, features, features.whole, labels, corpora, speakers)


def in_streams(
    utterances: Sequence[Utterance],
    labels: Int64,
    normaliser: Normaliser,
    cache_folder: Path,
    harm: tuple[Augmentation, Surroundings] | None = None,
    pauses_s: Sequence[float] = PAUSES_S,
) -> ValidationSet | None:
    """Put every utterance within a session; return None if speakers are unknown.

    Args:
        utterances: utterances of the validation speakers.
        labels: label of each utterance.
        normaliser: the front end's normaliser.
        cache_folder: folder for prepared features.
        harm: augmentation before the converter, and its material; None applies none.
        pauses_s: pauses between utterances; sessions alternate them.
    """
    name = "in streams" if harm is None else "in streams, augmented"
    sessions = plan(utterances, pauses_s)
    if not sessions:
        return None
    drawn = harm and (harm[0], harm[1].measured, _sources())
    key = key_of([one.path for one in utterances], sessions, drawn)
    file = cache_folder / f"sessions-{key}.npz"
    if not file.exists():
        cache_folder.mkdir(parents=True, exist_ok=True)
        with WorkerPool() as pool:
            heard = pool.map(partial(_hear, harm=harm), sessions)
            sizes = [1] * len(sessions)
            found = list(tracked(heard, sizes, f"sessions are heard {name}"))
            save_examples(found, file)
    features = normalise(load_examples(file), normaliser)
    spans = [
        (stream, *span) for stream, session in enumerate(sessions) for span in _spans_of(session)
    ]
    order = [one for session in sessions for one in session.utterances]
    index = {one.path: label for one, label in zip(utterances, labels.tolist(), strict=True)}
    return ValidationSet(
        name,
        features,
        np.array(spans, np.int64),
        np.array([index[one.path] for one in order], np.int64),
        [one.corpus for one in order],
        [one.speaker for one in order],
    )


@cache
def _sources() -> str:
    """Return a digest of the augmentation code, so that older results are not reused."""
    return source_digest(inspect.getsource(train.features.sound))


def _spans_of(session: Session) -> list[tuple[int, int]]:
    lengths = [len(read_recording(one.path)) for one in session.utterances]
    _, starts = join([silence(length) for length in lengths], session.pause_s, session.lead_s)
    return [own_timesteps(start, start + size) for start, size in zip(starts, lengths, strict=True)]


def _hear(session: Session, harm: tuple[Augmentation, Surroundings] | None) -> Example:
    """Read, join and analyse a session in a worker."""
    torch.set_num_threads(1)
    recordings = [read_recording(one.path) for one in session.utterances]
    fill = faint_noise(session.name) if session.is_noisy else silence
    samples, _ = join(recordings, session.pause_s, session.lead_s, fill)
    if harm is not None:
        ranges, around = harm
        generator = np.random.default_rng(zlib.crc32(session.name.encode()))
        level = np.sqrt(np.mean([active_rms(one) ** 2 for one in recordings]))
        levels = torch.tensor([level], dtype=torch.float32)
        phoned = generator.random(1) < ranges.telephone
        given = torch.from_numpy(samples)[None].clone()
        heard = surround(given, levels, ranges, around, phoned, generator)
        samples = coloured(heard, draw_colours(ranges, phoned, generator))[0].numpy()
    return example_of(samples, SpectralAnalysis(SpeechDetector()))
