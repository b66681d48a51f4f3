"""Choose the decision layer's settings and the everyday prior on validation speakers' streams.

Streams of changing emotion with a balanced prior choose smoothing and margin. Then sessions of the
same speakers and ordinary speech choose the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

from streamer.errors import SerLiveError, printable
from streamer.outputs import say_on_stderr
from streamer.recognition.decision import DecisionConfig
from streamer.recognition.metadata import ModelMetadata
from streamer.recognition.recognizer import Recognizer
from train.corpora.known import Utterance, at_hand, read_corpus
from train.corpora.lineage import heard_corpus_of, held_back
from train.judging.evaluate import WORKERS
from train.judging.priors import PriorTrial, choose, try_priors
from train.measuring.conditions import CLEAN, Condition
from train.measuring.false_alarms import can_alarm, hear_ordinary, ordinary_to_choose
from train.measuring.hearing import decide_again, hear_all
from train.measuring.sessions import LONG_PAUSE_S, hear_sessions
from train.measuring.streams import Following, HeardStream, follow, hear_streams
from train.workers import WorkerPool

#: Cost of a change to a wrong emotion, in seconds of waiting for the right label.
FALSE_CHANGE_COST_S = 1.0

#: Each stream is heard as it is and over a background: labels flicker more in a room.
CONDITIONS = (CLEAN, Condition(snr_db=10.0))

#: Pauses of the streams, in seconds: emotions change within a sentence's breath and after long
#: silence.
CHANGE_PAUSES_S = (0.3, 1.0, 3.0)

#: Values to try. The certainty that a label needs is chosen on ordinary speech alone, because a
#: label that is never uncertain follows changes best.
SMOOTHING_S = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25)
SWITCH_MARGIN = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)


@dataclass(frozen=True)
class TriedSetting:
    """A setting of the decision layer and its results on the validation streams."""

    config: DecisionConfig
    following: Following

    @property
    def cost_s(self) -> float:
        """The objective per change of emotion: the mean wait plus the cost of false changes."""
        false_changes = self.following.false_changes / len(self.following.delays_s)
        return self.following.mean_wait_s + FALSE_CHANGE_COST_S * false_changes


def candidates(start: DecisionConfig) -> list[DecisionConfig]:
    """Return the starting point, then every other combination of values."""
    tried = [
        replace(start, smoothing_s=smoothing_s, switch_margin=margin)
        for smoothing_s, margin in product(SMOOTHING_S, SWITCH_MARGIN)
    ]
    return list(dict.fromkeys([start, *tried]))


def try_config(
    config: DecisionConfig, streams: Sequence[HeardStream], metadata: ModelMetadata
) -> TriedSetting:
    """Measure one setting."""
    labels = [decide_again(one.heard, metadata, config).labels for one in streams]
    return TriedSetting(config, follow(streams, metadata, labels))


@dataclass(frozen=True)
class Tuned:
    """The trials and the choice.

    Attributes:
        own: trial of the model's own decision layer.
        ranked: all trials, including that one, the cheapest first.
        priors: trials of everyday priors with the best decision layer; empty if there is no
            ordinary speech, or if the model has no label for speech without an emotion.
    """

    own: TriedSetting
    ranked: tuple[TriedSetting, ...]
    priors: tuple[PriorTrial, ...]

    @property
    def prior(self) -> PriorTrial | None:
        """The chosen prior."""
        return choose(self.priors) if self.priors else None

    def describe(self, metadata: ModelMetadata) -> ModelMetadata:
        """Return the model's metadata with the choice."""
        if self.prior is None:
            return replace(metadata, decision=self.ranked[0].config)
        return replace(metadata, decision=self.prior.config, everyday_prior=self.prior.shares)


def tune(model: Path, corpora: Path, names: Sequence[str] = ()) -> Tuned:
    """Try every candidate on the validation speakers of the corpora that the model trained on.

    Args:
        model: the model file.
        corpora: folder of the known corpora and of ordinary speech.
        names: corpora, or paths of own recordings; empty for all known ones present.

    Raises:
        SerLiveError: the model or a corpus cannot be read, there are no validation speakers, or the
            model was trained on them.
    """
    metadata = Recognizer.load(model).metadata
    if metadata.lineage.is_refit:
        raise SerLiveError(
            f"{metadata.name} was trained on its validation speakers: tune the network that they "
            "judged, python -m train export RUN --judged"
        )
    speakers = _validation_speakers(metadata, corpora, names)
    if not speakers:
        raise SerLiveError(f"no validation speakers in {corpora} of what the model trained on")
    with WorkerPool(WORKERS) as pool:
        streams = [
            stream
            for own in speakers
            for pause_s in CHANGE_PAUSES_S
            for condition in CONDITIONS
            for stream in hear_streams(pool, model, own, condition, corpora / "noise", pause_s)
        ]
        if not streams:
            raise SerLiveError(
                f"no named validation speaker in {corpora} has two emotions, to change between"
            )
        work = partial(try_config, streams=streams, metadata=metadata)
        trials = list(hear_all(pool, work, candidates(metadata.decision), "decisions"))
        ranked = sorted(trials, key=lambda trial: trial.cost_s)
        priors = _priors(pool, model, corpora, speakers, metadata, ranked[0].config)
    return Tuned(trials[0], tuple(ranked), tuple(priors))


def _validation_speakers(
    metadata: ModelMetadata, corpora: Path, names: Sequence[str]
) -> list[list[Utterance]]:
    """Return the validation speakers' utterances by corpus."""
    found: list[list[Utterance]] = []
    for name in names or at_hand(corpora):
        if heard := heard_corpus_of(name, metadata):
            kept = held_back(heard, "validation", read_corpus(name, corpora, metadata.labels))
            for warning in kept.warnings:
                say_on_stderr(f"train: {printable(warning)}")
            found.append(list(kept.utterances))
    return [one for one in found if one]


def _priors(
    pool: ProcessPoolExecutor,
    model: Path,
    corpora: Path,
    speakers: Sequence[Sequence[Utterance]],
    metadata: ModelMetadata,
    start: DecisionConfig,
) -> list[PriorTrial]:
    """Try everyday priors, if there is anything to choose them on."""
    paths = ordinary_to_choose(corpora)
    if not (can_alarm(metadata) and paths):
        return []
    sessions = [one for own in speakers for one in hear_sessions(pool, model, own, LONG_PAUSE_S)]
    tried = try_priors(pool, start, sessions, hear_ordinary(pool, model, paths), metadata)
    return tried if all(one.is_measured for one in tried) else []
