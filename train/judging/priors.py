"""The everyday prior: how much of what a microphone hears is neutral, chosen on what it costs.

The more is taken for neutral, the less ordinary speech is called an emotion, and the less of acted
emotion is found. The decision layer, which both priors share, is left as it is: bounds of certainty
that silence ordinary speech silence acted emotions with the balanced prior, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from streamer.modelfile.metadata import ModelMetadata
from streamer.recognition.decision import DecisionConfig
from train.corpora.known import NEUTRAL
from train.judging.false_alarms import (
    Acted,
    Alarms,
    count_alarms,
    judge_acted,
    sessions_again,
)
from train.judging.hearing import StreamResult, decide_again, hear_all
from train.judging.sessions import HeardSession

#: Share of neutral speech that is tried; the other labels share the rest.
NEUTRAL_SHARES = (0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.97)
#: Most of ordinary speech that may be called an emotion, in %.
MOST_CALLED = 20.0


@dataclass(frozen=True)
class PriorTrial:
    """One everyday prior with one decision layer, and what they do.

    Attributes:
        neutral: how much of what is heard is taken for neutral.
        shares: how often each label is taken to be met, by that.
        config: of the decision layer.
        alarms: on ordinary speech.
        acted: what is found of acted emotions in running streams.
    """

    neutral: float
    shares: tuple[float, ...]
    config: DecisionConfig
    alarms: Alarms
    acted: Acted

    @property
    def is_measured(self) -> bool:
        """Whether speech was heard in both: nothing can be chosen by a figure that is none."""
        return math.isfinite(self.alarms.called) and math.isfinite(self.found)

    @property
    def is_quiet(self) -> bool:
        """Whether no more than 20 % of ordinary speech is called an emotion."""
        return self.alarms.called <= MOST_CALLED

    @property
    def found(self) -> float:
        """What is maximised, in %: acted emotions found, by verdicts and by what is shown."""
        return (self.acted.mean_recall + self.acted.mean_shown) / 2


def everyday_shares(labels: Sequence[str], neutral: float) -> tuple[float, ...]:
    """A prior in which so much is neutral, and the other labels share the rest alike."""
    rest = (1.0 - neutral) / (len(labels) - 1)
    return tuple(neutral if label == NEUTRAL else rest for label in labels)


def try_prior(
    setting: tuple[float, DecisionConfig],
    sessions: Sequence[HeardSession],
    ordinary: Sequence[StreamResult],
    metadata: ModelMetadata,
) -> PriorTrial:
    """Measure a share of neutral speech with a decision layer on what was heard, balanced."""
    neutral, config = setting
    shares = everyday_shares(metadata.labels, neutral)
    return PriorTrial(
        neutral,
        shares,
        config,
        count_alarms([decide_again(one, metadata, config, shares) for one in ordinary], metadata),
        judge_acted(sessions_again(sessions, metadata, config, shares), metadata),
    )


def try_priors(
    pool: ProcessPoolExecutor,
    start: DecisionConfig,
    sessions: Sequence[HeardSession],
    ordinary: Sequence[StreamResult],
    metadata: ModelMetadata,
) -> list[PriorTrial]:
    """Try every share of neutral speech.

    Args:
        pool: of workers.
        start: the decision layer.
        sessions: acted emotions in running streams, of people to choose by.
        ordinary: recordings of ordinary speech to choose by.
        metadata: of the model that heard them with a balanced prior.
    """
    settings = [(share, start) for share in NEUTRAL_SHARES]
    work = partial(try_prior, sessions=sessions, ordinary=ordinary, metadata=metadata)
    return list(hear_all(pool, work, settings, "everyday priors"))


def choose(trials: Sequence[PriorTrial]) -> PriorTrial:
    """The one that finds most of acted emotion while ordinary speech is hardly called any.

    Where none is quiet enough, the quietest.
    """
    quiet = [one for one in trials if one.is_quiet]
    if quiet:
        return max(quiet, key=lambda one: one.found)
    return min(trials, key=lambda one: one.alarms.called)
