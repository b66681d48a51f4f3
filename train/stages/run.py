"""One run from recipe to weights: read, fit, refit, save."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from typing import Any

from model.network import Network
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import Lineage
from streamer.outputs import say_on_stderr
from streamer.recognition.normaliser import Normaliser
from train.corpora.lineage import check_recordings, keep_recordings
from train.fitting.epoch_log import read_log
from train.fitting.epochs import Fitted, fit, refit
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RESULT, Folders, RunFolder
from train.fitting.voice_bias import add_voice_bias
from train.judging.plots import plot_run
from train.measuring.measures import reliability, score
from train.place import Place
from train.stages.earlier_runs import EarlierRuns
from train.stages.material import (
    Parts,
    check_readable,
    heard_beside,
    material_files,
    prepare_run,
    read_parts,
    training_data,
)


def run(
    recipe: Recipe, folders: Folders, place: Place | None = None, warns: bool = True
) -> dict[str, Any]:
    """Train by a recipe and write weights, result and plots to the run's folder.

    Args:
        recipe: the recipe to train.
        folders: folders to read from and write to.
        place: device and processes.
        warns: whether to print warnings about the split.

    Returns:
        result: recipe, epoch, temperature, score on the validation speakers.

    Raises:
        SerLiveError: corpora, teachers or the run to start from are missing, a recording cannot be
            read, a teacher or the start has heard held-out speakers, the start's network has
            another shape, or the folder holds another recipe's run.
    """
    place = place or Place()
    if recipe.imitates:
        raise SerLiveError(
            f"the recipe {recipe.name} learns no emotions: python -m train pretrain takes it"
        )
    folder = RunFolder(folders.run)

    # Split the speakers and load the earlier runs.
    parts = read_parts(recipe, folders.corpora)
    if place.leads and warns:
        for warning in parts.warnings:
            say_on_stderr(f"train: {warning}")
    check_readable(parts.test)  # training and validation are read below
    earlier = EarlierRuns.of(recipe)
    recordings = check_recordings(
        [*parts.refit, *parts.test],
        folders.corpora,
        folder.path,
        folder.is_begun,
        [*material_files(recipe, folders), *earlier.files()],
    )
    own = Lineage(parts.heard, heard_beside(recipe, folders.corpora))
    lineage = earlier.joined(own, recipe)
    if place.leads:
        keep_recordings(recordings, folder.path)
        if not folder.is_begun:  # a refit left from another fit
            shutil.rmtree(folder.refit.path, ignore_errors=True)
            (folder.path / RESULT).unlink(missing_ok=True)

    # The fit is the same with and without a refit, so a finished fit can be refit later.
    with place.leader_first():
        train, validation, normaliser = prepare_run(recipe, parts, folders)
    fitted = fit(
        replace(recipe, refit=False),
        train,
        validation,
        folder.path,
        place,
        earlier.load_teachers(recipe, place),
        earlier.start_network(),
    )

    # Train again with the validation speakers included. The start and the teachers have heard
    # them too, if they were refit.
    if recipe.refit:
        if place.leads:
            say_on_stderr(f"train: again on the validation speakers, too, in {folder.refit.path}")
        refitted = check_recordings(
            [], folders.corpora, folder.refit.path, folder.refit.is_begun, earlier.refit_files()
        )
        if place.leads:
            keep_recordings(refitted, folder.refit.path)
        teachers = earlier.load_teachers(recipe, place, refitted=True)
        with place.leader_first():
            train = training_data(recipe, parts.refit, folders, normaliser)
        start = earlier.start_network(refitted=True)
        network = refit(recipe, train, fitted.epoch, folder.refit.path, place, teachers, start)
        if fitted.voice_bias is not None:  # it needs voices that the network has not heard
            assert isinstance(network, Network)
            add_voice_bias(network, fitted.voice_bias)
        if place.leads:
            folder.refit.keep_weights(network)

    result = _result(recipe, lineage, normaliser, fitted, parts)
    if place.leads:
        folder.keep_weights(fitted.network)
        folder.keep_json(result)
        plot_run(read_log(folder.path), result, folder.path)
    return result


def _result(
    recipe: Recipe, lineage: Lineage, normaliser: Normaliser, fitted: Fitted, parts: Parts
) -> dict[str, Any]:
    """Build the run's result."""
    scores, bias = score(fitted.probabilities, fitted.labels), fitted.voice_bias
    return {
        "recipe": recipe.to_dict(),
        "lineage": asdict(lineage),
        "prior_spectrum": [float(f"{value:.6g}") for value in normaliser.prior_spectrum],
        "parameters": sum(p.numel() for p in fitted.network.parameters()),
        "epoch": fitted.epoch,
        "temperature": round(fitted.temperature, 4),
        **({} if bias is None else {"voice_bias": [round(one, 4) for one in bias.tolist()]}),
        "validation_uar": round(fitted.validation_uar, 2),
        "validation": {
            "confusion": scores.confusion.tolist(),
            "reliability": reliability(fitted.probabilities, fitted.labels).round(4).tolist(),
        },
        "utterances": parts.sizes,
    }


def finished_or_run(
    recipe: Recipe, folders: Folders, place: Place, warns: bool = True
) -> dict[str, Any]:
    """Return the result of the folder's run, training or resuming it if it is unfinished.

    Raises:
        SerLiveError: as for :func:`run`.
    """
    return RunFolder(folders.run).finished_by(recipe) or run(recipe, folders, place, warns)
