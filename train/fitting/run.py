"""One run from recipe to weights: prepare, train, refit, keep."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from model.network import SpectrogramNetwork
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import Lineage
from streamer.outputs import say_on_stderr
from streamer.recognition.normaliser import Normaliser
from train.corpora.lineage import check_recordings, keep_recordings, together
from train.fitting.epochs import CHECKPOINT, Fitted, fit, refit
from train.fitting.material import (
    Parts,
    check_readable,
    heard_beside,
    prepare_run,
    read_parts,
    training_data,
)
from train.fitting.recipe import BASES, Recipe
from train.fitting.run_folder import (
    REFIT,
    RESULT,
    Folders,
    is_refit,
    keep_json,
    keep_weights,
    lineage_of,
    load_run,
    read_result,
)
from train.fitting.teachers import Teachers
from train.fitting.training import check_is_whole, check_start
from train.judging.measures import reliability, score
from train.judging.plots import plot_run
from train.place import Place


def run(
    recipe: Recipe, folders: Folders, place: Place | None = None, warns: bool = True
) -> dict[str, Any]:
    """Train as the recipe says and keep weights, result and plots in the run's folder.

    Args:
        recipe: what to train.
        folders: where from and where to.
        place: where it runs.
        warns: whether what a person must know of the split is said.

    Returns:
        the result: recipe, epoch, temperature, score on the validation speakers.

    Raises:
        SerLiveError: corpora, teachers or the run to start from are missing, a recording cannot be
            read, one of these has heard who is judged on, the network to start from is of another
            shape, or the folder holds another recipe's run.
    """
    place = place or Place()
    if recipe.imitates:
        raise SerLiveError(
            f"the recipe {recipe.name} learns no emotions: python -m train pretrain takes it"
        )
    parts = read_parts(recipe, folders.corpora)
    if place.leads and warns:
        for warning in parts.warnings:
            say_on_stderr(f"train: {warning}")
    check_readable(parts.test)  # the others are read now
    goes_on = (folders.run / CHECKPOINT).exists()
    recordings = check_recordings(
        [*parts.refit, *parts.test], folders.corpora, folders.run, goes_on
    )
    lineage = Lineage(parts.heard, heard_beside(recipe, folders.corpora))
    pretrained = None
    if recipe.pretrained:
        pretrained, started = load_run(Path(recipe.pretrained), is_start=True)
        check_start(pretrained.config, recipe.network, recipe.pretrained)
        if recipe.trains == "voice":
            check_is_whole(pretrained.config, recipe.kept_network, started, recipe.pretrained)
        found, is_late = lineage_of(started), recipe.refit and is_refit(started)
        start = Path(recipe.pretrained)
        lineage = together(lineage, found, recipe.transfer, start, is_late)
    if recipe.answers:
        result = read_result(Path(recipe.answers), "teach")
        said_by = Path(recipe.answers)
        lineage = together(lineage, lineage_of(result), recipe.transfer, said_by)
    lineage = _finish_teachers(recipe, folders, place, lineage)
    if place.leads:
        keep_recordings(recordings, folders.run)
    teachers = _load_teachers(recipe, folders, place)
    fitted, normaliser = _fit(recipe, parts, folders, place, teachers, pretrained)
    if recipe.refit:
        _refit(recipe, parts, normaliser, fitted.epoch, folders, place)
    scores = score(fitted.probabilities, fitted.labels)
    result = {
        "recipe": recipe.to_dict(),
        "lineage": asdict(lineage),
        "prior_spectrum": [float(f"{value:.6g}") for value in normaliser.prior_spectrum],
        "parameters": sum(p.numel() for p in fitted.network.parameters()),
        "epoch": fitted.epoch,
        "temperature": round(fitted.temperature, 4),
        "validation_uar": round(fitted.validation_uar, 2),
        "validation": {
            "confusion": scores.confusion.tolist(),
            "reliability": reliability(fitted.probabilities, fitted.labels).round(4).tolist(),
        },
        "utterances": parts.sizes,
    }
    if place.leads:
        keep_weights(fitted.network, folders.run)
        keep_json(result, folders.run / RESULT)  # where it is, the run is finished
        plot_run(folders.run)
    return result


def _fit(
    recipe: Recipe,
    parts: Parts,
    folders: Folders,
    place: Place,
    teachers: Teachers | None,
    pretrained: SpectrogramNetwork | None,
) -> tuple[Fitted, Normaliser]:
    """Fit, the same with and without a refit: a finished fit can be refit later."""
    if place.leads and not (folders.run / CHECKPOINT).exists():  # what follows another fit
        shutil.rmtree(folders.run / REFIT, ignore_errors=True)
        (folders.run / RESULT).unlink(missing_ok=True)
    with place.leader_first():
        train, validation, normaliser = prepare_run(recipe, parts, folders)
    own = replace(recipe, refit=False)
    return fit(own, train, validation, folders.run, place, teachers, pretrained), normaliser


def _refit(
    recipe: Recipe,
    parts: Parts,
    normaliser: Normaliser,
    epochs: int,
    folders: Folders,
    place: Place,
) -> None:
    """Train again on the validation speakers, too, and keep the weights in :data:`REFIT`.

    What the recipe starts from and is taught by has heard them as well, where it was refit.
    """
    folder = folders.run / REFIT
    if place.leads:
        say_on_stderr(f"train: again on the validation speakers, too, in {folder}")
    pretrained = None
    if recipe.pretrained:
        pretrained, _ = load_run(Path(recipe.pretrained), refitted=True, is_start=True)
    teachers = _load_teachers(recipe, folders, place, refitted=True)
    with place.leader_first():
        train = training_data(recipe, parts.refit, folders, normaliser)
    network = refit(recipe, train, epochs, folder, place, teachers, pretrained)
    if place.leads:
        keep_weights(network, folder)


def finished_or_run(
    recipe: Recipe, folders: Folders, place: Place, warns: bool = True
) -> dict[str, Any]:
    """Result of the run in the folder if it is finished; else train, or train on.

    Raises:
        SerLiveError: as :func:`run`.
    """
    path = folders.run / RESULT
    if path.is_file():
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if recipe.made(result["recipe"]):
            return result
    return run(recipe, folders, place, warns)


def _finish_teachers(recipe: Recipe, folders: Folders, place: Place, lineage: Lineage) -> Lineage:
    """Train the networks that the recipe names as teachers, and check all of its teachers.

    Returns:
        what was learnt from, with what they have learnt from.

    Raises:
        SerLiveError: a run is missing, has other labels, or has heard who is judged on.
    """
    # Folders first: what is wrong with them is said before anything is trained.
    for name in sorted(recipe.teacher, key=BASES.__contains__):
        folder = _teacher_folder(name, folders)
        if name in BASES:
            if place.leads and not (folder / RESULT).is_file():
                say_on_stderr(f"train: the teacher {name} first, in {folder}")
            of_teacher = recipe.of_teacher(name)
            finished_or_run(of_teacher, replace(folders, run=folder), place, warns=False)
        with place.leader_first():  # it has written the run
            network, result = load_run(folder)
        if network.config.labels != recipe.network.labels:
            raise SerLiveError(
                f"the teacher {folder} knows {', '.join(network.config.labels)}, "
                f"the recipe {', '.join(recipe.network.labels)}"
            )
        is_late = recipe.refit and is_refit(result)
        lineage = together(lineage, lineage_of(result), recipe.transfer, folder, is_late)
    return lineage


def _teacher_folder(name: str, folders: Folders) -> Path:
    return folders.run / name if name in BASES else Path(name)


def _load_teachers(
    recipe: Recipe, folders: Folders, place: Place, refitted: bool = False
) -> Teachers | None:
    """The recipe's teachers, whose runs are finished."""
    if not recipe.teacher:
        return None
    runs = [load_run(_teacher_folder(name, folders), refitted) for name in recipe.teacher]
    return Teachers(
        [network.to(place.device) for network, _ in runs],
        [result["temperature"] for _, result in runs],
        recipe.teacher_weight,
    )
