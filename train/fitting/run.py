"""One run from recipe to weights: prepare, train, test, keep; and from weights to the ONNX file."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from model.baselines import build
from model.config import ORDINARY, NetworkConfig
from model.export import describe_model, export, state_specs
from model.network import Network, SpectrogramNetwork
from streamer.decision import DecisionConfig
from streamer.errors import SerLiveError
from streamer.frontend import Normaliser
from streamer.lineage import HeardCorpus, Lineage, Material
from streamer.metadata import ModelMetadata
from streamer.outputs import say_on_stderr
from streamer.recognizer import Recognizer
from streamer.sound.recording import Recording
from train.comparing.plots import plot_run
from train.corpora import ordinary
from train.corpora.known import CORPORA, Utterance, read_corpus, title_of
from train.corpora.lineage import (
    called,
    check_recordings,
    heard_corpora,
    keep_recordings,
    together,
)
from train.corpora.splits import split_of
from train.corpora.voices import VOICES
from train.features.augment import BACKGROUNDS, load_noises, load_rooms
from train.features.bank import load_bank
from train.features.data import estimate_prior, normalise, prepare
from train.features.sound import JUDGED_ON, make_surroundings
from train.fitting.batches import TrainingSet
from train.fitting.drawer import StreamSet
from train.fitting.epochs import CHECKPOINT, Fitted, TrainingData, fit, refit
from train.fitting.recipe import BASES, Recipe, network_config
from train.fitting.scoring import verdicts, votes_of
from train.fitting.targets import one_hot, targets
from train.fitting.teachers import Teachers
from train.fitting.training import check_start
from train.fitting.validation import ValidationSet, alone, in_streams
from train.judging.evaluate import evaluate
from train.judging.measures import Scores, reliability, score
from train.judging.sessions import LONG_PAUSE_S
from train.place import CPU, Place
from train.whole_file import whole_file

WEIGHTS = "network.safetensors"
#: Folder, within a run's, of the training that also heard the validation speakers.
REFIT = "refit"
RESULT = "result.json"
TESTED = "test.json"
#: Folder of background recordings among the corpora; impulse responses lie below it.
NOISE = "noise"
#: What the measured rooms are called where a model says what it has heard, and their licence.
ROOMS = "measured rooms"
ROOMS_LICENCE = "MIT"
#: Of the backgrounds and rooms that validation hears.
SURROUNDINGS_SEED = 0
#: Recordings of a label under which a person is warned that little can be learnt from them.
FEWEST_RECORDINGS = 50


@dataclass(frozen=True)
class Folders:
    """Where things lie.

    Attributes:
        corpora: unpacked corpora, a folder each, ``noise`` among them.
        cache: prepared spectra, decoded waveforms, frames of teachers.
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
        heard: of each corpus, who is on which side.
        warnings: what a person must know of the split.
    """

    train: list[Utterance]
    validation: list[Utterance]
    test: list[Utterance]
    refit: list[Utterance]
    heard: tuple[HeardCorpus, ...]
    warnings: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in ("train", "validation", "test")}


def read_parts(recipe: Recipe, corpora: Path) -> Parts:
    """Read and split the recipe's corpora.

    Raises:
        SerLiveError: a corpus is missing, or a label has nobody to learn or to judge it from.
    """
    found = [one for name in recipe.corpora for one in read_corpus(name, corpora, recipe.labelled)]
    whole = split_of(recipe.split, found)
    named = f"the split {recipe.split!r} of {', '.join(recipe.corpora)}"
    if not whole.validation:
        raise SerLiveError(f"{named} leaves no validation speakers to choose the epoch on")
    parts = Parts(
        list(whole.train),
        [one for one in whole.validation if one.label in recipe.network.labels],
        [one for one in whole.test if one.label in recipe.network.labels],
        [*whole.train, *whole.validation],
        heard_corpora(whole, recipe.split),
        (*whole.warnings, *_too_few(whole.train, recipe.labelled)),
    )
    for part, utterances, labels in (
        ("training", parts.train, recipe.labelled),
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
) -> tuple[TrainingData, list[ValidationSet], Normaliser]:
    """What is trained on and judged on, and the normaliser of both."""
    train = training_data(recipe, parts.train, folders)
    normaliser = train.normaliser
    labels = one_hot(parts.validation, recipe.network.labels).argmax(axis=1)
    given = (parts.validation, labels, normaliser, folders.cache)
    validation = [alone(*given)]
    if recipe.streams is not None:
        # None that anything is trained with; made noise alone, whatever the recipe may mix in.
        rooms = load_rooms(folders.corpora / NOISE)
        around = make_surroundings([], rooms, SURROUNDINGS_SEED, CPU, JUDGED_ON)
        joined = (in_streams(*given), in_streams(*given, (recipe.augmentation, around)))
        validation += [one for one in joined if one is not None]
    return train, validation, normaliser


def training_data(
    recipe: Recipe,
    utterances: Sequence[Utterance],
    folders: Folders,
    normaliser: Normaliser | None = None,
    gate: Path | None = None,
) -> TrainingSet | StreamSet:
    """What the recipe trains on.

    Args:
        recipe: what to do.
        utterances: that carry labels.
        folders: of the corpora and the cache.
        normaliser: of the front end; None: with the prior spectrum of these recordings.
        gate: file of the voice gate that says where speech is in streams, if not the shipped one.
    """
    wanted = targets(utterances, recipe, folders.corpora)
    corpora = [one.corpus for one in utterances]
    if recipe.streams is None:
        clean = prepare(utterances, folders.cache)
        normaliser = normaliser or recipe.normaliser_with(estimate_prior(clean))
        return TrainingSet(normalise(clean, normaliser), wanted, corpora, normaliser)
    heard = ordinary_of(recipe, folders)
    bank = load_bank([*(one.path for one in utterances), *heard], folders.cache, gate)
    return StreamSet(
        bank,
        wanted,
        corpora,
        [one.speaker for one in utterances],
        np.array([name == ORDINARY for name in recipe.classes], np.float32),
        [ordinary.is_word(path) for path in heard],
        [one for name in recipe.noises for one in _noises(folders.corpora / name)],
        load_rooms(folders.corpora / NOISE),
        normaliser or recipe.normaliser_with(bank.prior),
    )


def ordinary_of(recipe: Recipe, folders: Folders) -> tuple[Path, ...]:
    """Ordinary speech that the recipe trains on."""
    if recipe.streams is None or not recipe.streams.ordinary:
        return ()
    return ordinary.ordinary_speech(folders.corpora).train


def _noises(root: Path) -> list[NDArray[np.float32]]:
    """Background recordings that may be trained on.

    Raises:
        SerLiveError: there are none.
    """
    found = load_noises(root, "train")
    if not found:
        raise SerLiveError(f"no background recordings in {root}, which the recipe mixes in")
    return found


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
    _check_readable(parts.test)  # the others are read now
    goes_on = (folders.run / CHECKPOINT).exists()
    recordings = check_recordings(
        [*parts.refit, *parts.test], folders.corpora, folders.run, goes_on
    )
    lineage = Lineage(parts.heard, heard_beside(recipe, folders.corpora))
    pretrained = None
    if recipe.pretrained:
        pretrained, started = load_run(Path(recipe.pretrained), is_start=True)
        check_start(pretrained.config, recipe.network, recipe.pretrained)
        lineage = together(lineage, lineage_of(started), recipe.transfer, Path(recipe.pretrained))
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
        pretrained, _ = load_run(Path(recipe.pretrained), refitted=True, is_start=True)
    teachers = _load_teachers(recipe, folders, place, refitted=True)
    with place.leader_first():
        train = training_data(recipe, parts.refit, folders, normaliser)
    network = refit(recipe, train, epochs, folder, place, teachers, pretrained)
    if place.leads:
        keep_weights(network, folder)


def keep_weights(network: SpectrogramNetwork, folder: Path) -> None:
    """Write the weights of a run, whole or not at all."""
    with whole_file(folder / WEIGHTS) as file:
        file.write(save(network.state_dict()))


def keep_json(values: dict[str, Any], path: Path) -> None:
    """Write what is known of a run, whole or not at all."""
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


def lineage_of(result: dict[str, Any]) -> Lineage:
    """What a finished run has learnt from.

    Raises:
        SerLiveError: its result was written before a run said so.
    """
    if "lineage" not in result:
        raise SerLiveError(
            f"the run {result['recipe']['name']} does not say whom it has heard: train it again"
        )
    return Lineage.from_dict(result["lineage"])


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
        lineage = together(lineage, lineage_of(result), recipe.transfer, folder)
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


def load_run(
    folder: Path, refitted: bool = False, is_start: bool = False
) -> tuple[SpectrogramNetwork, dict[str, Any]]:
    """Network and result of a finished run.

    Args:
        folder: of the run.
        refitted: of a run that was refit, the network that has heard the validation speakers.
        is_start: whether another training starts from it; then it need not know emotions.

    Raises:
        SerLiveError: there is none in the folder, or it has learnt no emotions.
    """
    if not (folder / RESULT).is_file():
        raise SerLiveError(f"no finished run in {folder}: python -m train fit RECIPE makes one")
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    imitates = bool(result["recipe"].get("imitates"))
    if imitates and not is_start:
        raise SerLiveError(
            f"{folder} has learnt no emotions yet: a recipe that names it as pretrained goes on"
        )
    config = network_config(result["recipe"]["network"])
    if isinstance(config, NetworkConfig):
        tells_ordinary = _ordinary_share(result["recipe"]) > 0 and not imitates
        config = replace(config, ordinary=tells_ordinary)
    network = build(config)
    weights = folder / REFIT / WEIGHTS if refitted and _is_refit(result) else folder / WEIGHTS
    network.load_state_dict(load_file(weights))
    return network.eval(), result


def _ordinary_share(recipe: dict[str, Any]) -> float:
    """Of ordinary speech in what a run was trained on."""
    return float((recipe.get("streams") or {}).get("ordinary", 0.0))


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
    votes = votes_of(network, normalise(prepare(utterances, folders.cache), normaliser))
    return verdicts(votes, result["temperature"])


def heard_beside(recipe: Recipe, corpora: Path) -> tuple[Material, ...]:
    """What a recipe itself learns from that has no label of ours."""
    is_drawn = recipe.streams is not None and recipe.augmentation.room > 0
    found = [Material(name, BACKGROUNDS.get(name, "the owner's")) for name in recipe.noises]
    if recipe.streams is not None and recipe.streams.ordinary:
        found.append(Material("ordinary speech", ordinary.LICENCE))
    if is_drawn and load_rooms(corpora / NOISE):
        found.append(Material(ROOMS, ROOMS_LICENCE))
    found += [Material(VOICES[name].title, VOICES[name].licence) for name in recipe.voices]
    if recipe.imitates:
        found.append(Material(f"Whisper's encoder, {recipe.imitates}", "MIT"))
    return tuple(found)


def metadata_of(
    network: Network, result: dict[str, Any], tested: dict[str, Any], refitted: bool
) -> ModelMetadata:
    """What the exported file says of itself."""
    recipe, config = result["recipe"], network.config
    lineage = replace(lineage_of(result), is_refit=refitted)
    model = f"{recipe['name']}-{recipe['seed']}"
    if _is_refit(result) and not refitted:
        model += "-judged"
    accuracy = [
        f"{title_of(name)} {_in_words(scores)}"
        + (
            ""
            if lineage.corpus(called(name), name not in CORPORA)
            else " (corpus never trained on)"
        )
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
        ordinary_share=_ordinary_share(recipe),
        lineage=lineage,
        training={
            "accuracy": f"on unseen speakers, in a stream with pauses of {LONG_PAUSE_S:g} s and, "
            "after a slash, each recording alone: " + ("; ".join(accuracy) or "not measured"),
            "recipe": f"{recipe['name']}, seed {recipe['seed']}",
            "parameters": str(result["parameters"]),
        },
    )


def _in_words(scores: dict[str, Any]) -> str:
    """UAR in a running stream and alone."""
    running = "-" if scores["running"] is None else f"{scores['running']['uar']:.1f}"
    return f"{running} / {scores['uar']:.1f} % UAR"


def export_run(
    folder: Path, path: Path, corpora: Path, judged: bool = False, like: Path | None = None
) -> dict[str, Any]:
    """Write the run's network as a model file, with its accuracy as the runtime measures it.

    Args:
        folder: of the finished run.
        path: model file to write.
        corpora: unpacked corpora; those that the recipe names are tested.
        judged: of a run that was refit, the network that the validation speakers judged, which
            has not heard them.
        like: model file whose decision layer and everyday prior are taken; None: the defaults.

    Returns:
        the scores on the test speakers by corpus, of each recording alone and, as ``running``, in
        a running stream, None if nobody says who speaks; also written beside the weights as
        :data:`TESTED`.
    """
    network, result = load_run(folder, refitted=not judged)
    refitted = _is_refit(result) and not judged
    if not isinstance(network, Network):
        raise SerLiveError(f"the network of {folder} cannot follow a stream: nothing to export")
    recipe = result["recipe"]
    chosen: dict[str, Any] = {}
    if like is not None:
        other = Recognizer.load(like).metadata
        if other.labels != network.config.labels:
            raise SerLiveError(f"{like} knows {', '.join(other.labels)}: no choice for this run")
        chosen = {"decision": other.decision, "everyday_prior": other.everyday_prior}
    untested = folder / "untested.onnx"
    export(network, replace(metadata_of(network, result, {}, refitted), **chosen), untested)
    results = evaluate(untested, corpora, (*recipe["corpora"], *recipe["transfer"]))
    tested = {
        corpus: {**_facts_of(alone), "running": None if running is None else _facts_of(running)}
        for corpus, (alone, running) in results.items()
    }
    described = replace(metadata_of(network, result, tested, refitted), **chosen)
    describe_model(untested, described, path)
    untested.unlink()
    keep_json(tested, (folder / REFIT if refitted else folder) / TESTED)
    return tested


def _facts_of(scores: Scores) -> dict[str, Any]:
    return {
        "uar": round(scores.uar, 2),
        "wa": round(scores.wa, 2),
        "calibration_error": round(scores.calibration_error, 4),
        "without_speech": scores.without_verdict,
        "confusion": scores.confusion.tolist(),
    }
