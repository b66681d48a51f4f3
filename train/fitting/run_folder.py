"""A run's folder: its weights, its result and its lineage."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from model.baselines import build
from model.config import NetworkConfig
from model.network import SpectrogramNetwork
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import Lineage
from streamer.recognition.normaliser import Normaliser
from train.fitting.recipe import Recipe, network_config
from train.whole_file import whole_file

#: Log file, one line per epoch.
LOG = "log.jsonl"
#: File that a stopped training resumes from.
CHECKPOINT = "checkpoint.pt"
WEIGHTS = "network.safetensors"
#: Subfolder of the training that includes the validation speakers.
REFIT = "refit"
#: Result file; it exists once the run is finished.
RESULT = "result.json"
TESTED = "test.json"
#: What the result of a run that has learnt emotions says, beside its recipe and its lineage.
NEEDED = ("prior_spectrum", "parameters", "epoch", "temperature")


@dataclass(frozen=True)
class Folders:
    """Folders of a training.

    Attributes:
        corpora: unpacked corpora, a folder each, including ``noise``.
        cache: prepared spectra, decoded waveforms, teachers' frames.
        run: this run's folder, see :class:`RunFolder`.
    """

    corpora: Path
    cache: Path
    run: Path


@dataclass(frozen=True)
class RunFolder:
    """A run's log, checkpoint, weights and result; a refit's weights and log lie in a subfolder.

    Attributes:
        path: path of the folder, which need not exist.
    """

    path: Path

    @property
    def is_begun(self) -> bool:
        """Whether a stopped training can resume here."""
        return (self.path / CHECKPOINT).exists()

    @property
    def is_finished(self) -> bool:
        return (self.path / RESULT).is_file()

    @property
    def refit(self) -> RunFolder:
        """Folder of the training that includes the validation speakers."""
        return RunFolder(self.path / REFIT)

    def keep_weights(self, network: SpectrogramNetwork) -> None:
        """Write the weights atomically."""
        with whole_file(self.path / WEIGHTS) as file:
            file.write(save(network.state_dict()))

    def keep_json(self, values: dict[str, Any], name: str = RESULT) -> None:
        """Write values as JSON atomically."""
        with whole_file(self.path / name) as file:
            file.write(json.dumps(values, indent=1).encode() + b"\n")

    def finished_by(self, recipe: Recipe) -> dict[str, Any] | None:
        """Return the result if the run is finished and this recipe made it, otherwise None."""
        if not self.is_finished:
            return None
        result = self.result()
        return result if recipe.made(result["recipe"]) else None

    def result(self, command: str = "fit") -> dict[str, Any]:
        """Read the finished run's result.

        Raises:
            SerLiveError: there is none, or it is damaged.
        """
        if not self.is_finished:
            raise SerLiveError(
                f"no finished run in {self.path}: python -m train {command} RECIPE makes one"
            )
        file = self.path / RESULT
        try:
            result = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise _damaged(file) from error
        if not isinstance(result, dict) or not isinstance(result.get("recipe"), dict):
            raise _damaged(file)
        return result

    def load(
        self, refitted: bool = False, is_start: bool = False
    ) -> tuple[SpectrogramNetwork, dict[str, Any]]:
        """Load the network and the result of the finished run.

        Args:
            refitted: for a refit run, load the network that has heard the validation speakers.
            is_start: whether another training starts from it; then it need not know emotions.

        Raises:
            SerLiveError: there is none, it has learnt no emotions, or a file of it is damaged.
        """
        result = self.result()
        if "network" not in result["recipe"]:
            if "uar" not in result:  # which `train teach` writes
                raise _damaged(self.path / RESULT)
            raise SerLiveError(
                f"{self.path} holds teachers' answers and no network: name it as answers"
            )
        imitates = bool(result["recipe"].get("imitates"))
        if not (imitates or all(name in result for name in NEEDED)):
            raise _damaged(self.path / RESULT)
        if imitates and not is_start:
            raise SerLiveError(
                f"{self.path} has learnt no emotions yet: a recipe that names it as pretrained "
                "goes on"
            )
        try:
            config = network_config(result["recipe"]["network"])
        except (ValueError, TypeError, AttributeError) as error:
            raise _damaged(self.path / RESULT) from error
        if isinstance(config, NetworkConfig):
            tells_ordinary = ordinary_share(result["recipe"]) > 0 and not imitates
            config = replace(config, ordinary=tells_ordinary)
        network = build(config)
        weights = (self.refit if refitted and is_refit(result) else self).path / WEIGHTS
        try:
            network.load_state_dict(load_file(weights))
        except FileNotFoundError as error:
            raise SerLiveError(f"{weights} is missing: the run is not whole") from error
        except (SafetensorError, RuntimeError) as error:
            raise _damaged(weights) from error
        return network.eval(), result


def _damaged(file: Path) -> SerLiveError:
    return SerLiveError(f"{file} is damaged, or of another version: train it again")


def lineage_of(result: dict[str, Any]) -> Lineage:
    """Return the lineage of a finished run.

    Raises:
        SerLiveError: its result predates lineages.
    """
    try:
        return Lineage.from_dict(result["lineage"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SerLiveError(
            f"the run {result['recipe']['name']} does not say whom it has heard: train it again"
        ) from error


def ordinary_share(recipe: dict[str, Any]) -> float:
    """Return the share of ordinary speech in a run's training data."""
    return float((recipe.get("streams") or {}).get("ordinary", 0.0))


def is_refit(result: dict[str, Any]) -> bool:
    """Return whether the run was trained again with the validation speakers."""
    return bool(result["recipe"].get("refit", False))  # older runs never were


def normaliser_of(result: dict[str, Any]) -> Normaliser:
    """Return the front end's normaliser of a finished run."""
    return Normaliser(np.array(result["prior_spectrum"]), **result["recipe"]["normaliser"])


def normalisation_of(result: dict[str, Any]) -> str:
    """Return how the features of a finished run were normalised; older runs do not say it."""
    return str(result["recipe"].get("normalisation", "causal"))
