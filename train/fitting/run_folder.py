"""A run's folder: its weights, its result, and what that says of whom it has heard."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save

from model.baselines import build
from model.config import NetworkConfig
from model.network import SpectrogramNetwork
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import Lineage
from train.fitting.recipe import network_config
from train.whole_file import whole_file

#: A line for each epoch.
LOG = "log.jsonl"
#: What a stopped training goes on from.
CHECKPOINT = "checkpoint.pt"
WEIGHTS = "network.safetensors"
#: Folder, within a run's, of the training that also heard the validation speakers.
REFIT = "refit"
#: Where it is, the run is finished.
RESULT = "result.json"
TESTED = "test.json"


@dataclass(frozen=True)
class Folders:
    """Where things lie.

    Attributes:
        corpora: unpacked corpora, a folder each, ``noise`` among them.
        cache: prepared spectra, decoded waveforms, frames of teachers.
        run: of this run, see :class:`RunFolder`.
    """

    corpora: Path
    cache: Path
    run: Path


@dataclass(frozen=True)
class RunFolder:
    """What a run keeps: log, checkpoint, weights, result; of a refit weights and log below it.

    Attributes:
        path: of the folder, which need not exist.
    """

    path: Path

    @property
    def is_begun(self) -> bool:
        """Whether a training was stopped here that can go on."""
        return (self.path / CHECKPOINT).exists()

    @property
    def is_finished(self) -> bool:
        return (self.path / RESULT).is_file()

    @property
    def refit(self) -> RunFolder:
        """Of the training that also heard the validation speakers."""
        return RunFolder(self.path / REFIT)

    def keep_weights(self, network: SpectrogramNetwork) -> None:
        """Write the weights, whole or not at all."""
        with whole_file(self.path / WEIGHTS) as file:
            file.write(save(network.state_dict()))

    def keep_json(self, values: dict[str, Any], name: str = RESULT) -> None:
        """Write what is known of the run, whole or not at all."""
        with whole_file(self.path / name) as file:
            file.write(json.dumps(values, indent=1).encode() + b"\n")

    def result(self, command: str = "fit") -> dict[str, Any]:
        """What the finished run says of itself.

        Raises:
            SerLiveError: there is none.
        """
        if not self.is_finished:
            raise SerLiveError(
                f"no finished run in {self.path}: python -m train {command} RECIPE makes one"
            )
        result: dict[str, Any] = json.loads((self.path / RESULT).read_text(encoding="utf-8"))
        return result

    def load(
        self, refitted: bool = False, is_start: bool = False
    ) -> tuple[SpectrogramNetwork, dict[str, Any]]:
        """Network and result of the finished run.

        Args:
            refitted: of a run that was refit, the network that has heard the validation speakers.
            is_start: whether another training starts from it; then it need not know emotions.

        Raises:
            SerLiveError: there is none, or it has learnt no emotions.
        """
        result = self.result()
        if "network" not in result["recipe"]:
            raise SerLiveError(
                f"{self.path} holds teachers' answers and no network: name it as answers"
            )
        imitates = bool(result["recipe"].get("imitates"))
        if imitates and not is_start:
            raise SerLiveError(
                f"{self.path} has learnt no emotions yet: a recipe that names it as pretrained "
                "goes on"
            )
        config = network_config(result["recipe"]["network"])
        if isinstance(config, NetworkConfig):
            tells_ordinary = ordinary_share(result["recipe"]) > 0 and not imitates
            config = replace(config, ordinary=tells_ordinary)
        network = build(config)
        weights = self.refit if refitted and is_refit(result) else self
        network.load_state_dict(load_file(weights.path / WEIGHTS))
        return network.eval(), result


def lineage_of(result: dict[str, Any]) -> Lineage:
    """What a finished run has learnt from.

    Raises:
        SerLiveError: its result was written before a run said so.
    """
    try:
        return Lineage.from_dict(result["lineage"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SerLiveError(
            f"the run {result['recipe']['name']} does not say whom it has heard: train it again"
        ) from error


def ordinary_share(recipe: dict[str, Any]) -> float:
    """Share of ordinary speech in what a run was trained on."""
    return float((recipe.get("streams") or {}).get("ordinary", 0.0))


def is_refit(result: dict[str, Any]) -> bool:
    """Whether the run was trained once more on the validation speakers, too."""
    return bool(result["recipe"].get("refit", False))  # older runs never were


def normalisation_of(result: dict[str, Any]) -> str:
    """How the features of a finished run were normalised; older runs knew one way."""
    return str(result["recipe"].get("normalisation", "causal"))
