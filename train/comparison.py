"""Finished trials of a comparison, and what they say: tables, differences, the price of look-ahead.

From the results file alone. Intervals are bootstraps over test speakers and over seeds: another
handful of people, and another throw of the dice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from streamer.errors import SerLiveError
from train.measures import CONFIDENCE, RESAMPLES, recalls

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

#: What every system is compared with.
REFERENCE = "c-bilstm"


@dataclass(frozen=True)
class Finished:
    """A finished trial.

    Attributes:
        key: names the trial.
        protocol: what was trained and tested on.
        labels: told apart.
        split: of the speakers.
        system: as ``train/compare.py`` names it.
        seed: of the training.
        confusions: by test speaker, counts ``(labels, labels + 1)``; the last column: no verdict.
        epoch: the one kept; as all below None where nothing of the kind applies.
        parameters: of the network.
        train_s: time spent in training steps.
        multiply_adds: of one estimate on a stream.
        look_ahead_ms: of the network; None too where it needs the whole utterance.
        place: device it was trained on.
    """

    key: str
    protocol: str
    labels: tuple[str, ...]
    split: str
    system: str
    seed: int
    confusions: Mapping[str, Int64]
    epoch: int | None = None
    parameters: int | None = None
    train_s: float | None = None
    multiply_adds: int | None = None
    look_ahead_ms: float | None = None
    place: str | None = None

    @property
    def confusion(self) -> Int64:
        return np.sum(list(self.confusions.values()), axis=0)

    def to_json(self) -> str:
        counts = {speaker: one.tolist() for speaker, one in self.confusions.items()}
        return json.dumps(asdict(self) | {"confusions": counts})

    @classmethod
    def from_json(cls, line: str) -> Self:
        values: dict[str, Any] = json.loads(line)
        values["labels"] = tuple(values["labels"])
        values["confusions"] = {
            speaker: np.array(one, np.int64) for speaker, one in values["confusions"].items()
        }
        return cls(**values)


def read_results(path: Path) -> list[Finished]:
    """Finished trials of a results file; none where there is no file.

    Raises:
        SerLiveError: a line is no finished trial.
    """
    if not path.exists():
        return []
    finished = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            finished.append(Finished.from_json(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SerLiveError(f"{path}, line {number}: no finished trial ({error})") from error
    return finished


def by_speaker(
    answered: Int64, labels: Int64, speakers: Sequence[str], classes: int
) -> dict[str, Int64]:
    """Confusion counts ``(classes, classes + 1)`` of each speaker.

    Args:
        answered: ``(recordings,)`` as :func:`train.measures.answers` gives them.
        labels: ``(recordings,)`` indices of the true labels.
        speakers: of each recording.
        classes: number of labels.
    """
    counts = {name: np.zeros((classes, classes + 1), np.int64) for name in sorted(set(speakers))}
    for speaker, label, answer in zip(speakers, labels, answered, strict=True):
        counts[speaker][label, answer] += 1
    return counts


@dataclass(frozen=True)
class Spread:
    """A figure with its interval of :data:`train.measures.CONFIDENCE` %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def difference(one: Sequence[Finished], other: Sequence[Finished]) -> Spread | None:
    """UAR of one system minus that of another, in points, paired by split, seed and speaker.

    Each draw takes as many test speakers and as many seeds as both have, with replacement, the
    same for both systems.

    Returns:
        None where they have no trial, or not the same speakers, in common.
    """
    seeds = sorted({trial.seed for trial in one} & {trial.seed for trial in other})
    if not seeds:
        return None
    speakers, counts = _stacked(one, seeds)
    other_speakers, other_counts = _stacked(other, seeds)
    if speakers != other_speakers:
        return None
    generator = np.random.default_rng(0)
    people = generator.multinomial(len(speakers), [1 / len(speakers)] * len(speakers), RESAMPLES)
    throws = generator.multinomial(len(seeds), [1 / len(seeds)] * len(seeds), RESAMPLES)
    drawn = _uars(counts, people, throws) - _uars(other_counts, people, throws)
    low, high = np.percentile(drawn, [50 - CONFIDENCE / 2, 50 + CONFIDENCE / 2])
    once, all_seeds = np.ones((1, len(speakers)), int), np.ones((1, len(seeds)), int)
    value = _uars(counts, once, all_seeds) - _uars(other_counts, once, all_seeds)
    return Spread(float(value[0]), float(low), float(high))


def _stacked(
    trials: Sequence[Finished], seeds: Sequence[int]
) -> tuple[list[tuple[str, str]], Int64]:
    """(split, speaker) pairs that every seed has, and counts ``(seeds, pairs, labels, n)``."""
    found = {
        (trial.seed, trial.split, speaker): counts
        for trial in trials
        for speaker, counts in trial.confusions.items()
    }
    pairs = sorted({(split, speaker) for _, split, speaker in found})
    whole = [pair for pair in pairs if all((seed, *pair) in found for seed in seeds)]
    return whole, np.array([[found[seed, *pair] for pair in whole] for seed in seeds])


def _uars(counts: Int64, people: Int64, throws: Int64) -> Float64:
    """UAR ``(draws,)`` of counts ``(seeds, pairs, labels, n)``, the mean over the seeds drawn."""
    drawn = np.einsum("dp,spij->dsij", people, counts)
    uars = np.nanmean(recalls(drawn), axis=-1)
    return np.asarray((uars * throws).sum(axis=1) / throws.sum(axis=1))


def tables(finished: Sequence[Finished], systems: Sequence[str]) -> list[Table]:
    """Tables 2 and 3 of the paper and the price of look-ahead, for every protocol.

    Args:
        finished: trials.
        systems: in the order of the rows.
    """
    result = []
    for protocol in dict.fromkeys(trial.protocol for trial in finished):
        own = [trial for trial in finished if trial.protocol == protocol]
        by_system = {
            system: trials
            for system in systems
            if (trials := [trial for trial in own if trial.system == system])
        }
        result += [_accuracy(protocol, by_system), _cost(protocol, by_system)]
        if any(system.startswith("look-ahead") for system in by_system):
            result.append(_price(protocol, by_system))
    return result


def _accuracy(protocol: str, by_system: Mapping[str, Sequence[Finished]]) -> Table:
    """The paper's Table 2."""
    labels = next(iter(by_system.values()))[0].labels
    table = Table(title=f"{protocol}: recall, WA and UA in %, mean and deviation over runs")
    for name in ("system", "runs", *labels, "WA", "UA", f"UA minus {REFERENCE}"):
        table.add_column(name, justify="left" if name == "system" else "right")
    for system, trials in by_system.items():
        recall = np.nanmean([recalls(trial.confusion) for trial in trials], axis=0)
        wa = [100 * np.trace(trial.confusion) / trial.confusion.sum() for trial in trials]
        ua = [np.nanmean(recalls(trial.confusion)) for trial in trials]
        found = difference(trials, by_system.get(REFERENCE, ()))
        table.add_row(
            system,
            str(len(trials)),
            *(f"{one:.1f}" for one in recall),
            f"{np.mean(wa):.1f}",
            f"{np.mean(ua):.1f} ± {np.std(ua, ddof=1):.1f}" if len(ua) > 1 else f"{ua[0]:.1f}",
            "" if found is None or system == REFERENCE else str(found),
        )
    return table


def _cost(protocol: str, by_system: Mapping[str, Sequence[Finished]]) -> Table:
    """The paper's Table 3, and what it leaves out: an estimate every 40 ms on a stream."""
    table = Table(title=f"{protocol}: parameters, training, and an estimate on a stream")
    for name in ("system", "parameters", "training, s", "of it", "multiply-adds an estimate"):
        table.add_column(name, justify="left" if name == "system" else "right")
    reference = _mean([trial.train_s for trial in by_system.get(REFERENCE, ())])
    for system, (first, *more) in by_system.items():
        if first.parameters is None or first.multiply_adds is None:
            continue
        trained_s = _mean([trial.train_s for trial in (first, *more)])
        table.add_row(
            system,
            f"{first.parameters / 1e6:.2f} M",
            f"{trained_s:.0f}",
            f"{trained_s / reference:.2f} of {REFERENCE}" if reference else "",
            f"{first.multiply_adds / 1e6:.2f} M",
        )
    return table


def _price(protocol: str, by_system: Mapping[str, Sequence[Finished]]) -> Table:
    """UA against look-ahead, the live network being otherwise the same."""
    live = by_system.get("c-pfsmn-a-live", ())
    table = Table(title=f"{protocol}: the price of latency")
    for name in ("system", "look-ahead, ms", "UA", "UA minus live"):
        table.add_column(name, justify="left" if name == "system" else "right")
    streamed = [
        (trials[0].look_ahead_ms, system, trials)
        for system, trials in by_system.items()
        if trials[0].look_ahead_ms is not None and (system.startswith(("look-ahead", "c-pfsmn-a")))
    ]
    for look_ahead_ms, system, trials in sorted(streamed, key=lambda one: one[:2]):
        found = difference(trials, live)
        ua = np.mean([np.nanmean(recalls(trial.confusion)) for trial in trials])
        table.add_row(
            system,
            f"{look_ahead_ms:.0f}",
            f"{ua:.1f}",
            "" if found is None or trials is live else str(found),
        )
    return table


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else 0.0
