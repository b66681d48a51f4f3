"""``python -m train compare``: compare the paper's systems and look-aheads in one run.

Every trial (a system, a split, a seed) has the same recipe, features, selection and test speakers.
A finished trial is a line in a results file; a rerun skips those, and a stopped trial resumes from
its last epoch. Tables and figures use only that file (``train/comparing/tables.py``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Group

from model.baselines import build
from model.config import NetworkConfig, SystemConfig, live
from model.cost import step_cost
from model.network import look_ahead_ms
from streamer.errors import SerLiveError
from streamer.outputs import say_on_stderr, show
from train.comparing.functionals import check_packages, fit_functionals, prepare_functionals
from train.comparing.offline import OfflineNetwork
from train.comparing.plots import plot_look_ahead
from train.comparing.results_file import (
    Finished,
    append_result,
    confusions_by_speaker,
    make_appendable,
    read_results,
)
from train.comparing.tables import PAPER, BySystem, by_protocol, prices, tables
from train.comparing.trials import (
    COMPARED,
    ELSEWHERE,
    FULL,
    FUNCTIONALS,
    NAMED_ONLY,
    NETWORKS,
    SMALL,
    Trial,
    protocols_at_hand,
    trials,
)
from train.corpora.known import Utterance
from train.fitting.epoch_log import read_log
from train.fitting.recipe import Recipe
from train.fitting.recipe_file import read_recipe
from train.fitting.run_folder import Folders
from train.judging.plots import plot_confusions
from train.place import Place, find_place
from train.stages.material import read_parts
from train.stages.run import finished_or_run

T = TypeVar("T")
Int64 = NDArray[np.int64]

#: Recipe settings that differ between trials.
TRIALS_OWN = ("name", "corpora", "transfer", "network", "split", "seed")


def run_compare(options: argparse.Namespace) -> None:
    """Run the missing trials, then show the tables and draw the figures.

    Raises:
        SerLiveError: a name is unknown, a corpus is missing, or there is no result.
    """
    if not options.tables:
        with find_place(options.device) as place:
            run_missing(
                _wanted(options, place),
                read_recipe(options.recipe),
                Folders(options.corpora, options.cache, options.runs),
                options.results,
                place,
            )
            if not place.leads:
                return
    finished = read_results(options.results)
    if not finished:
        raise SerLiveError(f"no finished trial in {options.results}")
    for protocol, by_system in by_protocol(finished, COMPARED).items():
        show(Group(*tables(protocol, by_system)))
        _draw(protocol, by_system, options.results)


def _wanted(options: argparse.Namespace, place: Place) -> list[Trial]:
    """Return the requested trials whose corpora and packages are present."""
    is_full = options.scale == "full" or (options.scale is None and place.device.type == "cuda")
    by_scale = FULL if is_full else SMALL
    protocols = _chosen("protocol", by_scale | ELSEWHERE, options.protocol or tuple(by_scale))
    if options.seeds:
        protocols = {name: replace(one, seeds=options.seeds) for name, one in protocols.items()}
    known = dict.fromkeys((*COMPARED, *NAMED_ONLY))
    systems = list(_chosen("system", known, options.system or COMPARED))
    if FUNCTIONALS in systems:
        try:
            check_packages()
        except SerLiveError as error:
            say_on_stderr(f"train: {FUNCTIONALS} is left out: {error}")
            systems.remove(FUNCTIONALS)
    return list(trials(protocols_at_hand(protocols, options.corpora), systems))


def _chosen(kind: str, known: Mapping[str, T], names: Sequence[str]) -> dict[str, T]:
    if unknown := set(names) - set(known):
        raise SerLiveError(f"no {kind} {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    return {name: known[name] for name in known if not names or name in names}


def _draw(protocol: str, by_system: BySystem, results: Path) -> None:
    """Draw the paper's figure 4 and the price of look-ahead next to the results file."""
    confusions = {
        system: np.sum([trial.confusion for trial in trials], axis=0)
        for system, trials in by_system.items()
    }
    labels = next(iter(by_system.values()))[0].labels
    name = f"{results.stem}-{protocol}"
    plot_confusions(confusions, labels, results.with_name(f"{name}-confusion.png"))
    found = prices(by_system)
    curve = [price for price in found if price.system != PAPER]
    if len(curve) > 1:
        others = [price for price in found if price.system == PAPER]
        title = f"{protocol}, test speakers"
        plot_look_ahead(curve, others, title, results.with_name(f"{name}-look-ahead.png"))


def run_missing(
    wanted: Sequence[Trial], base: Recipe, folders: Folders, results: Path, place: Place
) -> None:
    """Run the trials that the results file lacks, and append each as it ends.

    Args:
        wanted: trials in the order to run them.
        base: training settings; corpora, split, network and seed are the trial's.
        folders: corpora, cache, and the folder of the trials' runs.
        results: JSON lines.
        place: device and processes; only the leader tests and writes.

    Raises:
        SerLiveError: a trial cannot be run, or the results are of another recipe.
    """
    if base.refit:
        raise SerLiveError(
            f"{base.name}: trials are of what the validation speakers chose: leave refit out"
        )
    if place.leads:
        make_appendable(results)
    done = place.leaders(_done(results, base) if place.leads else set())
    missing = [trial for trial in wanted if trial.key not in done]
    for index, trial in enumerate(missing, 1):
        own = replace(folders, run=folders.run / trial.key)
        if place.leads:
            say_on_stderr(f"train: trial {index} of {len(missing)}: {trial.key}")
        finished = _run_trial(trial, base, own, place)
        if finished is not None:
            append_result(results, finished)


def settings_digest(recipe: Recipe) -> str:
    """Return a digest of the settings that all trials of a comparison share.

    Lines stay valid when recipes gain settings.
    """
    settings = recipe.changed()
    common = {name: one for name, one in settings.items() if name not in TRIALS_OWN}
    padding = recipe.network.frequency_padding
    told = json.dumps(common | {"frequency_padding": padding}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def _done(results: Path, base: Recipe) -> set[str]:
    """Return the keys of the finished trials."""
    finished = read_results(results)
    for one in finished:
        if one.recipe != settings_digest(base):
            raise SerLiveError(
                f"{results} holds trials of other settings, such as {one.key}: their figures do "
                "not compare; name another --results and --runs"
            )
        if one.parameters not in (None, _parameters(one, base)):
            raise SerLiveError(
                f"{results} holds trials of other networks, such as {one.key}: {one.system} had "
                f"{one.parameters} parameters; name another --results and --runs"
            )
    return {one.key for one in finished}


def _parameters(one: Finished, base: Recipe) -> int | None:
    """Count the parameters of a finished trial's system as it is now; None if it has no network."""
    make = (NETWORKS | NAMED_ONLY).get(one.system)
    if make is None:
        return None
    with torch.device("meta"):  # allocates no weights
        network = build(_network_of(make(one.labels), base))
    return sum(weight.numel() for weight in network.parameters())


def _network_of(config: SystemConfig, base: Recipe) -> SystemConfig:
    """Apply the recipe's settings of the front to a system's configuration."""
    return replace(config, frequency_padding=base.network.frequency_padding)


def _run_trial(trial: Trial, base: Recipe, folders: Folders, place: Place) -> Finished | None:
    """Run a trial; return its result in the leader, None in other processes."""
    recipe = _recipe(trial, base)
    if trial.system == FUNCTIONALS:
        return _run_functionals(trial, recipe, base, folders) if place.leads else None
    result = finished_or_run(recipe, folders, place)
    if not place.leads:
        return None
    test = read_parts(recipe, folders.corpora).test
    config = recipe.network
    network = OfflineNetwork(folders)
    return replace(
        _finished(trial, base, test, network.answers(test)),
        running=network.confusions_in_streams(test) if recipe.streams else None,
        epoch=result["epoch"],
        parameters=result["parameters"],
        train_s=_trained_s(folders.run),
        multiply_adds=step_cost(recipe.kept_network),
        look_ahead_ms=look_ahead_ms(config) if isinstance(config, NetworkConfig) else None,
        place=str(place.device),
    )


def _recipe(trial: Trial, base: Recipe) -> Recipe:
    own = {
        "{protocol}": trial.protocol,
        "{split}": trial.split.replace("/", "-"),
        "{seed}": str(trial.seed),
        "{system}": trial.system,
    }
    make = (NETWORKS | NAMED_ONLY).get(trial.system, live)
    start, teachers = base.pretrained, base.teacher
    for name, value in own.items():
        start = start.replace(name, value)
        teachers = tuple(one.replace(name, value) for one in teachers)
    try:
        return replace(
            base,
            pretrained=start,
            teacher=teachers,
            corpora=(trial.corpus,),
            transfer=(),
            network=_network_of(make(trial.labels), base),
            split=trial.split,
            seed=trial.seed,
        )
    except ValueError as error:
        raise SerLiveError(f"the recipe does not fit the trial {trial.key}: {error}") from error


def _trained_s(folder: Path) -> float:
    """Return the seconds of training over all restarts, without judging."""
    return round(sum(float(one["trained_s"]) for one in read_log(folder)), 1)


def _run_functionals(trial: Trial, recipe: Recipe, base: Recipe, folders: Folders) -> Finished:
    parts = read_parts(recipe, folders.corpora)
    train, validation, test = (
        prepare_functionals(part, trial.labels, folders.cache)
        for part in (parts.train, parts.validation, parts.test)
    )
    answered = fit_functionals(train, validation).answers(test)
    return _finished(trial, base, parts.test, answered)


def _finished(trial: Trial, base: Recipe, test: Sequence[Utterance], answered: Int64) -> Finished:
    labels = np.array([trial.labels.index(one.label) for one in test], np.int64)
    speakers = [one.speaker for one in test]
    return Finished(
        key=trial.key,
        protocol=trial.protocol,
        labels=trial.labels,
        split=trial.split,
        system=trial.system,
        seed=trial.seed,
        recipe=settings_digest(base),
        confusions=confusions_by_speaker(answered, labels, speakers, len(trial.labels)),
    )
