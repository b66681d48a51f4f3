"""``python -m train evaluate|tune``: what is done with their options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from streamer.errors import RunFailure, SerLiveError
from streamer.outputs import OutputFile, check_output, show, write_line
from streamer.recognizer import Recognizer
from train.evaluate import Evaluation, Plan, evaluate_model
from train.report import Report, json_of, matrix_of, tables_of, trials_of
from train.tune import tune

#: Settings of the decision layer that are shown beside the model's own.
SHOWN_TRIALS = 5


def run_evaluate(options: argparse.Namespace) -> None:
    """Evaluate each model and show how it does.

    Raises:
        RunFailure: ``--transfer``, and a model is of no use on a corpus it never heard.
        SerLiveError: a file cannot be read or written, or there is nothing to judge.
    """
    if options.transfer and (options.split or options.conditions):
        raise SerLiveError("--transfer is on whole recordings: leave --split, --conditions out")
    plan = Plan(options.corpora, tuple(options.corpus), options.split, tuple(options.conditions))
    with ExitStack() as stack:
        out = None
        if options.json is not None:
            out = stack.enter_context(OutputFile(options.json, options.force, options.models))
        reports = [_report(model, plan, show_each=not options.transfer) for model in options.models]
        if out is not None:
            write_line(out, json_of(reports))
    if options.transfer:
        show(matrix_of(reports))
        _judge_transfer(reports)


def _report(model: Path, plan: Plan, show_each: bool) -> Report:
    metadata = Recognizer.load(model).metadata
    evaluations: list[Evaluation] = []
    for one in evaluate_model(model, plan):
        evaluations.append(one)
        if show_each:
            show(tables_of(one, metadata))
    return Report(model.name, metadata, tuple(evaluations))


def _judge_transfer(reports: Sequence[Report]) -> None:
    if not any(report.never_heard for report in reports):
        raise SerLiveError("every corpus at hand was trained on: transfer cannot be judged")
    failed = [f"{one.file} on {', '.join(one.at_chance)}" for one in reports if one.at_chance]
    if failed:
        raise RunFailure(f"at chance, not to be shipped: {'; '.join(failed)}")


def run_tune(options: argparse.Namespace) -> None:
    """Try settings of the decision layer, show the best, and write a model with it if asked to.

    Raises:
        SerLiveError: a file cannot be read or written, or there is nobody to validate on.
    """
    if options.output is not None:
        check_output(options.output, options.force, [options.model])
    own, *ranked = tune(options.model, options.corpora)
    show(trials_of([own, *ranked[:SHOWN_TRIALS]]))
    if options.output is not None:
        # Only this writes a model; torch takes seconds to import.
        from model.export import describe_model

        metadata = Recognizer.load(options.model).metadata
        describe_model(options.model, replace(metadata, decision=ranked[0].config), options.output)
