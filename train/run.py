"""One run from recipe to weights: prepare, train, test, keep; and from weights to the ONNX file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from model.config import NetworkConfig
from model.export import export, state_specs
from model.network import Network
from streamer.decision import DecisionConfig
from streamer.errors import SerLiveError
from streamer.frontend import Normaliser
from streamer.metadata import ModelMetadata
from train.corpora import SOURCES, Utterance, read_corpus
from train.data import Copy, estimate_prior, normalise_copy, prepare_copy
from train.fit import LabelledFeatures, evaluate_corpora, fit
from train.recipe import Recipe
from train.scoring import Scores
from train.splits import split

WEIGHTS = "network.safetensors"
RESULT = "result.json"


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


def _scores(scores: dict[str, Scores]) -> dict[str, Any]:
    return {
        corpus: {
            "uar": round(one.uar, 2),
            "wa": round(one.wa, 2),
            "calibration_error": round(one.calibration_error, 4),
            "recordings": int(one.confusion.sum()),
            "confusion": one.confusion.tolist(),
        }
        for corpus, one in scores.items()
    }


def run(recipe: Recipe, folders: Folders) -> dict[str, Any]:
    """Train as the recipe says, test once, and keep weights and result in the run's folder.

    Returns:
        the result: recipe, epoch, temperature, scores on validation and test speakers.
    """
    names = (*recipe.corpora, *recipe.transfer)
    parts = split(
        [u for n in names for u in read_corpus(n, folders.corpora, recipe.network.labels)]
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
    test = prepare_copy(parts["test"], folders.cache, noise)
    prior = estimate_prior([clean], recipe.normaliser.speech_threshold)
    normaliser = Normaliser(prior, **asdict(recipe.normaliser))
    fitted = fit(
        recipe,
        [normalise_copy(copy, normaliser) for copy in (clean, *augmented)],
        _labels(train, recipe),
        [u.corpus for u in train],
        [_labelled(copy, validation, recipe, normaliser) for copy in validation_copies],
        folders.run,
    )
    threshold = recipe.normaliser.speech_threshold
    tested = evaluate_corpora(
        fitted.network,
        _labelled(test, parts["test"], recipe, normaliser),
        threshold,
        fitted.temperature,
    )
    result = {
        "recipe": recipe.to_dict(),
        "prior_spectrum": [float(f"{value:.6g}") for value in prior],
        "parameters": sum(p.numel() for p in fitted.network.parameters()),
        "epoch": fitted.epoch,
        "temperature": round(fitted.temperature, 4),
        "validation_uar": round(fitted.validation_uar, 2),
        "utterances": {part: len(utterances) for part, utterances in parts.items()},
        "test": _scores(tested),
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


def metadata_of(network: Network, result: dict[str, Any]) -> ModelMetadata:
    """What the exported file says of itself."""
    recipe, config = result["recipe"], network.config
    licences = [f"{SOURCES[name][0]} ({name})" for name in recipe["corpora"]]
    accuracy = [
        f"{name} {scores['uar']:.1f} % UAR"
        + (" (corpus never trained on)" if name in recipe["transfer"] else "")
        for name, scores in result["test"].items()
    ]
    return ModelMetadata(
        name=f"ser-live-{recipe['name']}",
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
            "accuracy": "on unseen speakers, whole recordings: " + "; ".join(accuracy),
            "recipe": f"train/recipes/{recipe['name']}.toml, seed {recipe['seed']}",
            "parameters": result["parameters"],
        },
    )


def export_run(folder: Path, path: Path) -> None:
    """Write the run's network as a model file of the runtime."""
    network, result = load_run(folder)
    torch.manual_seed(0)
    export(network, metadata_of(network, result), path)
