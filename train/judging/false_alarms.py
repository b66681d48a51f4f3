"""Ordinary speech: how often is it called an emotion, and what does keeping quiet there cost?

Nobody acts in it, so every emotion but neutral is taken for a false alarm. Beside it stands how
much of acted emotion is still found in running streams with the same prior.
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

from streamer.modelfile.metadata import ModelMetadata
from streamer.recognition.decision import SILENCE, UNCERTAIN, WARMING_UP, DecisionConfig, Verdict
from streamer.signal import TIMESTEP_S
from streamer.sound.files.recording import read_recording
from train.corpora.known import NEUTRAL
from train.corpora.ordinary import commands, is_at_hand, ordinary_speech
from train.judging.hearing import StreamResult, decide_again, hear, hear_all, worker_recognizer
from train.judging.sessions import Figures, HeardSession, Spoken, figures_of, parts_of


def can_alarm(metadata: ModelMetadata) -> bool:
    """Whether the model knows of speech without an emotion."""
    return NEUTRAL in metadata.labels


def emotions_of(metadata: ModelMetadata) -> tuple[str, ...]:
    """Labels that are false alarms on ordinary speech."""
    return tuple(label for label in metadata.labels if label != NEUTRAL)


def ordinary_to_choose(corpora: Path) -> list[Path]:
    """Whole sentences of ordinary speech to choose by; none if there are none at hand."""
    return commands(ordinary_speech(corpora).validation) if is_at_hand(corpora) else []


def ordinary_to_judge(corpora: Path) -> list[Path]:
    """Whole sentences of ordinary speech that nothing is trained on or chosen by."""
    return commands(ordinary_speech(corpora).test) if is_at_hand(corpora) else []


def _hear_path(path: Path, model: Path) -> StreamResult:
    """Worker: read a recording and hear it."""
    return hear(worker_recognizer(model), read_recording(path))


def hear_ordinary(
    pool: ProcessPoolExecutor, model: Path, paths: Sequence[Path]
) -> list[StreamResult]:
    """Hear each recording in a stream of its own: speakers are not known, so none are joined."""
    return list(hear_all(pool, partial(_hear_path, model=model), paths, "ordinary speech"))


@dataclass(frozen=True)
class Alarms:
    """What ordinary speech is called. Shares are of the speech past the warm-up, in %.

    Attributes:
        recordings: how many.
        speech_minutes: of speech in them, past the warm-up.
        shares: by label, the emotions in the model's order, then `uncertain`.
        alarms: how often an emotion was shown that had not been, neutral aside.
        verdicts_called: share of the recordings, in %, whose verdict is an emotion but neutral.
        emotions: labels that are false alarms here.
    """

    recordings: int
    speech_minutes: float
    shares: dict[str, float]
    alarms: int
    verdicts_called: float
    emotions: tuple[str, ...]

    @property
    def called(self) -> float:
        """Share of the speech that is called an emotion, neutral aside, in %."""
        return sum(self.shares[label] for label in self.emotions)

    @property
    def alarms_a_minute(self) -> float:
        """Of speech; NaN without any."""
        return self.alarms / self.speech_minutes if self.speech_minutes else float("nan")


def count_alarms(heard: Sequence[StreamResult], metadata: ModelMetadata) -> Alarms:
    """Judge what was heard of ordinary speech, by the labels that were shown."""
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
    """How often an emotion is shown that is not what was shown last, the first time included."""
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
    """Ordinary speech under each prior.

    Attributes:
        balanced: emotions as often as in acted corpora.
        everyday: as often as the model says that they are met; None if it does not say.
    """

    balanced: Alarms
    everyday: Alarms | None


def sessions_again(
    sessions: Sequence[HeardSession],
    metadata: ModelMetadata,
    config: DecisionConfig | None = None,
    shares: Sequence[float] = (),
) -> list[HeardSession]:
    """Sessions under another decision layer or prior, as :func:`decide_again` hears each."""
    return [
        replace(one, heard=decide_again(one.heard, metadata, config, shares)) for one in sessions
    ]


def judge_ordinary(heard: Sequence[StreamResult], metadata: ModelMetadata) -> Ordinary:
    """Judge what a recognizer with a balanced prior heard of ordinary speech."""
    shares = metadata.everyday_prior
    everyday = [decide_again(one, metadata, shares=shares) for one in heard] if shares else None
    return Ordinary(
        count_alarms(heard, metadata),
        None if everyday is None else count_alarms(everyday, metadata),
    )


@dataclass(frozen=True)
class Acted:
    """What is found of acted emotions in running streams.

    Attributes:
        shown: by emotion, share of the speech of its utterances that is labelled so, past the
            warm-up, in %.
        recalls: by emotion, share of its utterances whose verdict is right, in %.
        figures: verdicts on all utterances, neutral among them.
        emotions: those but neutral.
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
    """Judge acted emotions in sessions as they were heard or decided."""
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
