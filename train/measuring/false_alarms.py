"""False alarms on ordinary speech, and the cost of avoiding them.

Ordinary speech is not acted, so every emotion but neutral counts as a false alarm. The cost is the
acted emotion missed in running streams with the same prior.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from streamer.recognition.decision import SILENCE, UNCERTAIN, WARMING_UP, DecisionConfig, Verdict
from streamer.recognition.metadata import ModelMetadata
from streamer.signal import TIMESTEP_S
from streamer.sound.files.recording import read_recording
from train.corpora.known import NEUTRAL
from train.corpora.ordinary import commands, is_at_hand, ordinary_speech
from train.measuring.hearing import StreamResult, decide_again, hear, hear_all, worker_recognizer
from train.measuring.sessions import Figures, HeardSession, Spoken, figures_of, parts_of


def can_alarm(metadata: ModelMetadata) -> bool:
    """Return whether the model has a label for speech without an emotion."""
    return NEUTRAL in metadata.labels


def emotions_of(metadata: ModelMetadata) -> tuple[str, ...]:
    """Return the labels that are false alarms on ordinary speech."""
    return tuple(label for label in metadata.labels if label != NEUTRAL)


def ordinary_to_choose(corpora: Path) -> list[Path]:
    """Return whole sentences of ordinary speech for validation; empty if there are none."""
    return commands(ordinary_speech(corpora).validation) if is_at_hand(corpora) else []


def ordinary_to_judge(corpora: Path) -> list[Path]:
    """Return whole sentences of ordinary speech for testing."""
    return commands(ordinary_speech(corpora).test) if is_at_hand(corpora) else []


def _hear_path(path: Path, model: Path) -> StreamResult:
    """Read and hear a recording in a worker."""
    return hear(worker_recognizer(model), read_recording(path))


def hear_ordinary(
    pool: ProcessPoolExecutor, model: Path, paths: Sequence[Path]
) -> list[StreamResult]:
    """Hear each recording in a stream of its own; unknown speakers cannot be joined."""
    return list(hear_all(pool, partial(_hear_path, model=model), paths, "ordinary speech"))


@dataclass(frozen=True)
class Alarms:
    """Labels shown on ordinary speech. Shares are of the speech past the warm-up, in %.

    Attributes:
        recordings: number of recordings.
        speech_minutes: minutes of speech in them, past the warm-up.
        shares: share of each label, emotions in the model's order, then `uncertain`.
        alarms: number of times that an emotion other than neutral newly appeared.
        verdicts_called: share of the recordings, in %, whose verdict is an emotion but neutral.
        emotions: labels that are false alarms.
    """

    recordings: int
    speech_minutes: float
    shares: dict[str, float]
    alarms: int
    verdicts_called: float
    emotions: tuple[str, ...]

    @property
    def called(self) -> float:
        """Share of the speech labelled with an emotion but neutral, in %."""
        return sum(self.shares[label] for label in self.emotions)

    @property
    def alarms_a_minute(self) -> float:
        """Alarms per minute of speech; NaN without speech."""
        return self.alarms / self.speech_minutes if self.speech_minutes else float("nan")


def count_alarms(heard: Sequence[StreamResult], metadata: ModelMetadata) -> Alarms:
    """Count false alarms in the labels shown on ordinary speech."""
    emotions = emotions_of(metadata)
    speech_on = metadata.decision.speech_on
    shown: Counter[str] = Counter()
    alarms = called = 0
    for one in heard:
        shown.update(
            label
            for label, speech in zip(one.labels, one.speech, strict=True)
            if speech >= speech_on and label != WARMING_UP
        )
        alarms += _alarms(one.labels, emotions)
        called += _verdict(one, metadata) in emotions
    spoken = shown.total()
    shares = {
        label: 100.0 * shown[label] / spoken if spoken else float("nan")
        for label in (*metadata.labels, UNCERTAIN)
    }
    return Alarms(
        len(heard),
        spoken * TIMESTEP_S / 60,
        shares,
        alarms,
        100.0 * called / len(heard) if heard else float("nan"),
        emotions,
    )


def _alarms(labels: Sequence[str], emotions: Sequence[str]) -> int:
    """Count the times that an emotion differs from the last one shown, including the first."""
    shown = [UNCERTAIN, *(one for one in labels if one not in (SILENCE, WARMING_UP))]
    return sum(now != before and now in emotions for before, now in pairwise(shown))


def _verdict(heard: StreamResult, metadata: ModelMetadata) -> str:
    verdict = Verdict(metadata.labels, metadata.window_timesteps, metadata.decision.speech_on)
    steps = zip(heard.probabilities, heard.speech, heard.labels, strict=True)
    for probabilities, speech, label in steps:
        verdict.add(probabilities, float(speech), label)
    return verdict.overall


@dataclass(frozen=True)
class Ordinary:
    """Results on ordinary speech under each prior.

    Attributes:
        balanced: with emotions as frequent as in acted corpora.
        everyday: with the model's everyday prior; None if it has none.
    """

    balanced: Alarms
    everyday: Alarms | None


def sessions_again(
    sessions: Sequence[HeardSession],
    metadata: ModelMetadata,
    config: DecisionConfig | None = None,
    shares: Sequence[float] = (),
) -> list[HeardSession]:
    """Apply :func:`decide_again` to sessions."""
    return [
        replace(one, heard=decide_again(one.heard, metadata, config, shares)) for one in sessions
    ]


def judge_ordinary(heard: Sequence[StreamResult], metadata: ModelMetadata) -> Ordinary:
    """Judge ordinary speech heard by a recognizer with a balanced prior."""
    shares = metadata.everyday_prior
    everyday = [decide_again(one, metadata, shares=shares) for one in heard] if shares else None
    return Ordinary(
        count_alarms(heard, metadata),
        None if everyday is None else count_alarms(everyday, metadata),
    )


@dataclass(frozen=True)
class Acted:
    """Results on acted emotions in running streams.

    Attributes:
        shown: by emotion, correctly labelled share of its utterances' speech, past the warm-up,
            in %.
        recalls: by emotion, share of its utterances with a right verdict, in %.
        figures: verdicts on all utterances, including neutral.
        emotions: the emotions but neutral.
    """

    shown: dict[str, float]
    recalls: dict[str, float]
    figures: Figures
    emotions: tuple[str, ...]

    @property
    def mean_shown(self) -> float:
        """Over the emotions but neutral, in %."""
        return float(np.nanmean([self.shown[label] for label in self.emotions]))

    @property
    def mean_recall(self) -> float:
        """Over the emotions but neutral, in %."""
        return float(np.nanmean([self.recalls[label] for label in self.emotions]))


def judge_acted(sessions: Sequence[HeardSession], metadata: ModelMetadata) -> Acted:
    """Judge acted emotions in sessions as heard or decided again."""
    parts = parts_of(sessions, metadata)
    figures = figures_of(parts, metadata)
    recalls = dict(zip(metadata.labels, figures.voted.scores.recall.tolist(), strict=True))
    shown = {label: _share_shown(parts, label) for label in metadata.labels}
    return Acted(shown, recalls, figures, emotions_of(metadata))


def _share_shown(parts: Sequence[Spoken], emotion: str) -> float:
    shown: Counter[str] = Counter()
    for part in parts:
        if part.utterance.label == emotion:
            shown.update(
                label
                for label, votes in zip(part.labels, part.votes, strict=True)
                if votes and label != WARMING_UP
            )
    spoken = shown.total()
    return 100.0 * shown[emotion] / spoken if spoken else float("nan")
