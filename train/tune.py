"""The decision layer's settings, chosen on validation speakers' streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

from streamer.decision import Decision, DecisionConfig
from streamer.errors import SerLiveError
from streamer.metadata import ModelMetadata
from streamer.recognizer import Recognizer
from train.conditions import CLEAN, Condition
from train.corpora import read_corpus
from train.evaluate import VALIDATION_HEARD, WORKERS, corpora_at_hand, trained_on
from train.hearing import hear_all
from train.splits import split_of
from train.streams import Following, HeardStream, follow, hear_streams
from train.workers import worker_pool

#: A label that turns to a wrong emotion costs a person as much as waiting so long for the right.
FALSE_CHANGE_COST_S = 1.0

#: Each stream is heard as it is and over a background: a room flickers more than a studio.
CONDITIONS = (CLEAN, Condition(snr_db=10.0))

#: What is tried. The bounds of certainty are not: how sure a label must be is not for sale.
SMOOTHING_S = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25)
SWITCH_MARGIN = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)


@dataclass(frozen=True)
class Trial:
    """One setting of the decision layer and what it does on the validation streams."""

    config: DecisionConfig
    following: Following

    @property
    def cost_s(self) -> float:
        """What is minimised, for a change of emotion: the mean wait, and the false changes."""
        false_changes = self.following.false_changes / len(self.following.delays_s)
        return self.following.mean_wait_s + FALSE_CHANGE_COST_S * false_changes


def candidates(start: DecisionConfig) -> list[DecisionConfig]:
    """The starting point, then every other combination of what is tried."""
    tried = [
        replace(start, smoothing_s=smoothing_s, switch_margin=margin)
        for smoothing_s, margin in product(SMOOTHING_S, SWITCH_MARGIN)
    ]
    return list(dict.fromkeys([start, *tried]))


def relabel(
    stream: HeardStream, metadata: ModelMetadata, config: DecisionConfig
) -> tuple[str, ...]:
    """Labels that another setting of the decision layer gives to what was heard."""
    decision = Decision(metadata.labels, metadata.window_timesteps, config)
    state, labels = decision.initial_state(), []
    for probabilities, speech in zip(stream.heard.probabilities, stream.heard.speech, strict=True):
        label, state = decision.decide(probabilities, float(speech), state)
        labels.append(label)
    return tuple(labels)


def try_config(
    config: DecisionConfig, streams: Sequence[HeardStream], metadata: ModelMetadata
) -> Trial:
    """Measure one setting."""
    labels = [relabel(one, metadata, config) for one in streams]
    return Trial(config, follow(streams, metadata, labels))


def tune(model: Path, corpora: Path) -> list[Trial]:
    """Try every candidate on the validation speakers of the corpora that the model trained on.

    Returns:
        the model's own setting, then all, it among them, the cheapest first.

    Raises:
        SerLiveError: the model or a corpus cannot be read, nobody is there to validate on, or the
            model was trained on them.
    """
    metadata = Recognizer.load(model).metadata
    if VALIDATION_HEARD in metadata.training:
        raise SerLiveError(
            f"{metadata.name} was trained on its validation speakers: tune the network that they "
            "judged, python -m train export RUN --judged"
        )
    names = [name for name in corpora_at_hand(corpora) if name in trained_on(metadata)]
    split = metadata.training.get("split", "fixed")
    with worker_pool(WORKERS) as pool:
        streams = [
            stream
            for name in names
            if (own := split_of(split, read_corpus(name, corpora, metadata.labels)).validation)
            for condition in CONDITIONS
            for stream in hear_streams(pool, model, own, condition, corpora / "noise")
        ]
        if not streams:
            raise SerLiveError(f"no validation speakers in {corpora} of what the model trained on")
        work = partial(try_config, streams=streams, metadata=metadata)
        trials = list(hear_all(pool, work, candidates(metadata.decision), "decisions"))
    return [trials[0], *sorted(trials, key=lambda trial: trial.cost_s)]
