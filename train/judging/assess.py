"""What ``python -m train evaluate`` and ``tune`` do with their options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from streamer.errors import RunFailure, SerLiveError
from streamer.outputs import OutputFile, check_output, say_on_stderr, show, write_line
from streamer.recognition.recognizer import Recognizer
from train.judging.evaluate import Evaluation, EvaluationPlan, evaluate_model, evaluate_ordinary
from train.judging.facts import Report, json_of
from train.judging.report import matrix_of, ordinary_of, priors_of, tables_of, trials_of
from train.judging.tune import tune
from train.measuring.choices import PARTS

#: Settings of the decision layer that are shown beside the model's own.
SHOWN_TRIALS = 5


def assess(options: argparse.Namespace) -> None:
    """Evaluate each model and show the results.

    Raises:
        RunFailure: ``--transfer``, and a model is of no use on a corpus it never heard.
        SerLiveError: a file cannot be read or written, or there is nothing to judge.
    """
    if options.transfer and (options.split or options.conditions or options.only):
        raise SerLiveError(
            "--transfer is on whole recordings: leave --split, --conditions, --only out"
        )
    plan = EvaluationPlan(
        options.corpora,
        tuple(options.corpus),
        options.split,
        tuple(options.conditions),
        ("alone",) if options.transfer else tuple(options.only) or PARTS,
        options.limit,
    )
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


def _report(model: Path, plan: EvaluationPlan, show_each: bool) -> Report:
    metadata = Recognizer.load(model).metadata
    ordinary = evaluate_ordinary(model, plan) if "ordinary" in plan.parts else None
    if ordinary is not None and show_each:
        show(ordinary_of(ordinary))
    evaluations: list[Evaluation] = []
    for one in evaluate_model(model, plan) if plan.wants_corpora else ():
        evaluations.append(one)
        if show_each:
            show(tables_of(one, metadata))
    return Report(model.name, metadata, tuple(evaluations), ordinary)


def _judge_transfer(reports: Sequence[Report]) -> None:
    if not any(report.never_heard for report in reports):
        raise SerLiveError("every corpus at hand was trained on: transfer cannot be judged")
    failed = [f"{one.file} on {', '.join(one.at_chance)}" for one in reports if one.at_chance]
    if failed:
        raise RunFailure(f"at chance, not to be shipped: {'; '.join(failed)}")


def choose(options: argparse.Namespace) -> None:
    """Try decision layers and priors, show the best, and write a model with them if asked to.

    Raises:
        SerLiveError: a file cannot be read or written, or there are no validation speakers.
    """
    if options.output is not None:
        check_output(options.output, options.force, [options.model])
    tuned = tune(options.model, options.corpora, options.corpus)
    show(trials_of([tuned.own, *tuned.ranked[:SHOWN_TRIALS]]))
    if tuned.priors:
        show(priors_of(tuned.priors))
    else:
        say_on_stderr("train: no everyday prior is chosen: it takes ordinary speech and 'neutral'")
    if options.output is not None:
        # Only this writes a model; torch takes seconds to import.
        from model.export import describe_model

        metadata = tuned.describe(Recognizer.load(options.model).metadata)
        describe_model(options.model, metadata, options.output)
