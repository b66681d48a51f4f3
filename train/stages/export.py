"""Export a run's weights as a model file that states its accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.export import describe_model, export, state_specs
from model.network import Network
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import Lineage
from streamer.outputs import say_on_stderr
from streamer.recognition.decision import DecisionConfig
from streamer.recognition.metadata import ModelMetadata
from streamer.recognition.recognizer import Recognizer
from train.corpora.known import CORPORA, title_of
from train.corpora.lineage import corpus_of
from train.fitting.run_folder import (
    TESTED,
    RunFolder,
    is_refit,
    lineage_of,
    normalisation_of,
    normaliser_of,
    ordinary_share,
)
from train.judging.evaluate import evaluate
from train.measuring.measures import Scores
from train.measuring.sessions import LONG_PAUSE_S


def metadata_of(
    network: Network, result: dict[str, Any], tested: dict[str, Any], refitted: bool
) -> ModelMetadata:
    """Build the metadata of the exported file."""
    recipe, config = result["recipe"], network.config
    lineage = replace(lineage_of(result), is_refit=refitted)
    model = f"{recipe['name']}-{recipe['seed']}"
    if is_refit(result) and not refitted:
        model += "-judged"
    accuracy = [
        f"{title_of(name)} {_in_words(scores)}{_held_by(lineage, name)}"
        for name, scores in tested.items()
    ]
    return ModelMetadata(
        name=model,
        labels=config.labels,
        delay_timesteps=network.latency,
        look_ahead_samples=network.look_ahead_samples,
        window_timesteps=config.window_timesteps,
        temperature=result["temperature"],
        normaliser=normaliser_of(result),
        decision=DecisionConfig(),
        states=state_specs(network.initial_state()),
        ordinary_share=ordinary_share(recipe),
        hears_level=config.level,
        lineage=lineage,
        training={
            "accuracy": f"on what was held back, in a stream with pauses of {LONG_PAUSE_S:g} s "
            "and, after a slash, each recording alone: " + ("; ".join(accuracy) or "not measured"),
            "recipe": f"{recipe['name']}, seed {recipe['seed']}",
            "parameters": str(result["parameters"]),
        },
    )


def _held_by(lineage: Lineage, name: str) -> str:
    """Describe what was held out of a tested corpus."""
    corpus = corpus_of(lineage, name)
    if corpus is None:
        return " (corpus never trained on)"
    return " (unseen speakers)" if corpus.held_by == "speakers" else " (voices may be known)"


def _in_words(scores: dict[str, Any]) -> str:
    """Format UAR in a running stream and alone."""
    running = "-" if scores["running"] is None else f"{scores['running']['uar']:.1f}"
    return f"{running} / {scores['uar']:.1f} % UAR"


def export_run(
    folder: Path, path: Path, corpora: Path, judged: bool = False, like: Path | None = None
) -> dict[str, Any]:
    """Write the run's network as a model file, with its accuracy as the runtime measures it.

    Args:
        folder: folder of the finished run.
        path: model file to write.
        corpora: folder of the unpacked corpora; those that the recipe names are tested, and of
            the known ones in its ``transfer`` those that are there.
        judged: for a refit run, export the network from before the refit, which has not heard
            the validation speakers.
        like: model file to copy the decision layer and everyday prior from; None uses defaults.

    Returns:
        scores on the test speakers by corpus, for each recording alone and, as ``running``, in a
        running stream (None if speakers are unknown); also written beside the weights as
        :data:`TESTED`.

    Raises:
        SerLiveError: the run is not finished, or cannot follow a stream.
        RunFailure: a file cannot be written.
    """
    network, result = RunFolder(folder).load(refitted=not judged)
    refitted = is_refit(result) and not judged
    if not isinstance(network, Network):
        raise SerLiveError(f"the network of {folder} cannot follow a stream: nothing to export")
    recipe = result["recipe"]
    if normalisation_of(result) != "causal":
        raise SerLiveError(
            f"the run {folder} is normalised by whole utterances: it cannot follow a stream"
        )
    chosen: dict[str, Any] = {}
    if like is not None:
        other = Recognizer.load(like).metadata
        if other.labels != network.config.labels:
            raise SerLiveError(f"{like} knows {', '.join(other.labels)}: no choice for this run")
        _check_chosen_by_others(other.lineage, lineage_of(result), like)
        chosen = {"decision": other.decision, "everyday_prior": other.everyday_prior}
    untested = folder / "untested.onnx"
    try:
        export(network, replace(metadata_of(network, result, {}, refitted), **chosen), untested)
        results = evaluate(untested, corpora, (*recipe["corpora"], *_present(recipe, corpora)))
        labels = network.config.labels
        tested = {
            corpus: {
                **_facts_of(alone, labels),
                "running": None if running is None else _facts_of(running, labels),
            }
            for corpus, (alone, running) in results.items()
        }
        described = replace(metadata_of(network, result, tested, refitted), **chosen)
        describe_model(untested, described, path)
    finally:
        untested.unlink(missing_ok=True)
    kept = RunFolder(folder)
    (kept.refit if refitted else kept).keep_json(tested, TESTED)
    return tested


def _present(recipe: dict[str, Any], corpora: Path) -> list[str]:
    """Return the corpora that are tested only, as far as they are there; name the others."""
    found = []
    for name in recipe["transfer"]:
        if name in CORPORA and not (corpora / name).is_dir():
            say_on_stderr(f"train: {name} is left out: no {corpora / name}")
        else:
            found.append(name)
    return found


def _check_chosen_by_others(chosen: Lineage, own: Lineage, like: Path) -> None:
    """Check that nothing was chosen on a run's test speakers.

    Raises:
        SerLiveError: something may have been.
    """
    for mine in own.corpora:
        other = chosen.corpus(mine.name, mine.is_own)
        if other is not None and not {*other.validation}.isdisjoint(mine.test):
            raise SerLiveError(f"{like} was tuned on people of {mine.name} whom this run tests on")


def _facts_of(scores: Scores, labels: Sequence[str]) -> dict[str, Any]:
    """Return scores for JSON; the confusion has a row per true label."""
    return {
        "uar": round(scores.uar, 2),
        "wa": round(scores.wa, 2),
        "calibration_error": round(scores.calibration_error, 4),
        "without_speech": scores.without_verdict,
        "rows": [*labels],
        "columns": [*labels, "no verdict"],
        "confusion": scores.confusion.tolist(),
    }
