"""The everyday prior: the share of neutral speech at a microphone, chosen by its cost.

A higher share gives fewer false alarms on ordinary speech, but finds less acted emotion. The
decision layer, shared by both priors, stays the same: certainty bounds that silence ordinary speech
would also silence acted emotions under the balanced prior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from streamer.recognition.decision import DecisionConfig
from streamer.recognition.metadata import ModelMetadata
from train.corpora.known import NEUTRAL
from train.measuring.false_alarms import (
    Acted,
    Alarms,
    count_alarms,
    judge_acted,
    sessions_again,
)
from train.measuring.hearing import StreamResult, decide_again, hear_all
from train.measuring.sessions import HeardSession

#: Shares of neutral speech to try; the other labels share the rest.
NEUTRAL_SHARES = (
    *(0.3, 0.4, 0.45, 0.5, 0.52, 0.54, 0.56, 0.58, 0.6, 0.62, 0.64, 0.66, 0.68, 0.7),
    *(0.75, 0.8, 0.85, 0.9, 0.95, 0.97),
)
#: Most ordinary speech that may be labelled with an emotion, in %.
MOST_CALLED = 20.0


@dataclass(frozen=True)
class PriorTrial:
    """An everyday prior with a decision layer, and its results.

    Attributes:
        neutral: assumed share of neutral speech.
        shares: the resulting prior of each label.
        config: config of the decision layer.
        alarms: false alarms on ordinary speech.
        acted: results on acted emotions in running streams.
    """

    neutral: float
    shares: tuple[float, ...]
    config: DecisionConfig
    alarms: Alarms
    acted: Acted

    @property
    def is_measured(self) -> bool:
        """Whether both materials contain speech; without it there is no figure to choose by."""
        return math.isfinite(self.alarms.called) and math.isfinite(self.found)

    @property
    def is_quiet(self) -> bool:
        """Whether at most 20 % of ordinary speech is labelled with an emotion."""
        return self.alarms.called <= MOST_CALLED

    @property
    def found(self) -> float:
        """The objective in %: acted emotions found, by verdicts and by labels shown."""
        return (self.acted.mean_recall + self.acted.mean_shown) / 2


def everyday_shares(labels: Sequence[str], neutral: float) -> tuple[float, ...]:
    """Return a prior with this neutral share; the other labels share the rest equally."""
    rest = (1.0 - neutral) / (len(labels) - 1)
    return tuple(neutral if label == NEUTRAL else rest for label in labels)


def try_prior(
    setting: tuple[float, DecisionConfig],
    sessions: Sequence[HeardSession],
    ordinary: Sequence[StreamResult],
    metadata: ModelMetadata,
) -> PriorTrial:
    """Measure a neutral share and a decision layer on outputs with a balanced prior."""
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
        pool: worker processes.
        start: the decision layer.
        sessions: acted emotions of validation speakers in running streams.
        ordinary: recordings of ordinary speech for validation.
        metadata: metadata of the model that heard them with a balanced prior.
    """
    settings = [(share, start) for share in NEUTRAL_SHARES]
    work = partial(try_prior, sessions=sessions, ordinary=ordinary, metadata=metadata)
    return list(hear_all(pool, work, settings, "everyday priors"))


def choose(trials: Sequence[PriorTrial]) -> PriorTrial:
    """Choose the trial that finds most acted emotion among those quiet on ordinary speech.

    If none is quiet enough, choose the quietest.
    """
    quiet = [one for one in trials if one.is_quiet]
    if quiet:
        return max(quiet, key=lambda one: one.found)
    return min(trials, key=lambda one: one.alarms.called)
