"""Runs ``ser-live score``: analyses the recordings missing from the results, and sums them up."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from streamer.commands.choices import channels_of, check_one_voice
from streamer.commands.display import can_show_screen
from streamer.commands.score.find import Item, find, timeline_path, with_channels
from streamer.commands.score.progress import Watched
from streamer.commands.score.results import Piped, Results, check_suffix, open_results, tell_left
from streamer.commands.score.rows import Key, Row, columns_of
from streamer.commands.score.truth import agreement, read_truth
from streamer.commands.score.work import Task
from streamer.commands.score.workers import WORKERS, Workers, usable_cores
from streamer.errors import RunFailure, SerLiveError, told
from streamer.modelfile.shipped import model_path
from streamer.outputs import check_apart, check_output, say_on_stderr, show
from streamer.recognition.prior import BALANCED, Prior
from streamer.recognition.profile import Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupted, Interrupts
from streamer.sound.channels import MIX, Channels

#: Exit code if some input could not be read.
_EXIT_UNREADABLE = SerLiveError.exit_code
_DIGEST_DIGITS = 12


@dataclass(frozen=True)
class ScorePlan:
    """Recordings to score, and where the results go.

    Attributes:
        paths: recordings, and folders with recordings.
        output: CSV, JSON lines or Parquet by its suffix; None is CSV on stdout.
        timeline: folder for a timeline per recording; None for none.
        workers: number of processes; None for one per core.
        labels: table of the true labels; None if unknown.
        model: model, as in ``--model``.
        prior: the assumed frequency of each label.
        profile: profile of the voice in all recordings; None if unknown.
        adapts: whether a stream learns its voice further as it hears it.
        force: whether to overwrite results and timelines.
        wanted: channels to use.
        names_passed_over: whether to name the skipped files instead of counting them.
    """

    paths: tuple[Path, ...]
    output: Path | None = None
    timeline: Path | None = None
    workers: int | None = None
    labels: Path | None = None
    model: Path | None = None
    prior: Prior = BALANCED
    profile: Path | None = None
    adapts: bool = True
    force: bool = False
    wanted: Channels = MIX
    names_passed_over: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers not in WORKERS:
            raise SerLiveError(f"--workers must lie in {WORKERS[0]}..{WORKERS[-1]}")
        if self.output is not None:
            check_suffix(self.output)
        if self.output is not None and self.timeline is not None:
            check_apart(self.output, self.timeline)
        if self.labels is not None and self.wanted.is_split:
            raise SerLiveError("--labels are of recordings, not of channels: no --channels split")
        if sys.stdout is None and (self.output is None or self.labels is not None):
            raise SerLiveError("standard output is closed")


@dataclass(frozen=True)
class _Job:
    """A recording with missing results.

    Attributes:
        item: the recording.
        needs_row: whether it has no row yet.
        timeline: path for its timeline; None if it exists, or is not wanted.
    """

    item: Item
    needs_row: bool
    timeline: Path | None

    @property
    def task(self) -> Task:
        timeline = self.timeline and _partial(self.timeline)
        return Task(self.item.path, self.item.name, timeline, self.item.channels)


def _partial(timeline: Path) -> Path:
    """Return where a timeline is written until its row is."""
    return timeline.with_name(f"{timeline.name}.partial")


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Score the named recordings; returns and raises as :func:`score` does."""
    wanted = channels_of(options)
    check_one_voice(options, wanted)
    plan = ScorePlan(
        tuple(options.paths),
        output=options.output,
        timeline=options.timeline,
        workers=options.workers,
        labels=options.labels,
        model=options.model,
        prior=options.prior or BALANCED,
        profile=options.profile,
        adapts=options.adapts,
        force=options.force,
        wanted=wanted,
        names_passed_over=options.passed_over,
    )
    return score(plan, interrupts)


def score(plan: ScorePlan, interrupts: Interrupts) -> int:
    """Score the recordings missing from the results, and print a summary.

    Returns:
        the exit code: 2 if a recording or folder could not be read.

    Raises:
        SerLiveError: wrong usage, or nothing to score.
        RunFailure: results cannot be written, or processes cannot start.
        Interrupted: a signal came; the rows so far are complete.
    """
    with interrupts.shielded():
        recognizer = Recognizer.load(plan.model, plan.prior)
    profile = None if plan.profile is None else recognizer.load_profile(plan.profile)
    adaptation = Adaptation(profile, plan.adapts)
    labels = recognizer.metadata.labels
    found = find(plan.paths)
    items = with_channels(found.items, plan.wanted)
    truth = None if plan.labels is None else read_truth(plan.labels, found.items, labels)
    for complaint in (*found.complaints, *(truth.complaints if truth else ())):
        say_on_stderr(told(complaint))
    _tell_passed_over(found.passed_over, plan.names_passed_over)
    identity = _identity(recognizer, adaptation)
    with ExitStack() as stack:
        results = _open(plan, columns_of(labels), items, stack)
        _check_identity(results, identity, plan.output)
        rows = {item.key: results.recorded.get(item.key) for item in items}
        tell_left(results, rows, plan.output)
        jobs = _missing(plan, items, results, recognizer, adaptation)
        if plan.timeline is not None:
            _make_folder(plan.timeline)
        _run(plan, jobs, results, rows, identity, labels, adaptation, interrupts)
        with interrupts.shielded():
            results.finish()
    complete = {key: row for key, row in rows.items() if row is not None}
    if truth is not None:
        out = sys.stderr if plan.output is None else sys.stdout
        show(
            agreement(truth.labels, {name: row for (name, _), row in complete.items()}, labels), out
        )
    faulty = bool(found.complaints) or any(row["error"] for row in complete.values())
    return _EXIT_UNREADABLE if faulty else 0


def _tell_passed_over(paths: Sequence[Path], names_them: bool) -> None:
    """Print how many files in folders were skipped, by suffix, or name each."""
    if not paths:
        return
    kinds = Counter(
        "hidden" if path.name.startswith(".") else path.suffix.lower() or "no ending"
        for path in paths
    )
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    files = "1 file that is no recording"
    if len(paths) > 1:
        files = f"{len(paths)} files that are no recordings"
    hint = "" if names_them else "; --passed-over names them"
    say_on_stderr(told(f"passed over {files} ({listed}){hint}"))
    if names_them:
        for path in paths:
            say_on_stderr(told(f"passed over {path}"))


def _make_folder(folder: Path) -> None:
    """Make the folder of the timelines, before any recording is processed.

    Raises:
        SerLiveError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SerLiveError(f"cannot make {folder}: {error.strerror}") from error


def _identity(recognizer: Recognizer, adaptation: Adaptation) -> Row:
    """Return the model, prior, adaptation and program of rows; others cannot be compared."""
    try:
        installed = version("ser-live")
    except PackageNotFoundError:  # a bare checkout
        installed = "unknown"
    return {
        "model": f"{recognizer.metadata.name} {recognizer.digest[:_DIGEST_DIGITS]}",
        "prior": recognizer.prior,
        "adaptation": adaptation.told(recognizer.metadata),
        "version": installed,
    }


def _open(
    plan: ScorePlan, columns: Sequence[str], items: Sequence[Item], stack: ExitStack
) -> Results:
    if plan.output is None:
        return Piped(sys.stdout, columns)
    inputs = [model_path(plan.model), *(item.path for item in items)]
    inputs += [one for one in (plan.labels, plan.profile) if one is not None]
    keys = {item.key for item in items}
    return open_results(plan.output, columns, plan.force, inputs, keys, stack)


def _check_identity(results: Results, identity: Row, output: Path | None) -> None:
    """Check that the file does not hold rows of another model.

    Raises:
        SerLiveError: the file holds rows of another model, prior, adaptation or version.
    """
    for row in results.recorded.values():
        if any(row[column] != value for column, value in identity.items()):
            raise SerLiveError(
                f"{output} holds results of {row['model']} ({row['prior']} prior, adaptation "
                f"{row['adaptation'] or 'none'}, ser-live {row['version']}), this is "
                f"{identity['model']} ({identity['prior']}, {identity['adaptation'] or 'none'}, "
                f"{identity['version']}); name another file, or begin anew with --force"
            )


def _missing(
    plan: ScorePlan,
    items: Sequence[Item],
    results: Results,
    recognizer: Recognizer,
    adaptation: Adaptation,
) -> list[_Job]:
    """Return recordings without a row or without a timeline.

    Raises:
        SerLiveError: a timeline already exists, or would overwrite the results.
    """
    jobs = []
    owners: dict[Path, str] = {}
    for item in items:
        row = results.recorded.get(item.key)
        timeline = None
        if plan.timeline is not None:
            timeline = timeline_path(plan.timeline, item)
            if timeline in owners:
                raise SerLiveError(
                    f"{item.name} and {owners[timeline]} would have one timeline {timeline}"
                )
            owners[timeline] = item.name
            _check_apart(timeline, results)
            if row is None:
                is_lost = results.goes_on and _is_timeline_of(
                    timeline, item, recognizer, adaptation
                )
                _check_timeline(timeline, plan.force or is_lost)
            elif os.path.lexists(timeline):
                timeline = None
        if row is None or timeline is not None:
            jobs.append(_Job(item, row is None, timeline))
    return jobs


def _is_timeline_of(path: Path, item: Item, recognizer: Recognizer, adaptation: Adaptation) -> bool:
    """Return whether the recording was processed, and only its row was cut short or deleted."""
    try:
        with path.open(encoding="utf-8") as lines:
            first = json.loads(lines.readline())
        made = (first["source"], first["model"], first["prior"], first.get("adaptation"))
        metadata = recognizer.metadata
        told = adaptation.told(metadata)
        return made == (str(item.path), metadata.name, recognizer.prior, told)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _check_apart(timeline: Path, results: Results) -> None:
    """Check that a timeline does not overwrite the results.

    Raises:
        SerLiveError: as in :func:`check_apart`, which is slow for a hundred thousand recordings.
    """
    for file in results.files:
        if timeline.name.casefold() == file.name.casefold():  # some file systems ignore case
            check_apart(timeline, file)


def _check_timeline(timeline: Path, force: bool) -> None:
    """Check that a timeline does not exist; its folder need not exist either."""
    if os.path.lexists(timeline):
        check_output(timeline, force)


def _run(
    plan: ScorePlan,
    jobs: Sequence[_Job],
    results: Results,
    rows: dict[Key, Row | None],
    identity: Row,
    labels: tuple[str, ...],
    adaptation: Adaptation,
    interrupts: Interrupts,
) -> None:
    """Do the jobs, and print the outcome."""
    recorded = len(rows) - sum(job.needs_row for job in jobs)
    before = f"; {recorded} were in {plan.output} before" if recorded else ""
    if not jobs:
        say_on_stderr(told(f"nothing to do{before}"))
        return
    shares_terminal = plan.output is None and sys.stdout.isatty()
    processes = min(plan.workers or usable_cores(), len(jobs))
    watched = Watched(len(jobs), is_shown=can_show_screen(sys.stderr) and not shares_terminal)
    try:
        with (
            watched,
            Workers(
                processes, model_path(plan.model), plan.prior, labels, interrupts, adaptation
            ) as workers,
        ):
            for index, answer in workers.answers([job.task for job in jobs]):
                job = jobs[index]
                for notice in answer.notices:
                    say_on_stderr(told(notice))
                row = answer.row | identity
                with interrupts.shielded():  # written and counted, or neither
                    _record(job, row, results)
                    rows[job.item.key] = row
                    watched.heard(row["duration_s"])
    except Interrupted:
        if plan.output is not None:
            # Before the first row nothing has been overwritten.
            without = " without --force" if plan.force and watched.recordings else ""
            say_on_stderr(
                told(
                    f"stopped after {watched.recordings} of {len(jobs)} recordings; the same "
                    f"command{without} goes on from there"
                )
            )
        raise
    errors = [row for row in rows.values() if row and row["error"]]
    faults = ""
    if errors:
        reason = str(errors[0]["error"]).split(";")[0]
        first = "" if len(errors) == 1 else "first "
        faults = (
            f"; {len(errors)} with an error, which the column error tells: "
            f"{first}{errors[0]['file']}: {reason}"
        )
    count = f"{watched.recordings} recording{'s' * (watched.recordings != 1)}"
    say_on_stderr(told(f"{count}, {watched.pace}{before}{faults}"))


def _record(job: _Job, row: Row, results: Results) -> None:
    """Write the row, then move the timeline into place.

    Raises:
        RunFailure: it cannot be written.
    """
    if job.needs_row:
        results.add(row)
    if job.timeline is None:
        return
    try:
        partial = _partial(job.timeline)
        if partial.exists():  # not if the recording could not be opened
            partial.replace(job.timeline)
    except OSError as error:
        raise RunFailure(f"cannot write {job.timeline}: {error.strerror}") from error
