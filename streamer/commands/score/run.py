"""Runs ``ser-live score``: analyses the recordings missing from the results, and sums them up."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from streamer.commands.choices import channels_of, check_one_voice, say
from streamer.commands.display import can_show_screen
from streamer.commands.options import Folder
from streamer.commands.score.finding.listing import Listing
from streamer.commands.score.finding.places import place_of
from streamer.commands.score.finding.remote import folder_of_copies
from streamer.commands.score.hearing.jobs import Drawn, Job, check_timelines, record
from streamer.commands.score.hearing.work import Answer, empty_row
from streamer.commands.score.hearing.workers import Workers, usable_cores
from streamer.commands.score.plan import ScorePlan
from streamer.commands.score.progress import Pool, Watched
from streamer.commands.score.results.lines import Keeping
from streamer.commands.score.results.opening import Piped, Results, open_results
from streamer.commands.score.results.rows import Row, columns_of
from streamer.commands.score.results.sums import Sums, identity_of_run
from streamer.commands.score.results.truth import agreement, read_truth
from streamer.counting import counted
from streamer.errors import SerLiveError
from streamer.modelfile.shipped import model_path
from streamer.outputs import show
from streamer.recognition.prior import BALANCED
from streamer.recognition.profile import Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupted, Interrupts

#: Exit code if some input could not be read.
_EXIT_UNREADABLE = SerLiveError.exit_code
#: How long the first recording waits for the lines about what was listed.
_PATIENCE_S = 0.5


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Score the named recordings; returns and raises as :func:`score` does."""
    wanted = channels_of(options)
    check_one_voice(options, wanted)
    is_folder = isinstance(options.output, Folder)
    output: Path | None = options.output.path if is_folder else options.output
    plan = ScorePlan(
        tuple(options.paths),
        output=output,
        is_dataset=is_folder or (output is not None and output.is_dir()),
        timeline=options.timeline,
        workers=options.workers,
        scheduler=options.scheduler,
        labels=options.labels,
        model=options.model,
        prior=options.prior or BALANCED,
        profile=options.profile,
        adapts=options.adapts,
        force=options.force,
        wanted=wanted,
        names_passed_over=options.passed_over,
        origin=options.configuration.origin,
    )
    return score(plan, interrupts)


def score(plan: ScorePlan, interrupts: Interrupts) -> int:
    """Score the recordings missing from the results, and print a summary.

    Returns:
        the exit code: 2 if a recording, folder, pattern or URL could not be read.

    Raises:
        SerLiveError: wrong usage, or nothing to score.
        RunFailure: results cannot be written, processes cannot start, or the cluster is lost.
        Interrupted: a signal came; the rows so far are complete.
    """
    recognizer = Recognizer.load(plan.model, plan.prior)
    profile = None if plan.profile is None else recognizer.load_profile(plan.profile)
    adaptation = Adaptation(profile, plan.adapts)
    plan.check_extras()
    identity = identity_of_run(recognizer, adaptation)
    with ExitStack() as stack:
        places = () if plan.scheduler else map(place_of, plan.texts)
        folder = stack.enter_context(interrupts.firmly_closed(folder_of_copies(places)))
        items = stack.enter_context(
            Listing(
                plan.texts,
                plan.wanted,
                say,
                wants_sizes=plan.scheduler is not None,
                folder=folder,
                signals=interrupts,
            )
        )
        items.check()
        known = recognizer.metadata.labels
        truth = None if plan.labels is None else read_truth(plan.labels, items, known)
        is_told = items.wait(_PATIENCE_S)
        if is_told:
            _tell(items, plan)
        for complaint in truth.complaints if truth else ():
            say(complaint)
        sums = Sums(identity, plan.output, truth.labels if truth else {}, str(plan.wanted))
        results = _open(plan, columns_of(known), items, sums, stack, interrupts)
        if sums.left:
            say(sums.left)
        check_timelines(plan, items, results, recognizer, adaptation)
        if plan.timeline is not None:
            _make_folder(plan.timeline)
        _run(plan, items, results, sums, recognizer, adaptation, interrupts, folder)
        if items.total != 0 or not plan.force:  # what matches nothing empties nothing
            results.finish()
        if not is_told:
            items.wait()
            _tell(items, plan)
    if truth is not None:
        out = sys.stderr if plan.output is None else sys.stdout
        show(agreement(truth.labels, sums.verdicts, known), out)
    return _EXIT_UNREADABLE if items.complaints or sums.errors else 0


def _tell(items: Listing, plan: ScorePlan) -> None:
    """Print what could not be listed, and how many files in folders were skipped, by suffix."""
    for complaint in items.complaints:
        say(complaint)
    kinds = items.passed_over
    if not kinds:
        return
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    count = sum(kinds.values())
    are = "is no recording" if count == 1 else "are no recordings"
    files = f"{counted(count, 'file')} that {are}"
    hint = "" if plan.names_passed_over else "; --passed-over names them"
    say(f"passed over {files} ({listed}){hint}")
    if plan.names_passed_over:
        for name in items.each_passed_over():
            say(f"passed over {name}")


def _make_folder(folder: Path) -> None:
    """Make the folder of the timelines, before any recording is processed.

    Raises:
        SerLiveError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SerLiveError(f"cannot make {folder}: {error.strerror}") from error


def _open(
    plan: ScorePlan,
    columns: Sequence[str],
    items: Listing,
    sums: Sums,
    stack: ExitStack,
    interrupts: Interrupts,
) -> Results:
    def take_recorded(row: Row) -> None:
        interrupts.check()
        sums.take_recorded(row)

    if plan.output is None:
        return Piped(sys.stdout, columns)
    named = [place for place in map(place_of, plan.texts) if isinstance(place, Path)]
    fixed = [model_path(plan.model), *named]
    fixed += [one for one in (plan.labels, plan.profile) if one is not None]
    # Without --force only results of ours are continued, and no recording is that.
    listed = (item.place for item in (items if plan.force else ()) if isinstance(item.place, Path))
    keeping = Keeping(items.among, take_recorded)
    inputs = chain(fixed, listed)
    return open_results(
        *(plan.output, columns, plan.force, inputs, keeping, stack), is_dataset=plan.is_dataset
    )


def _pool(
    plan: ScorePlan,
    count: int,
    recognizer: Recognizer,
    adaptation: Adaptation,
    interrupts: Interrupts,
    folder: Path | None,
) -> Pool:
    """Return what hears the recordings: processes here, or the workers of a cluster."""
    if plan.scheduler is None:
        return Workers(
            min(plan.workers or usable_cores(), count),
            model_path(plan.model),
            plan.prior,
            recognizer.metadata.labels,
            interrupts,
            adaptation,
            folder,
            say,
        )
    from streamer.commands.score.cluster.client import Cluster
    from streamer.commands.score.cluster.spec import spec_of

    return Cluster(plan.scheduler, spec_of(plan.model, recognizer, adaptation), interrupts, say)


def _run(
    plan: ScorePlan,
    items: Listing,
    results: Results,
    sums: Sums,
    recognizer: Recognizer,
    adaptation: Adaptation,
    interrupts: Interrupts,
    folder: Path | None,
) -> None:
    """Do the jobs, and print the outcome."""
    drawn = Drawn(plan, items, results)
    count = drawn.first(plan.workers or usable_cores())
    if not count:
        say(f"nothing to do{_before(plan, items.total or 0)}")
        return
    shares_terminal = plan.output is None and sys.stdout.isatty()
    is_shown = can_show_screen(sys.stderr) and not shares_terminal
    pool = _pool(plan, count, recognizer, adaptation, interrupts, folder)
    watched = Watched(items, drawn, pool, say, unit=plan.unit, is_shown=is_shown)
    labels = recognizer.metadata.labels

    def take(job: Job, answer: Answer) -> None:
        for notice in answer.notices:
            say(notice)
        row = answer.row | sums.identity
        record(job, row, results)
        items.release(job.item)
        sums.take(row)
        watched.heard(row["duration_s"])

    try:
        with watched, interrupts.firmly_closed(pool):
            for index, answer in pool.answers(drawn.tasks()):
                take(drawn.done(index), answer)
        for job in drawn.problems:
            take(job, Answer(empty_row(labels, job.task, job.item.problem)))
    except Interrupted:
        if plan.output is not None:
            # Before the first row nothing has been overwritten.
            without = " without --force" if plan.force and watched.recordings else ""
            done = counted(watched.recordings, plan.unit)
            if watched.total is not None:
                done = f"{watched.recordings} of {counted(watched.total, plan.unit)}"
            say(f"stopped after {done}; the same command{without} goes on from there")
        raise
    done = counted(watched.recordings, plan.unit)
    faults = f"{sums.faults}{plan.origin(sums.faults)}"
    say(f"{done}, {watched.outcome}{_before(plan, watched.recorded)}{faults}")


def _before(plan: ScorePlan, recorded: int) -> str:
    return f"; {plan.output} keeps {counted(recorded, 'earlier row')}" if recorded else ""
