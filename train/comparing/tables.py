"""Results of finished trials: tables, differences between systems, the price of look-ahead.

Intervals are bootstraps over test speakers and over seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from streamer.measures import recalls
from train.comparing.results_file import UNSEEDED, Finished
from train.measuring.measures import CONFIDENCE, RESAMPLES

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

#: Systems that every other is compared with, the first of them that has trials.
COMPARED_WITH = ("c-bilstm", "c-bilstm-rolling")
#: The paper's network; the live one, reference for the price of look-ahead; and the name prefix of
#: the live network with other look-aheads.
PAPER = "c-pfsmn-a"
LIVE = "c-pfsmn-a-live"
LOOK_AHEAD = "look-ahead-"

#: Trials by system.
BySystem = Mapping[str, Sequence[Finished]]


@dataclass(frozen=True)
class Spread:
    """A figure with its interval of :data:`train.measuring.measures.CONFIDENCE` %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def difference(one: Sequence[Finished], other: Sequence[Finished]) -> Spread | None:
    """Compute one system's UAR minus another's, in points, paired by split, seed and speaker.

    The recordings of all splits of a seed count together. Each bootstrap draw takes as many test
    speakers and seeds as both have, with replacement, the same ones for both systems.

    Returns:
        None if they share no trial or do not have the same speakers.
    """
    seeds = _common_seeds(one, other)
    pairs, counts = _stacked(one, seeds)
    other_pairs, other_counts = _stacked(other, seeds)
    if not pairs or pairs != other_pairs:
        return None
    generator = np.random.default_rng(0)
    people = _draws(len(pairs), generator)
    throws = _draws(len(seeds), generator)
    drawn = _uars(counts, people, throws) - _uars(other_counts, people, throws)
    low, high = np.percentile(drawn, [50 - CONFIDENCE / 2, 50 + CONFIDENCE / 2])
    once, all_seeds = np.ones((1, len(pairs)), np.int64), np.ones((1, len(seeds)), np.int64)
    value = _uars(counts, once, all_seeds) - _uars(other_counts, once, all_seeds)
    return Spread(float(value[0]), float(low), float(high))


def _common_seeds(one: Sequence[Finished], other: Sequence[Finished]) -> list[int]:
    """Return the seeds that both have; a deterministic system pairs with each seed of the other."""
    seeds = [{trial.seed for trial in trials} for trials in (one, other)]
    drawn = [found for found in seeds if UNSEEDED not in found]
    return sorted(set.intersection(*(drawn or seeds)))


def _stacked(
    trials: Sequence[Finished], seeds: Sequence[int]
) -> tuple[list[tuple[str, str]], Int64]:
    """Return (split, speaker) pairs of every seed, and counts ``(seeds, pairs, labels, n)``."""
    found = {
        (seed, trial.split, speaker): counts
        for trial in trials
        for seed in (seeds if trial.seed == UNSEEDED else (trial.seed,))
        for speaker, counts in trial.confusions.items()
    }
    pairs = sorted({(split, speaker) for _, split, speaker in found})
    whole = [pair for pair in pairs if seeds and all((seed, *pair) in found for seed in seeds)]
    return whole, np.array([[found[seed, *pair] for pair in whole] for seed in seeds])


def _draws(count: int, generator: np.random.Generator) -> Int64:
    """Return multiplicities ``(draws, count)`` of bootstrap draws of ``count`` items."""
    return generator.multinomial(count, np.full(count, 1.0 / count), RESAMPLES)


def _uars(counts: Int64, people: Int64, throws: Int64) -> Float64:
    """Return UAR ``(draws,)`` of counts ``(seeds, pairs, labels, n)``, mean over drawn seeds."""
    drawn = np.einsum("dp,spij->dsij", people, counts)
    uars = np.nanmean(recalls(drawn), axis=-1)
    return np.asarray((uars * throws).sum(axis=1) / throws.sum(axis=1))


def by_protocol(
    finished: Iterable[Finished], systems: Iterable[str]
) -> dict[str, dict[str, list[Finished]]]:
    """Group trials by protocol and system, in the given order of systems, others last."""
    grouped: dict[str, dict[str, list[Finished]]] = {}
    for trial in finished:
        grouped.setdefault(trial.protocol, {}).setdefault(trial.system, []).append(trial)
    order = list(dict.fromkeys((*systems, *(one for group in grouped.values() for one in group))))
    return {
        protocol: {system: by_system[system] for system in order if system in by_system}
        for protocol, by_system in grouped.items()
    }


def uars_of(trials: Iterable[Finished]) -> list[float]:
    """Return the UAR (the paper's UA) of each run, in %."""
    return [float(np.nanmean(recalls(trial.confusion))) for trial in trials]


def tables(protocol: str, by_system: BySystem) -> list[Table]:
    """Make the paper's Tables 2 and 3 and, if measured, the price of look-ahead.

    Args:
        protocol: name of the protocol.
        by_system: its trials; each system is a row.
    """
    result = [_recall(protocol, by_system), _accuracy(protocol, by_system)]
    if running := _in_streams(by_system):
        there = f"{protocol}, in running streams"
        result += [_recall(there, running), _accuracy(there, running)]
    if any(trial.parameters for trials in by_system.values() for trial in trials):
        result.append(_cost(protocol, by_system))
    if any(system.startswith(LOOK_AHEAD) for system in by_system):
        result.append(_price(protocol, by_system))
    return result


def _in_streams(by_system: BySystem) -> BySystem:
    """Return the trials with their confusions in running streams, where these were measured."""
    return {
        system: found
        for system, trials in by_system.items()
        if (found := [replace(one, confusions=one.running) for one in trials if one.running])
    }


def _reference(by_system: BySystem) -> str:
    """Return the name of the system that the others are compared with."""
    return next((one for one in COMPARED_WITH if one in by_system), COMPARED_WITH[0])


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("system", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _recall(protocol: str, by_system: BySystem) -> Table:
    """Make the left half of the paper's Table 2."""
    labels = next(iter(by_system.values()))[0].labels
    table = _table(f"{protocol}: recall in %, mean over runs", *labels)
    for system, trials in by_system.items():
        recall = np.nanmean([recalls(trial.confusion) for trial in trials], axis=0)
        table.add_row(system, *(f"{one:.1f}" for one in recall))
    return table


def _accuracy(protocol: str, by_system: BySystem) -> Table:
    """Make the right half of the paper's Table 2, with intervals of its differences."""
    reference = _reference(by_system)
    table = _table(
        f"{protocol}: WA and UA in %, mean and deviation over runs; 95 % over speakers and seeds",
        *("runs", "WA", "UA", f"UA minus {reference}"),
    )
    for system, trials in by_system.items():
        wa = [100 * np.trace(trial.confusion) / trial.confusion.sum() for trial in trials]
        table.add_row(
            system,
            str(len(trials)),
            _mean_and_deviation(wa),
            _mean_and_deviation(uars_of(trials)),
            _minus(by_system, system, reference),
        )
    return table


def _mean_and_deviation(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"


def _minus(by_system: BySystem, system: str, other: str) -> str:
    found = difference(by_system[system], by_system.get(other, ()))
    return "" if found is None or system == other else str(found)


def _cost(protocol: str, by_system: BySystem) -> Table:
    """Make the paper's Table 3, plus the cost of an estimate every 40 ms on a stream."""
    name = _reference(by_system)
    table = _table(
        f"{protocol}: parameters, training, and an estimate on a stream",
        *("parameters", "training, s", f"of {name}", "on", "multiply-adds an estimate"),
    )
    reference = _mean_trained_s(by_system.get(name, ()))
    for system, trials in by_system.items():
        first, trained_s = trials[0], _mean_trained_s(trials)
        if first.parameters is None or first.multiply_adds is None:
            continue
        table.add_row(
            system,
            f"{first.parameters / 1e6:.2f} M",
            f"{trained_s:.0f}",
            f"{trained_s / reference:.2f}" if reference else "",
            ", ".join(sorted({trial.place for trial in trials if trial.place})),
            f"{first.multiply_adds / 1e6:.2f} M",
        )
    return table


def _mean_trained_s(trials: Iterable[Finished]) -> float:
    """Return the mean training time over the runs; zero if none has a time."""
    known = [trial.train_s for trial in trials if trial.train_s is not None]
    return float(np.mean(known)) if known else 0.0


@dataclass(frozen=True)
class Price:
    """The gain from a look-ahead.

    Attributes:
        system: name of the system.
        look_ahead_ms: look-ahead, including the tail of the last frame.
        ua: mean UA over the runs, in %.
        gained: gain over the live network, in points; None if they cannot be compared.
    """

    system: str
    look_ahead_ms: float
    ua: float
    gained: Spread | None


def prices(by_system: BySystem) -> list[Price]:
    """Return the paper's network and the live one by look-ahead, the shortest first."""
    found = [
        Price(
            system,
            trials[0].look_ahead_ms,
            float(np.mean(uars_of(trials))),
            difference(trials, by_system.get(LIVE, ())),
        )
        for system, trials in by_system.items()
        if system in (PAPER, LIVE) or system.startswith(LOOK_AHEAD)
        if trials[0].look_ahead_ms is not None
    ]
    return sorted(found, key=lambda price: price.look_ahead_ms)


def _price(protocol: str, by_system: BySystem) -> Table:
    """Make the table of UA against look-ahead, with the live network otherwise the same."""
    table = _table(
        f"{protocol}: the price of latency",
        *("look-ahead, ms", "UA", f"UA minus {LIVE}"),
    )
    for price in prices(by_system):
        gained = "" if price.gained is None or price.system == LIVE else str(price.gained)
        table.add_row(price.system, f"{price.look_ahead_ms:.0f}", f"{price.ua:.1f}", gained)
    return table
