"""Held emotions: whether the label stays right while the emotion does not change."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.recognition.decision import WARMING_UP
from streamer.recognition.metadata import ModelMetadata
from streamer.signal import SAMPLE_RATE, TIMESTEP_S
from streamer.sound.files.recording import read_recording
from train.corpora.known import Utterance
from train.measuring.hearing import StreamResult, hear, hear_all, worker_recognizer
from train.measuring.streams import by_speaker, join

Float32 = NDArray[np.float32]

#: Least length of a held emotion, and its pauses, in seconds.
HELD_S = 60.0
PAUSE_S = 0.4
#: End of the early part and start of the late part, in seconds since the first speech.
EARLY_S = 3.0
LATE_S = 6.0


@dataclass(frozen=True, slots=True)
class Holding:
    """One speaker's utterances of one emotion.

    Attributes:
        name: ``CORPUS/SPEAKER/EMOTION``.
        emotion: emotion of all of them.
        utterances: in the order of their first use.
    """

    name: str
    emotion: str
    utterances: tuple[Utterance, ...]


def plan_holding(utterances: Sequence[Utterance]) -> list[Holding]:
    """Plan one holding per known speaker and emotion, shuffled by their names alone."""
    found = []
    for speaker, own in by_speaker(utterances):
        by_emotion: dict[str, list[Utterance]] = defaultdict(list)
        for utterance in own:
            by_emotion[utterance.label].append(utterance)
        for emotion, same in sorted(by_emotion.items()):
            name = f"{speaker}/{emotion}"
            order = np.random.default_rng(zlib.crc32(name.encode())).permutation(len(same))
            found.append(Holding(name, emotion, tuple(same[index] for index in order)))
    return found


def held_for(recordings: Sequence[Float32], pause_s: float, seconds: float) -> Float32:
    """Join recordings in order until they last ``seconds``, starting over if needed."""
    wanted, length = seconds * SAMPLE_RATE, 0.0
    row: list[Float32] = []
    while length < wanted:
        row.append(recordings[len(row) % len(recordings)])
        length += len(row[-1]) + pause_s * SAMPLE_RATE
    return join(row, pause_s)[0]


def hear_holding(holding: Holding, model: Path) -> StreamResult:
    """Read, join and hear the recordings in a worker."""
    recordings = [read_recording(one.path) for one in holding.utterances]
    return hear(worker_recognizer(model), held_for(recordings, PAUSE_S, HELD_S))


@dataclass(frozen=True)
class Held:
    """Share of the speech, in %, that is labelled right, past the warm-up.

    Attributes:
        labelled_early: by the label shown, in the first 3 s since the first speech.
        labelled_late: the same from 6 s on.
        likeliest_early: by the likeliest emotion, shown or not, in the first 3 s.
        likeliest_late: the same from 6 s on.
    """

    labelled_early: float
    labelled_late: float
    likeliest_early: float
    likeliest_late: float

    @property
    def labelled_ratio(self) -> float:
        """Ratio of late to early; NaN if nothing was right early."""
        return _ratio(self.labelled_late, self.labelled_early)

    @property
    def likeliest_ratio(self) -> float:
        """Ratio of late to early; NaN if nothing was right early."""
        return _ratio(self.likeliest_late, self.likeliest_early)


def _ratio(late: float, early: float) -> float:
    return late / early if early > 0 else float("nan")


def hear_held(
    pool: ProcessPoolExecutor,
    model: Path,
    utterances: Sequence[Utterance],
    metadata: ModelMetadata,
) -> dict[str, Held]:
    """Hear and judge held emotions, in the model's order; empty if no speaker is known."""
    plan = plan_holding(utterances)
    work = partial(hear_holding, model=model)
    title = f"{utterances[0].corpus}, held"
    return judge_held(plan, list(hear_all(pool, work, plan, title)), metadata)


def judge_held(
    plan: Sequence[Holding], heard: Sequence[StreamResult], metadata: ModelMetadata
) -> dict[str, Held]:
    """Judge the outputs on a plan, with all speakers of an emotion together."""
    counts: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros((2, 3), np.int64))
    for holding, one in zip(plan, heard, strict=True):
        counts[holding.emotion] += _counts(one, holding.emotion, metadata)
    found = {}
    for emotion in (label for label in metadata.labels if label in counts):
        with np.errstate(invalid="ignore"):
            shares = 100.0 * counts[emotion][:, :2] / counts[emotion][:, 2:]
        (early, likeliest_early), (late, likeliest_late) = shares.tolist()
        found[emotion] = Held(early, late, likeliest_early, likeliest_late)
    return found


def _counts(heard: StreamResult, emotion: str, metadata: ModelMetadata) -> NDArray[np.int64]:
    """Count timesteps with speech, ``(early and late, 3)``: labelled so, likeliest so, all."""
    labels = np.array(heard.labels)
    is_speech = heard.speech >= metadata.decision.speech_on
    if not is_speech.any():
        return np.zeros((2, 3), np.int64)
    since_s = (np.arange(len(labels)) - int(is_speech.argmax())) * TIMESTEP_S
    likeliest = heard.probabilities.argmax(axis=1) == metadata.labels.index(emotion)
    judged = is_speech & (labels != WARMING_UP)
    early = judged & (since_s < EARLY_S)
    late = judged & (since_s >= LATE_S)
    return np.array(
        [
            [(when & (labels == emotion)).sum(), (when & likeliest).sum(), when.sum()]
            for when in (early, late)
        ],
        np.int64,
    )
