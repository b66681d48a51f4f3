"""One run from recipe to weights: prepare, train, test, keep; and from weights to the ONNX file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from model.config import NetworkConfig
from model.export import describe_model, export, state_specs
from model.network import Network
from streamer.decision import DecisionConfig
from streamer.errors import SerLiveError
from streamer.frontend import Normaliser
from streamer.metadata import ModelMetadata
from train.corpora import SOURCES, Utterance, read_corpus
from train.data import Copy, estimate_prior, normalise_copy, prepare_copy
from train.evaluate import evaluate
from train.fit import LabelledFeatures, fit
from train.recipe import Recipe
from train.splits import split

WEIGHTS = "network.safetensors"
RESULT = "result.json"
TESTED = "test.json"


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


def _labels(utterances: Sequence[Utterance], recipe: Recipe) -> NDArray[np.int64]:
    return np.array([recipe.network.labels.index(one.label) for one in utterances], np.int64)


def _labelled(
    copy: Copy, utterances: Sequence[Utterance], recipe: Recipe, normaliser: Normaliser
) -> LabelledFeatures:
    features = normalise_copy(copy, normaliser)
    return LabelledFeatures(features, _labels(utterances, recipe), [u.corpus for u in utterances])


def run(recipe: Recipe, folders: Folders) -> dict[str, Any]:
    """Train as the recipe says and keep weights and result in the run's folder.

    Returns:
        the result: recipe, epoch, temperature, score on the validation speakers.
    """
    labels = recipe.network.labels
    parts = split(
        [one for name in recipe.corpora for one in read_corpus(name, folders.corpora, labels)]
    )
    noise = folders.corpora / "noise"
    train, validation = parts["train"], parts["validation"]
    clean = prepare_copy(train, folders.cache, noise)
    # Validation, too, hears other levels, rooms and floors: seeds 0 are never trained on.
    validation_copies = [
        prepare_copy(validation, folders.cache, noise),
        prepare_copy(validation, folders.cache, noise, recipe.augmentation, seed=0),
    ]
    augmented = [
        prepare_copy(train, folders.cache, noise, recipe.augmentation, seed=seed)
        for seed in range(1, recipe.copies + 1)
    ]
    prior = estimate_prior([clean])
    normaliser = Normaliser(prior, **recipe.normaliser)
    fitted = fit(
        recipe,
        [normalise_copy(copy, normaliser) for copy in (clean, *augmented)],
        _labels(train, recipe),
        [u.corpus for u in train],
        [_labelled(copy, validation, recipe, normaliser) for copy in validation_copies],
        folders.run,
    )
    result = {
        "recipe": recipe.to_dict(),
        "prior_spectrum": [float(f"{value:.6g}") for value in prior],
        "parameters": sum(p.numel() for p in fitted.network.parameters()),
        "epoch": fitted.epoch,
        "temperature": round(fitted.temperature, 4),
        "validation_uar": round(fitted.validation_uar, 2),
        "utterances": {part: len(utterances) for part, utterances in parts.items()},
    }
    save_file(fitted.network.state_dict(), folders.run / WEIGHTS)
    (folders.run / RESULT).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def load_run(folder: Path) -> tuple[Network, dict[str, Any]]:
    """Network and result of a finished run.

    Raises:
        SerLiveError: there is none in the folder.
    """
    if not (folder / RESULT).is_file():
        raise SerLiveError(f"no finished run in {folder}: python -m train fit RECIPE makes one")
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    network = Network(NetworkConfig.from_dict(result["recipe"]["network"]))
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network.eval(), result


def metadata_of(network: Network, result: dict[str, Any], tested: dict[str, Any]) -> ModelMetadata:
    """What the exported file says of itself."""
    recipe, config = result["recipe"], network.config
    licences = [f"{SOURCES[name][0]} ({name})" for name in recipe["corpora"]]
    accuracy = [
        f"{name} {scores['uar']:.1f} % UAR"
        + ("" if name in recipe["corpora"] else " (corpus never trained on)")
        for name, scores in tested.items()
    ]
    return ModelMetadata(
        name=f"{recipe['name']}-{recipe['seed']}",
        labels=config.labels,
        delay_timesteps=config.delay_timesteps,
        look_ahead_samples=config.look_ahead_samples,
        window_timesteps=config.window_timesteps,
        temperature=result["temperature"],
        normaliser=Normaliser(np.array(result["prior_spectrum"]), **recipe["normaliser"]),
        decision=DecisionConfig(),
        states=state_specs(network.initial_state()),
        training={
            "trained on": ", ".join(recipe["corpora"]),
            "licence": "; ".join(licences),
            "accuracy": "on unseen speakers, whole recordings: "
            + ("; ".join(accuracy) or "not measured"),
            "recipe": f"train/recipes/{recipe['name']}.toml, seed {recipe['seed']}",
            "parameters": str(result["parameters"]),
        },
    )


def export_run(folder: Path, path: Path, corpora: Path) -> dict[str, Any]:
    """Write the run's network as a model file, with its accuracy as the runtime measures it.

    Args:
        folder: of the finished run.
        path: model file to write.
        corpora: unpacked corpora; those that the recipe names are tested.

    Returns:
        the scores on the test speakers by corpus, also written to ``folder / TESTED``.
    """
    network, result = load_run(folder)
    recipe = result["recipe"]
    untested = folder / "untested.onnx"
    export(network, metadata_of(network, result, {}), untested)
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
    describe_model(untested, metadata_of(network, result, tested), path)
    untested.unlink()
    (folder / TESTED).write_text(json.dumps(tested, indent=1) + "\n", encoding="utf-8")
    return tested
