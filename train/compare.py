"""``python -m train compare``: the paper's systems and the price of look-ahead, in one run.

Every trial (a system, a split, a seed) is trained by the same recipe, on the same features and with
the same selection, and tested on the same speakers. A finished trial is a line in a results file;
a rerun skips what is there, and a stopped trial goes on from its last epoch. The tables are drawn
from that file alone (``train/comparison.py``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.baselines import SYSTEMS
from model.config import NetworkConfig, SystemConfig, live, paper
from model.cost import step_cost
from train.comparison import Finished, by_speaker, read_results, tables
from train.corpora import Utterance, at_hand
from train.fit import LOG
from train.functionals import fit_functionals, prepare_functionals
from train.measures import answers
from train.place import Place, find_place
from train.recipe import Recipe, read_recipe
from train.run import Folders, read_parts, run, verdicts_on

#: Stands in for the systems on hand-crafted features; no network.
FUNCTIONALS = "egemaps-svm"

FOUR = ("angry", "happy", "neutral", "sad")
EIGHT = (*FOUR, "calm", "disgust", "fear", "surprise")


@dataclass(frozen=True)
class Protocol:
    """What is trained and tested on.

    Attributes:
        corpus: one, so that every split is of its speakers.
        labels: told apart.
        splits: names of ``train/splits.py``; each is a training of its own.
        seeds: trainings of each split.
    """

    corpus: str
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    seeds: int


def _folds(scheme: str, count: int) -> tuple[str, ...]:
    return tuple(f"{scheme}/{fold}" for fold in range(1, count + 1))


#: What two cores do in hours.
SMALL = {
    "cremad": Protocol("cremad", FOUR, ("fixed",), 3),
    "ravdess": Protocol("ravdess", EIGHT, _folds("ravdess-5", 5), 1),
    "iemocap-random": Protocol("iemocap", FOUR, ("iemocap-random/1",), 3),
}
#: What needs a GPU.
FULL = {
    "cremad": Protocol("cremad", FOUR, ("fixed",), 5),
    "cremad-folds": Protocol("cremad", FOUR, _folds("folds-5", 5), 5),
    "ravdess": Protocol("ravdess", EIGHT, _folds("ravdess-5", 5), 5),
    "iemocap-random": Protocol("iemocap", FOUR, ("iemocap-random/1",), 5),
    "iemocap-sessions": Protocol("iemocap", FOUR, _folds("iemocap-sessions", 5), 5),
}


def _with_look_ahead(orders: Sequence[int]) -> Callable[[tuple[str, ...]], SystemConfig]:
    """The live network with other look-ahead orders, of one block after the other."""

    def config(labels: tuple[str, ...]) -> NetworkConfig:
        base = live(labels)
        blocks = zip(base.blocks, orders, strict=True)
        return replace(
            base,
            blocks=tuple(replace(block, look_ahead_order=order) for block, order in blocks),
        )

    return config


def _unbounded(labels: tuple[str, ...]) -> SystemConfig:
    """The live network with the paper's look-ahead: what it costs to bound it, all else equal."""
    base, reach = live(labels), paper(labels)
    return replace(base, frames_ahead=reach.frames_ahead, blocks=reach.blocks)


#: The live network but for its look-ahead; 160 ms is the live network itself.
LOOK_AHEADS: dict[str, Callable[[tuple[str, ...]], SystemConfig]] = {
    "look-ahead-0": _with_look_ahead((0, 0, 0, 0)),
    "look-ahead-80": _with_look_ahead((0, 1, 0, 1)),
    "look-ahead-320": _with_look_ahead((2, 2, 2, 2)),
    "look-ahead-paper": _unbounded,
}
NETWORKS = SYSTEMS | LOOK_AHEADS
COMPARED = (FUNCTIONALS, *NETWORKS)


@dataclass(frozen=True)
class Trial:
    """One training and its test."""

    protocol: str
    corpus: str
    labels: tuple[str, ...]
    split: str
    system: str
    seed: int

    @property
    def key(self) -> str:
        return f"{self.protocol}/{self.split.replace('/', '-')}/{self.system}/{self.seed}"


def trials(
    protocols: dict[str, Protocol], systems: Sequence[str], at_hand: Sequence[str]
) -> Iterator[Trial]:
    """All trials of the corpora at hand, seed by seed, so that early results already compare."""
    for name, protocol in protocols.items():
        if protocol.corpus not in at_hand:
            continue
        for seed in range(1, protocol.seeds + 1):
            for split in protocol.splits:
                for system in systems:
                    # Functionals hold nothing random.
                    if system != FUNCTIONALS or seed == 1:
                        yield Trial(name, protocol.corpus, protocol.labels, split, system, seed)


def compare(options: argparse.Namespace) -> None:
    """``python -m train compare``: run what is missing, then show the tables.

    Raises:
        SerLiveError: a name is unknown, a corpus or a package is missing, or there is no result.
    """
    if not options.tables:
        with find_place(options.device) as place:
            is_full = options.scale == "full" or (
                options.scale is None and place.device.type == "cuda"
            )
            protocols = _chosen("protocol", FULL if is_full else SMALL, options.protocol)
            systems = _chosen("system", dict.fromkeys(COMPARED), options.system)
            wanted = list(trials(protocols, list(systems), at_hand(options.corpora)))
            folders = Folders(options.corpora, options.cache, options.runs)
            run_missing(wanted, read_recipe(options.recipe), folders, options.results, place)
    finished = read_results(options.results)
    if not finished:
        raise SerLiveError(f"no finished trial in {options.results}")
    show(tables(finished, COMPARED))
    for protocol in dict.fromkeys(trial.protocol for trial in finished):
        plot_confusions(
            [trial for trial in finished if trial.protocol == protocol],
            options.results.with_name(f"compare-{protocol}.png"),
        )


def _chosen(kind: str, known: dict[str, T], names: Sequence[str]) -> dict[str, T]:
    if unknown := set(names) - set(known):
        raise SerLiveError(
            f"no {kind} {', '.join(sorted(unknown))}: there are {', '.join(known)}"
        )
    return {name: known[name] for name in known if not names or name in names}


def run_missing(
    wanted: Sequence[Trial], base: Recipe, folders: Folders, results: Path, place: Place
) -> None:
    """Run the trials that the results file lacks, and append each as it ends.

    Args:
        wanted: in the order to run them.
        base: training settings; corpora, split, network and seed are the trial's.
        folders: corpora, cache, and the folder of the trials' runs.
        results: JSON lines.
        place: device.
    """
    done = {one.key for one in read_results(results)}
    missing = [trial for trial in wanted if trial.key not in done]
    for index, trial in enumerate(missing):
        print(f"{index + 1} of {len(missing)}: {trial.key}", flush=True)
        own = replace(folders, run=folders.run / trial.key)
        finished = (
            _run_functionals(trial, base, own)
            if trial.system == FUNCTIONALS
            else _run_network(trial, base, own, place)
        )
        results.parent.mkdir(parents=True, exist_ok=True)
        with results.open("a", encoding="utf-8") as file:
            file.write(finished.to_json() + "\n")


def _recipe(trial: Trial, base: Recipe) -> Recipe:
    maker = NETWORKS.get(trial.system, live)
    return replace(
        base,
        corpora=(trial.corpus,),
        transfer=(),
        network=maker(trial.labels),
        split=trial.split,
        seed=trial.seed,
    )


def _run_network(trial: Trial, base: Recipe, folders: Folders, place: Place) -> Finished:
    recipe = _recipe(trial, base)
    result = run(recipe, folders, place)
    test = read_parts(recipe, folders.corpora).test
    answered = answers(verdicts_on(folders, test))
    config = recipe.network
    return _finished(
        trial,
        test,
        answered,
        epoch=result["epoch"],
        parameters=result["parameters"],
        train_s=_trained_s(folders.run),
        multiply_adds=step_cost(config),
        look_ahead_ms=config.look_ahead_ms if isinstance(config, NetworkConfig) else None,
        place=str(place.device),
    )


def _run_functionals(trial: Trial, base: Recipe, folders: Folders) -> Finished:
    parts = read_parts(_recipe(trial, base), folders.corpora)
    train, validation, test = (
        prepare_functionals(part, trial.labels, folders.cache)
        for part in (parts.train, parts.validation, parts.test)
    )
    fitted = fit_functionals(train, validation)
    return _finished(trial, parts.test, fitted.answers(test))


def _finished(
    trial: Trial, test: Sequence[Utterance], answered: np.ndarray, **measured: Any
) -> Finished:
    labels = np.array([trial.labels.index(one.label) for one in test], np.int64)
    speakers = [one.speaker for one in test]
    return Finished(
        key=trial.key,
        protocol=trial.protocol,
        labels=trial.labels,
        split=trial.split,
        system=trial.system,
        seed=trial.seed,
        confusions=by_speaker(answered, labels, speakers, len(trial.labels)),
        **measured,
    )


def _trained_s(folder: Path) -> float:
    """Seconds of training, over all the times that it was stopped; judging is not counted."""
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    return round(sum(json.loads(line)["trained_s"] for line in lines), 1)
