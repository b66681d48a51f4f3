"""Evaluate model files through the runtime, on speakers they were not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamer.errors import SerLiveError, printable
from streamer.modelfile.lineage import HeldBy
from streamer.outputs import say_on_stderr
from streamer.recognition.metadata import ModelMetadata
from streamer.recognition.recognizer import Recognizer
from train.corpora.known import Utterance, at_hand, read_corpus
from train.corpora.lineage import heard_corpus_of, held_back, without_known
from train.corpora.ordinary import FOLDER
from train.corpora.splits import split_of
from train.measuring.choices import PARTS, Kind, Measured
from train.measuring.conditions import CLEAN, Condition, conditions_of
from train.measuring.false_alarms import (
    Acted,
    Ordinary,
    can_alarm,
    hear_ordinary,
    judge_acted,
    judge_ordinary,
    ordinary_to_judge,
    sessions_again,
)
from train.measuring.hearing import StreamResult, hear_utterances, samples_heard, verdicts_of
from train.measuring.held import Held, hear_held
from train.measuring.knowing import Known, judge_known
from train.measuring.measures import Result, Scores, result_of, untempered
from train.measuring.sessions import (
    LONG_PAUSE_S,
    PAUSES_S,
    Figures,
    HeardSession,
    Running,
    alone,
    figures_of,
    hear_sessions,
    judge_sessions,
    judge_spoken,
)
from train.measuring.streams import Following, follow, hear_streams
from train.workers import WorkerPool

WORKERS = 2
#: Times of the judged verdicts, in seconds after the first speech.
SECONDS_HEARD = (0.5, 1.0, 1.5, 2.0, 3.0)
#: Least score on an unknown corpus, as a multiple of chance: 40 % on four classes.
LEAST_OVER_CHANCE = 1.6


@dataclass(frozen=True)
class EvaluationPlan:
    """The settings of an evaluation.

    Attributes:
        corpora: folder of the unpacked corpora, ``noise`` among them.
        names: corpora to score; all present ones if empty.
        split: named split whose test recordings are scored. None scores the speakers held out in
            training, or all speakers of a corpus that the model was not trained on.
        kinds: some of :data:`train.measuring.choices.KINDS`, in addition to unchanged recordings.
        parts: some of :data:`train.measuring.choices.PARTS`; recordings alone are always measured
            on a corpus.
        limit: most speakers per corpus, the first by name; None for all.
        pauses_s: pauses of the sessions, including the long one.
    """

    corpora: Path
    names: tuple[str, ...] = ()
    split: str | None = None
    kinds: tuple[Kind, ...] = ()
    parts: tuple[Measured, ...] = PARTS
    limit: int | None = None
    pauses_s: tuple[float, ...] = PAUSES_S

    @property
    def wants_corpora(self) -> bool:
        """Whether it needs anything but ordinary speech."""
        return bool(self.kinds) or set(self.parts) != {"ordinary"}


@dataclass(frozen=True)
class Conditioned:
    """Results on the recordings in a condition.

    Attributes:
        alone: each in a stream of its own.
        running: in running streams with long pauses; None if not measured, or if no speaker is
            known.
    """

    alone: Result
    running: Result | None


@dataclass(frozen=True)
class Evaluation:
    """The results of a model on a corpus.

    Attributes:
        corpus: its name.
        held_by: what training held out of this corpus; None if the model was not trained on it.
        speakers: number of speakers.
        alone: verdicts on whole, unchanged recordings, each in a stream of its own.
        untempered_error: their calibration error without the temperature.
        heard: results by seconds after the first speech.
        lasted: share of the recordings that last that long, in %, by the same seconds.
        running: the same recordings in running streams; None if not measured or if no speaker is
            known.
        held: results on held emotions, by emotion; empty if not measured or if no speaker is
            known.
        acted: emotions in running streams under the everyday prior; None without such a prior or
            without sessions.
        conditions: results by condition.
        following: results on changes of emotion; None if not measured or if no speaker has two
            emotions.
        known: gain from knowing the voice; None if not measured or if the model has no voice
            memory.
    """

    corpus: str
    held_by: HeldBy | None
    speakers: int
    alone: Figures
    untempered_error: float
    heard: dict[float, Result]
    lasted: dict[float, float]
    running: Running | None
    held: dict[str, Held]
    acted: Acted | None
    conditions: dict[Condition, Conditioned]
    following: Following | None
    known: Known | None

    @property
    def is_trained_on(self) -> bool:
        """Whether the model was trained on other recordings of this corpus."""
        return self.held_by is not None

    @property
    def whole(self) -> Result:
        """Result of the runtime's verdicts on whole recordings, alone."""
        return self.alone.voted

    def lost(self, condition: Condition) -> float:
        """Return what a condition takes off the UAR of recordings alone, in points."""
        return self.whole.scores.uar - self.conditions[condition].alone.scores.uar

    def lost_running(self, condition: Condition) -> float:
        """Return what it takes off the UAR in running streams; NaN if that is not measured."""
        found = self.conditions[condition].running
        if found is None or self.running is None:
            return float("nan")
        return self.running.headline.voted.scores.uar - found.scores.uar

    @property
    def is_at_chance(self) -> bool:
        """Whether the model is of no use on this corpus."""
        return self.whole.scores.uar < LEAST_OVER_CHANCE * 100.0 / len(self.whole.scores.confusion)


def utterances_to_test(name: str, metadata: ModelMetadata, plan: EvaluationPlan) -> list[Utterance]:
    """Return a corpus's recordings of speakers that the model has not heard, by the plan.

    Warnings about figures on them go to stderr.

    Raises:
        SerLiveError: there is no such corpus or split, the model was trained on another split, or
            no held-out speaker is present.
    """
    heard = heard_corpus_of(name, metadata)
    if heard and plan.split not in (None, heard.split):
        raise SerLiveError(
            f"{metadata.name} was trained on the split {heard.split!r} of {name}: it may have "
            f"heard the test speakers of {plan.split!r}"
        )
    found = read_corpus(name, plan.corpora, metadata.labels)
    warnings: tuple[str, ...] = ()
    if heard:
        kept = held_back(heard, "test", found)
        found, warnings = list(kept.utterances), kept.warnings
    elif plan.split:
        split = split_of(plan.split, found)
        found, warnings = list(split.test), split.warnings
    found, known = without_known(found, metadata)
    if not found:
        raise SerLiveError(
            f"{name}: nobody is at hand who was held back from the training of {metadata.name}"
        )
    warnings = (*warnings, *known)
    for warning in warnings:
        say_on_stderr(f"train: {printable(warning)}")
    return _first_speakers(found, plan.limit)


def _first_speakers(utterances: Sequence[Utterance], limit: int | None) -> list[Utterance]:
    speakers = set(sorted({one.speaker for one in utterances})[:limit])
    return [one for one in utterances if one.speaker in speakers]


class _Judge:
    """The ground truth of a corpus's recordings, to judge verdicts."""

    def __init__(self, utterances: Sequence[Utterance], metadata: ModelMetadata) -> None:
        self.metadata = metadata
        self.labels = np.array([metadata.labels.index(u.label) for u in utterances], np.int64)
        self.speakers = [utterance.speaker for utterance in utterances]

    def result(self, heard: Sequence[StreamResult], after_s: float | None = None) -> Result:
        verdicts = verdicts_of(heard, self.metadata, after_s)
        return result_of(verdicts.probabilities, verdicts.has_verdict, self.labels, self.speakers)

    def untempered_error(self, heard: Sequence[StreamResult]) -> float:
        temperature = self.metadata.temperature
        at_one = [replace(h, probabilities=untempered(h.probabilities, temperature)) for h in heard]
        return self.result(at_one).scores.calibration_error

    def lasted(self, heard: Sequence[StreamResult], after_s: float) -> float:
        ends = [(samples_heard(one, self.metadata, after_s), one.samples) for one in heard]
        return 100.0 * float(np.mean([at is not None and at <= end for at, end in ends]))


def _evaluate_corpus(
    name: str, model: Path, metadata: ModelMetadata, plan: EvaluationPlan, pool: ProcessPoolExecutor
) -> Evaluation:
    utterances = utterances_to_test(name, metadata, plan)
    judge = _Judge(utterances, metadata)
    noise_root = plan.corpora / "noise"
    conditions = conditions_of(plan.kinds)
    heard = hear_utterances(pool, model, utterances, [CLEAN, *conditions], noise_root)
    by_pause: dict[float, list[HeardSession]] = {}
    running: dict[Condition, Result | None] = dict.fromkeys(conditions)
    if "sessions" in plan.parts:
        by_pause = {s: hear_sessions(pool, model, utterances, s) for s in plan.pauses_s}
        for one in conditions:
            sessions = hear_sessions(pool, model, utterances, LONG_PAUSE_S, one, noise_root)
            running[one] = judge_spoken(sessions, metadata)
    wants_held, wants_streams = "held" in plan.parts, "streams" in plan.kinds
    wants_known = "profiles" in plan.kinds
    streams = hear_streams(pool, model, utterances, CLEAN, noise_root) if wants_streams else []
    clean = heard[CLEAN]
    return Evaluation(
        corpus=name,
        held_by=None if (known := heard_corpus_of(name, metadata)) is None else known.held_by,
        speakers=len(set(judge.speakers)),
        alone=figures_of(alone(utterances, clean, metadata), metadata),
        untempered_error=judge.untempered_error(clean),
        heard={s: judge.result(clean, s) for s in SECONDS_HEARD},
        lasted={s: judge.lasted(clean, s) for s in SECONDS_HEARD},
        running=judge_sessions(by_pause, metadata),
        held=hear_held(pool, model, utterances, metadata) if wants_held else {},
        acted=_everyday(by_pause.get(LONG_PAUSE_S, []), metadata),
        conditions={one: Conditioned(judge.result(heard[one]), running[one]) for one in conditions},
        following=follow(streams, metadata) if streams else None,
        known=judge_known(pool, model, utterances, metadata) if wants_known else None,
    )


def _everyday(sessions: Sequence[HeardSession], metadata: ModelMetadata) -> Acted | None:
    """Judge acted emotions under the everyday prior, if the model has one and can alarm."""
    shares = metadata.everyday_prior
    if not (sessions and shares and can_alarm(metadata)):
        return None
    return judge_acted(sessions_again(sessions, metadata, shares=shares), metadata)


def evaluate_model(model: Path, plan: EvaluationPlan) -> Iterator[Evaluation]:
    """Evaluate a model file on one corpus after the other.

    Raises:
        SerLiveError: the model or a corpus cannot be read.
    """
    metadata = Recognizer.load(model).metadata
    with WorkerPool(WORKERS) as pool:
        for name in plan.names or at_hand(plan.corpora):
            yield _evaluate_corpus(name, model, metadata, plan, pool)


def evaluate_ordinary(model: Path, plan: EvaluationPlan) -> Ordinary | None:
    """Evaluate a model file on ordinary speech not used for training or choices.

    Returns:
        None, with a message on stderr, if there is none, or if the model has no label for speech
        without an emotion.

    Raises:
        SerLiveError: the model or a recording cannot be read, or there is no ordinary speech and
            the plan asks for nothing else.
    """
    metadata = Recognizer.load(model).metadata
    paths = ordinary_to_judge(plan.corpora)
    missing = ""
    if not can_alarm(metadata):
        missing = f"{metadata.name} has no label 'neutral'"
    elif not paths:
        missing = f"there is none to judge by in {plan.corpora / FOLDER}"
        if not plan.wants_corpora:
            raise SerLiveError(f"no ordinary speech: {missing}")
    if missing:
        say_on_stderr(f"train: ordinary speech is left out: {printable(missing)}")
        return None
    with WorkerPool(WORKERS) as pool:
        return judge_ordinary(hear_ordinary(pool, model, paths), metadata)


def evaluate(
    model: Path, corpora: Path, names: Sequence[str] = ()
) -> dict[str, tuple[Scores, Scores | None]]:
    """Score unchanged recordings, each in a stream of its own and in running streams.

    Args:
        model: ONNX file.
        corpora: folder of the unpacked corpora.
        names: corpora to score; all present ones if empty.

    Returns:
        scores by corpus, alone and with long pauses; the latter is None if speakers are unknown.
    """
    parts: tuple[Measured, ...] = ("alone", "sessions")
    plan = EvaluationPlan(corpora, tuple(names), parts=parts, pauses_s=(LONG_PAUSE_S,))
    return {
        one.corpus: (
            one.whole.scores,
            None if one.running is None else one.running.headline.voted.scores,
        )
        for one in evaluate_model(model, plan)
    }
