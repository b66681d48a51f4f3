"""Evaluations as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streamer.recognition.metadata import ModelMetadata
from train.judging.evaluate import Evaluation
from train.measuring.conditions import Condition
from train.measuring.false_alarms import Acted, Alarms, Ordinary
from train.measuring.held import Held
from train.measuring.knowing import Known
from train.measuring.measures import Result
from train.measuring.sessions import Figures, Running
from train.measuring.streams import Following

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """A model and its evaluations.

    Attributes:
        file: name of the model file.
        metadata: metadata of the model.
        evaluations: one per corpus.
        ordinary: results on ordinary speech; None if not measured.
    """

    file: str
    metadata: ModelMetadata
    evaluations: tuple[Evaluation, ...]
    ordinary: Ordinary | None = None

    @property
    def never_heard(self) -> list[Evaluation]:
        """Evaluations on corpora that the model was not trained on."""
        return [one for one in self.evaluations if not one.is_trained_on]

    @property
    def at_chance(self) -> list[str]:
        """Corpora not trained on, on which the model is of no use."""
        return [one.corpus for one in self.never_heard if one.is_at_chance]


def json_of(reports: Sequence[Report]) -> str:
    """Format all reports as one JSON object; missing figures are null."""
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
        "everyday_prior": metadata.everyday_prior,
        "ordinary_speech": None if report.ordinary is None else _ordinary_facts(report.ordinary),
        "corpora": {one.corpus: _corpus_facts(one) for one in report.evaluations},
    }


def _corpus_facts(one: Evaluation) -> dict[str, Any]:
    return {
        "trained_on": one.is_trained_on,
        "held_back": one.held_by,
        "speakers": one.speakers,
        "running": None if one.running is None else _running_facts(one.running),
        "held": {emotion: _held_facts(held) for emotion, held in one.held.items()},
        "acted_with_everyday_prior": None if one.acted is None else _acted_facts(one.acted),
        "whole": _result_facts(one.whole),
        "whole_by_plain_mean": _result_facts(one.alone.plain),
        "calibration_error_at_temperature_1": _number(one.untempered_error),
        "seconds_heard": {
            f"{s:g}": {**_result_facts(result), "lasted": _number(one.lasted[s])}
            for s, result in one.heard.items()
        },
        "snr_db": {
            f"{condition.snr_db:g}": _conditioned_facts(one, condition)
            for condition in one.conditions
            if condition.snr_db is not None
        },
        "gain_db": {
            f"{condition.gain_db:g}": _conditioned_facts(one, condition)
            for condition in one.conditions
            if condition.gain_db
        },
        "effects": {
            condition.effect: _conditioned_facts(one, condition)
            for condition in one.conditions
            if condition.effect
        },
        "streams": None if one.following is None else _following_facts(one.following),
        "known_voices": None if one.known is None else _known_facts(one.known),
    }


def _conditioned_facts(one: Evaluation, condition: Condition) -> dict[str, Any]:
    """Return results alone and, as ``running``, in running streams, with the points lost."""
    found = one.conditions[condition]
    facts = _result_facts(found.alone) | {"lost": _number(one.lost(condition))}
    if found.running is not None:
        lost = one.lost_running(condition)
        facts["running"] = _result_facts(found.running) | {"lost": _number(lost)}
    return facts


def _running_facts(running: Running) -> dict[str, Any]:
    return {
        "sessions": running.sessions,
        "minutes": _number(running.minutes),
        "pause_s": {f"{s:g}": _figures_facts(one) for s, one in running.by_pause.items()},
        "place": {name: _result_facts(one) for name, one in running.by_place.items()},
        "lead_s_of_first": {f"{s:g}": _result_facts(one) for s, one in running.by_lead.items()},
    }


def _figures_facts(figures: Figures) -> dict[str, Any]:
    return {**_result_facts(figures.voted), "by_plain_mean": _result_facts(figures.plain)}


def _held_facts(held: Held) -> dict[str, Any]:
    return {
        "labelled_first_3_s": _number(held.labelled_early),
        "labelled_from_6_s": _number(held.labelled_late),
        "labelled_ratio": _number(held.labelled_ratio),
        "likeliest_first_3_s": _number(held.likeliest_early),
        "likeliest_from_6_s": _number(held.likeliest_late),
        "likeliest_ratio": _number(held.likeliest_ratio),
    }


def _ordinary_facts(ordinary: Ordinary) -> dict[str, Any]:
    everyday = ordinary.everyday
    return {
        "balanced": _alarms_facts(ordinary.balanced),
        "everyday": None if everyday is None else _alarms_facts(everyday),
    }


def _alarms_facts(alarms: Alarms) -> dict[str, Any]:
    """Return false alarms as JSON values."""
    return {
        "recordings": alarms.recordings,
        "speech_minutes": _number(alarms.speech_minutes),
        "called_an_emotion": _number(alarms.called),
        "shares": {label: _number(share) for label, share in alarms.shares.items()},
        "alarms_a_minute": _number(alarms.alarms_a_minute),
        "verdicts_called_an_emotion": _number(alarms.verdicts_called),
    }


def _acted_facts(acted: Acted) -> dict[str, Any]:
    """Return results on acted emotions as JSON values."""
    return {
        "shown": {label: _number(share) for label, share in acted.shown.items()},
        "mean_shown": _number(acted.mean_shown),
        "mean_recall": _number(acted.mean_recall),
        **_figures_facts(acted.figures),
    }


def _known_facts(known: Known) -> dict[str, Any]:
    """Return the gain from knowing a voice as JSON values."""
    return {
        "sentences": {f"{n}": _result_facts(one) for n, one in known.by_sentences.items()},
        "elsewhere_db": {f"{db:g}": _result_facts(one) for db, one in known.elsewhere.items()},
        "fewest_of_ten": known.fewest,
        "speech_s_before": {
            f"{s:g}": {"adapting": _result_facts(adapted), "fixed": _result_facts(fixed)}
            for s, (adapted, fixed) in known.by_speech.items()
        },
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


def _following_facts(one: Following) -> dict[str, Any]:
    """Return following as JSON values."""
    return {
        "changes_of_emotion": len(one.delays_s),
        "median_delay_s": _number(one.median_delay_s),
        "never_detected": _number(one.never_detected),
        "minutes": _number(one.minutes),
        "label_changes_a_minute": _number(one.label_changes / one.minutes),
        "false_changes_a_minute": _number(one.false_changes / one.minutes),
    }


def _number(value: float) -> float | None:
    """Round to four decimals; NaN becomes None, since JSON has none."""
    return round(float(value), 4) if math.isfinite(value) else None
