"""One run from recipe to weights: prepare, train, test, keep; and from weights to the ONNX file."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from model.baselines import build
from model.export import describe_model, export, state_specs
from model.network import Network, SpectrogramNetwork
from streamer.audio import Recording
from streamer.decision import DecisionConfig
from streamer.errors import SerLiveError
from streamer.frontend import Normaliser
from streamer.metadata import ModelMetadata
from streamer.outputs import say_on_stderr
from train.batches import TrainingSet
from train.corpora import Utterance, licence_of, read_corpus, title_of
from train.data import Example, estimate_prior, normalise_copy, prepare_copy
from train.evaluate import VALIDATION_HEARD, evaluate
from train.fit import CHECKPOINT, Fitted, ValidationSet, fit, refit
from train.measures import reliability, score
from train.place import Place
from train.plots import plot_run
from train.recipe import BASES, Recipe, network_config
from train.scoring import verdicts, votes_of
from train.splits import split_of
from train.targets import one_hot, targets
from train.teachers import Teachers
from train.training import check_start
from train.whole import whole_file

WEIGHTS = "network.safetensors"
#: Folder, within a run's, of the training that also heard the validation speakers.
REFIT = "refit"
RESULT = "result.json"
TESTED = "test.json"
#: Recordings of a label under which a person is warned that little can be learnt from them.
FEWEST_RECORDINGS = 50


@dataclass(frozen=True)
class Folders:
    """Where things lie.

    Attributes:
        corpora: unpacked corpora, a folder each, ``noise`` among them.
        cache: prepared spectra.
        run: of this run: log, checkpoint, weights, result.
    """

    corpora: Path
    cache: Path
    run: Path


@dataclass(frozen=True)
class Parts:
    """Utterances of the recipe's corpora; of the extra labels only for training.

    Attributes:
        train: to fit the weights.
        validation: to choose the epoch and the temperature.
        test: to measure.
        refit: training and validation speakers, to fit the weights once the epoch is chosen.
        warnings: what a person must know of the split.
    """

    train: list[Utterance]
    validation: list[Utterance]
    test: list[Utterance]
    refit: list[Utterance]
    warnings: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in ("train", "validation", "test")}


def read_parts(recipe: Recipe, corpora: Path) -> Parts:
    """Read and split the recipe's corpora.

    Raises:
        SerLiveError: a corpus is missing, or a label has nobody to learn or to judge it from.
    """
    found = [one for name in recipe.corpora for one in read_corpus(name, corpora, recipe.classes)]
    whole = split_of(recipe.split, found)
    named = f"the split {recipe.split!r} of {', '.join(recipe.corpora)}"
    if not whole.validation:
        raise SerLiveError(f"{named} leaves no validation speakers to choose the epoch on")
    parts = Parts(
        list(whole.train),
        [one for one in whole.validation if one.label in recipe.network.labels],
        [one for one in whole.test if one.label in recipe.network.labels],
        [*whole.train, *whole.validation],
        (*whole.warnings, *_too_few(whole.train, recipe.classes)),
    )
    for part, utterances, labels in (
        ("training", parts.train, recipe.classes),
        ("validation", parts.validation, recipe.network.labels),
    ):
        if without := set(labels) - {one.label for one in utterances}:
            raise SerLiveError(f"no {part} utterances of {', '.join(sorted(without))} in {named}")
    return parts


def _check_readable(utterances: Iterable[Utterance]) -> None:
    """Open every recording, so that one that training does not need is not found bad after it.

    Raises:
        SerLiveError: one is none.
    """
    for one in utterances:
        with Recording(one.path):
            pass


def _too_few(train: Sequence[Utterance], labels: Sequence[str]) -> list[str]:
    """A warning if a label has not enough recordings to learn from."""
    counts = Counter(one.label for one in train)
    few = [f"{label} {counts[label]}" for label in labels if counts[label] < FEWEST_RECORDINGS]
    if not few:
        return []
    return [f"few recordings to learn from ({', '.join(few)}): a label takes hundreds"]


def _prepare(
    recipe: Recipe, parts: Parts, folders: Folders
) -> tuple[TrainingSet, list[ValidationSet], Normaliser]:
    """What is trained on and judged on, and the normaliser of both."""
    noise = folders.corpora / "noise"
    clean = prepare_copy(parts.train, folders.cache, noise)
    normaliser = recipe.normaliser_with(estimate_prior(clean))
    train = _training_set(recipe, parts.train, clean, normaliser, folders)
    labels = one_hot(parts.validation, recipe.network.labels).argmax(axis=1)
    corpora = [one.corpus for one in parts.validation]
    validation = []
    # Validation hears other levels, rooms and floors where training does: seeds 0 are never
    # trained on.
    for augmentation in (None, recipe.augmentation) if recipe.copies else (None,):
        copy = prepare_copy(parts.validation, folders.cache, noise, augmentation, seed=0)
        validation.append(ValidationSet(normalise_copy(copy, normaliser), labels, corpora))
    return train, validation, normaliser


def _training_set(
    recipe: Recipe,
    utterances: Sequence[Utterance],
    clean: Sequence[Example],
    normaliser: Normaliser,
    folders: Folders,
) -> TrainingSet:
    """The utterances as recorded (``clean``) and in augmented copies, with their targets."""
    noise = folders.corpora / "noise"
    copies = [normalise_copy(clean, normaliser)]
    for seed in range(1, recipe.copies + 1):
        copy = prepare_copy(utterances, folders.cache, noise, recipe.augmentation, seed)
        copies.append(normalise_copy(copy, normaliser))
    return TrainingSet(
        copies,
        targets(utterances, recipe, folders.corpora),
        [one.corpus for one in utterances],
    )


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
    parts = read_parts(recipe, folders.corpora)
    if place.leads and warns:
        for warning in parts.warnings:
            say_on_stderr(f"train: {warning}")
    _check_readable(parts.test)  # the others are read now
    heard = dict.fromkeys(recipe.corpora, recipe.split)
    pretrained = None
    if recipe.pretrained:
        pretrained, started = load_run(Path(recipe.pretrained))
        check_start(pretrained.config, recipe.network, recipe.pretrained)
        heard = _heard_too(recipe, heard, recipe.pretrained, started)
    heard = _finish_teachers(recipe, folders, place, heard)
    teachers = _load_teachers(recipe, folders, place)
    fitted, normaliser = _fit(recipe, parts, folders, place, teachers, pretrained)
    if recipe.refit:
        _refit(recipe, parts, normaliser, fitted.epoch, folders, place)
    scores = score(fitted.probabilities, fitted.labels)
    result = {
        "recipe": recipe.to_dict(),
        "heard": heard,
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
        _keep_weights(fitted.network, folders.run)
        _keep_json(result, folders.run / RESULT)  # where it is, the run is finished
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
    if place.leads and not (folders.run / CHECKPOINT).exists():
        shutil.rmtree(folders.run / REFIT, ignore_errors=True)  # it followed another fit
    with place.leader_first():
        train, validation, normaliser = _prepare(recipe, parts, folders)
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
        pretrained, _ = load_run(Path(recipe.pretrained), refitted=True)
    teachers = _load_teachers(recipe, folders, place, refitted=True)
    with place.leader_first():
        clean = prepare_copy(parts.refit, folders.cache, folders.corpora / "noise")
        train = _training_set(recipe, parts.refit, clean, normaliser, folders)
    del clean  # else it stays in memory while the network is trained
    network = refit(recipe, train, epochs, folder, place, teachers, pretrained)
    if place.leads:
        _keep_weights(network, folder)


def _keep_weights(network: SpectrogramNetwork, folder: Path) -> None:
    with whole_file(folder / WEIGHTS) as file:
        file.write(save(network.state_dict()))


def _keep_json(values: dict[str, Any], path: Path) -> None:
    with whole_file(path) as file:
        file.write(json.dumps(values, indent=1).encode() + b"\n")


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


def _heard_by(result: dict[str, Any]) -> dict[str, str]:
    """Corpora that a finished run has learnt from, by itself or by others, and their split."""
    recipe = result["recipe"]
    # Older runs had nobody else to learn from and knew no other split.
    own = dict.fromkeys(recipe["corpora"], recipe.get("split", "fixed"))
    heard: dict[str, str] = result.get("heard", own)
    return heard


def _heard_too(
    recipe: Recipe, heard: dict[str, str], folder: str | Path, result: dict[str, Any]
) -> dict[str, str]:
    """What a run has heard together with what it starts from or is taught by.

    Raises:
        SerLiveError: that has learnt from people whom this run is judged on.
    """
    found = _heard_by(result)
    for corpus, split in found.items():
        if corpus in recipe.transfer or heard.get(corpus, split) != split:
            raise SerLiveError(
                f"{folder} has heard {corpus} by the split {split!r}: people among them whom "
                f"{recipe.name} is judged on"
            )
    return heard | found


def _finish_teachers(
    recipe: Recipe, folders: Folders, place: Place, heard: dict[str, str]
) -> dict[str, str]:
    """Train the networks that the recipe names as teachers, and check all of its teachers.

    Returns:
        what was heard with what they heard.

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
        heard = _heard_too(recipe, heard, folder, result)
    return heard


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


def load_run(folder: Path, refitted: bool = False) -> tuple[SpectrogramNetwork, dict[str, Any]]:
    """Network and result of a finished run.

    Args:
        folder: of the run.
        refitted: of a run that was refit, the network that has heard the validation speakers.

    Raises:
        SerLiveError: there is none in the folder.
    """
    if not (folder / RESULT).is_file():
        raise SerLiveError(f"no finished run in {folder}: python -m train fit RECIPE makes one")
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    network = build(network_config(result["recipe"]["network"]))
    weights = folder / REFIT / WEIGHTS if refitted and _is_refit(result) else folder / WEIGHTS
    network.load_state_dict(load_file(weights))
    return network.eval(), result


def _is_refit(result: dict[str, Any]) -> bool:
    return bool(result["recipe"].get("refit", False))  # older runs never were


def verdicts_on(folders: Folders, utterances: Sequence[Utterance]) -> NDArray[np.float64]:
    """Calibrated verdicts ``(utterances, labels)`` of a finished run, made offline.

    For systems that cannot stream, too; what ships is measured through the runtime instead.

    Raises:
        SerLiveError: there is no finished run in the folder.
    """
    network, result = load_run(folders.run)
    normaliser = Normaliser(np.array(result["prior_spectrum"]), **result["recipe"]["normaliser"])
    copy = prepare_copy(utterances, folders.cache, folders.corpora / "noise")
    votes = votes_of(network, normalise_copy(copy, normaliser))
    return verdicts(votes, result["temperature"])


def metadata_of(
    network: Network, result: dict[str, Any], tested: dict[str, Any], refitted: bool
) -> ModelMetadata:
    """What the exported file says of itself."""
    recipe, config, heard = result["recipe"], network.config, _heard_by(result)
    model = f"{recipe['name']}-{recipe['seed']}"
    if _is_refit(result) and not refitted:
        model += "-judged"
    trained_on = [title_of(name) for name in heard]
    licences = [f"{licence_of(name)} ({name})" for name in trained_on]
    accuracy = [
        f"{title_of(name)} {scores['uar']:.1f} % UAR"
        + ("" if name in heard else " (corpus never trained on)")
        for name, scores in tested.items()
    ]
    return ModelMetadata(
        name=model,
        labels=config.labels,
        delay_timesteps=config.delay_timesteps,
        look_ahead_samples=config.look_ahead_samples,
        window_timesteps=config.window_timesteps,
        temperature=result["temperature"],
        normaliser=Normaliser(np.array(result["prior_spectrum"]), **recipe["normaliser"]),
        decision=DecisionConfig(),
        states=state_specs(network.initial_state()),
        training={
            "trained on": ", ".join(trained_on),
            "split": recipe.get("split", "fixed"),  # older runs know no other
            **({VALIDATION_HEARD: "trained on once the epoch was chosen"} if refitted else {}),
            "licence": "; ".join(licences),
            "accuracy": "on unseen speakers, whole recordings: "
            + ("; ".join(accuracy) or "not measured"),
            "recipe": f"{recipe['name']}, seed {recipe['seed']}",
            "parameters": str(result["parameters"]),
        },
    )


def export_run(folder: Path, path: Path, corpora: Path, judged: bool = False) -> dict[str, Any]:
    """Write the run's network as a model file, with its accuracy as the runtime measures it.

    Args:
        folder: of the finished run.
        path: model file to write.
        corpora: unpacked corpora; those that the recipe names are tested.
        judged: of a run that was refit, the network that the validation speakers judged, which
            has not heard them.

    Returns:
        the scores on the test speakers by corpus, also written beside the weights as
        :data:`TESTED`.
    """
    network, result = load_run(folder, refitted=not judged)
    refitted = _is_refit(result) and not judged
    if not isinstance(network, Network):
        raise SerLiveError(f"the network of {folder} cannot follow a stream: nothing to export")
    recipe = result["recipe"]
    untested = folder / "untested.onnx"
    export(network, metadata_of(network, result, {}, refitted), untested)
    results = evaluate(untested, corpora, (*recipe["corpora"], *recipe["transfer"]))
    tested = {
        corpus: {
            "uar": round(scores.uar, 2),
            "wa": round(scores.wa, 2),
            "calibration_error": round(scores.calibration_error, 4),
            "without_speech": unheard,
            "confusion": scores.confusion.tolist(),
        }
        for corpus, (scores, unheard) in results.items()
    }
    describe_model(untested, metadata_of(network, result, tested, refitted), path)
    untested.unlink()
    _keep_json(tested, (folder / REFIT if refitted else folder) / TESTED)
    return tested
