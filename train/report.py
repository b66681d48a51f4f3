"""Evaluations as tables for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from streamer.metadata import ModelMetadata
from train.evaluate import LEAST_OVER_CHANCE, Evaluation, Result
from train.streams import Following
from train.tune import Trial

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """A model and how it does.

    Attributes:
        file: name of the model file.
        metadata: what it says of itself.
        evaluations: one a corpus.
    """

    file: str
    metadata: ModelMetadata
    evaluations: tuple[Evaluation, ...]

    @property
    def never_heard(self) -> list[Evaluation]:
        """On corpora that the model was not trained on."""
        return [one for one in self.evaluations if not one.is_trained_on]

    @property
    def at_chance(self) -> list[str]:
        """Corpora never heard on which the model is of no use."""
        return [one.corpus for one in self.never_heard if one.is_at_chance]


def tables_of(one: Evaluation, metadata: ModelMetadata) -> RenderableType:
    """One corpus for people."""
    confusion = one.whole.scores.table(metadata.labels)
    parts: list[RenderableType] = [_headline(one, metadata), confusion]
    parts.append(_conditions(one, metadata))
    if one.following is not None:
        parts.append(_following(one.following))
    return Group(*parts, "")


def _headline(one: Evaluation, metadata: ModelMetadata) -> str:
    scores = one.whole.scores
    trained = "trained on other speakers" if one.is_trained_on else "never trained on"
    return (
        f"{one.corpus} ({trained}): {scores.confusion.sum()} recordings of {one.speakers} "
        f"speakers; {scores.without_verdict} without speech are errors\n"
        f"UAR {scores.uar:.1f} % ({_interval(one.whole)}, 95 % over speakers), "
        f"WA {scores.wa:.1f} %, macro F1 {scores.macro_f1:.1f} %\n"
        f"expected calibration error {one.untempered_error:.3f} at temperature 1, "
        f"{scores.calibration_error:.3f} at the model's {metadata.temperature:g}"
    )


def _conditions(one: Evaluation, metadata: ModelMetadata) -> Table:
    table = Table(
        title=f"in other conditions (estimates wait {metadata.look_ahead_ms:g} ms for look-ahead)",
        title_justify="left",
    )
    table.add_column("condition")
    for column in ("UAR %", "95 %", "WA %", "no verdict"):
        table.add_column(column, justify="right")
    for seconds, result in one.heard.items():
        name = f"{seconds:g} s after first speech ({one.lasted[seconds]:.0f} % last so long)"
        table.add_row(name, *_cells(result))
    table.add_row("whole, as it is", *_cells(one.whole))
    for db, result in one.snr.items():
        table.add_row(f"background {db:g} dB under the speech", *_cells(result))
    for db, result in one.gain.items():
        table.add_row(f"gain {db:+g} dB", *_cells(result))
    return table


def _interval(result: Result) -> str:
    """As people read it; of one speaker there is none."""
    low, high = result.interval
    return "-" if math.isnan(low) else f"{low:.1f} to {high:.1f}"


def _cells(result: Result) -> tuple[str, ...]:
    scores = result.scores
    return (
        f"{scores.uar:.1f}",
        _interval(result),
        f"{scores.wa:.1f}",
        str(scores.without_verdict),
    )


def trials_of(trials: Sequence[Trial]) -> Table:
    """Settings of the decision layer and what they do."""
    table = Table(title="decision settings on validation streams", title_justify="left")
    for column in ("", "smoothing s", "margin", "wait s", "delay s", "never %"):
        table.add_column(column, justify="right")
    for column in ("changes/min", "false/min", "cost s"):
        table.add_column(column, justify="right")
    for rank, trial in enumerate(trials):
        one = trial.following
        table.add_row(
            str(rank) if rank else "as it is",
            f"{trial.config.smoothing_s:g}",
            f"{trial.config.switch_margin:g}",
            f"{one.mean_wait_s:.2f}",
            f"{one.median_delay_s:.2f}",
            f"{one.never_detected:.0f}",
            f"{one.label_changes / one.minutes:.1f}",
            f"{one.false_changes / one.minutes:.1f}",
            f"{trial.cost_s:.3f}",
        )
    return table


def _following(one: Following) -> str:
    return (
        f"{len(one.delays_s)} changes of emotion in {one.minutes:.1f} min of joined utterances: "
        f"label follows after {one.median_delay_s:.2f} s (median, look-ahead included), "
        f"never in {one.never_detected:.0f} %\n"
        f"label changes {one.label_changes / one.minutes:.1f} times a minute, "
        f"{one.false_changes / one.minutes:.1f} of them to a wrong emotion"
    )


def matrix_of(reports: Sequence[Report]) -> RenderableType:
    """UAR of models by corpus: what each is worth where it has not been."""
    corpora = list(dict.fromkeys(one.corpus for report in reports for one in report.evaluations))
    table = Table(title="UAR %, whole recordings", title_justify="left")
    table.add_column("model")
    for corpus in corpora:
        table.add_column(corpus, justify="right")
    for report in reports:
        cells = {one.corpus: _matrix_cell(one) for one in report.evaluations}
        name = f"{report.metadata.name} ({report.file})"
        table.add_row(name, *(cells.get(corpus, "") for corpus in corpora))
    return Group(
        table,
        "* corpus never heard, everybody in it tested; else trained on, and unseen speakers tested",
        f"! at chance: less than {LEAST_OVER_CHANCE:g} times the {_chance(reports[0]):g} % of "
        "guessing; such a model is not shipped",
    )


def _chance(report: Report) -> float:
    return 100.0 / len(report.metadata.labels)


def _matrix_cell(one: Evaluation) -> str:
    mark = " " if one.is_trained_on else "!" if one.is_at_chance else "*"
    return f"{one.whole.scores.uar:.1f} {mark}"


def json_of(reports: Sequence[Report]) -> str:
    """Everything, as one JSON object; null where there is no figure."""
    models = [_model_facts(one) for one in reports]
    return json.dumps({"schema": SCHEMA, "models": models}, indent=1)


def _model_facts(report: Report) -> dict[str, Any]:
    metadata = report.metadata
    return {
        "file": report.file,
        "name": metadata.name,
        "labels": metadata.labels,
        "look_ahead_ms": metadata.look_ahead_ms,
        "temperature": metadata.temperature,
        "corpora": {one.corpus: _corpus_facts(one) for one in report.evaluations},
    }


def _corpus_facts(one: Evaluation) -> dict[str, Any]:
    return {
        "trained_on": one.is_trained_on,
        "speakers": one.speakers,
        "whole": _result_facts(one.whole),
        "calibration_error_at_temperature_1": _number(one.untempered_error),
        "seconds_heard": {
            f"{s:g}": {**_result_facts(result), "lasted": _number(one.lasted[s])}
            for s, result in one.heard.items()
        },
        "snr_db": {f"{db:g}": _result_facts(result) for db, result in one.snr.items()},
        "gain_db": {f"{db:g}": _result_facts(result) for db, result in one.gain.items()},
        "streams": None if one.following is None else following_facts(one.following),
    }


def _result_facts(result: Result) -> dict[str, Any]:
    scores = result.scores
    return {
        "uar": _number(scores.uar),
        "uar_interval": [_number(bound) for bound in result.interval],
        "wa": _number(scores.wa),
        "macro_f1": _number(scores.macro_f1),
        "recall": [_number(recall) for recall in scores.recall],
        "calibration_error": _number(scores.calibration_error),
        "without_verdict": scores.without_verdict,
        "confusion": scores.confusion.tolist(),
    }


def following_facts(one: Following) -> dict[str, Any]:
    """Following as JSON values."""
    return {
        "changes_of_emotion": len(one.delays_s),
        "median_delay_s": _number(one.median_delay_s),
        "never_detected": _number(one.never_detected),
        "minutes": _number(one.minutes),
        "label_changes_a_minute": _number(one.label_changes / one.minutes),
        "false_changes_a_minute": _number(one.false_changes / one.minutes),
    }


def _number(value: float) -> float | None:
    """Four decimals; JSON has no NaN."""
    return round(float(value), 4) if math.isfinite(value) else None
