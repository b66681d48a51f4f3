"""Recordings with missing results, and where their timelines go."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from streamer.commands.score.finding.listing import Item, Listing
from streamer.commands.score.finding.places import below
from streamer.commands.score.hearing.work import Task
from streamer.commands.score.plan import ScorePlan
from streamer.commands.score.results.opening import Results
from streamer.commands.score.results.rows import Keys, Row
from streamer.errors import RunFailure, SerLiveError
from streamer.outputs import check_apart, check_output
from streamer.recognition.profile import Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.sound.channels import MIX


@dataclass(frozen=True)
class Job:
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
        item = self.item
        return Task(item.place, item.name, timeline, item.channels, item.size, copy=item.copy)


class Drawn:
    """The jobs of a run, drawn one by one, and which of them are under way.

    Attributes:
        seen: number of recordings looked at so far.
        count: number of those with a job.
        problems: jobs without a recording, whose row says why.
    """

    def __init__(self, plan: ScorePlan, items: Listing, results: Results) -> None:
        self._plan, self._results = plan, results
        self._jobs = self._missing(items)
        self._under_way: dict[int, Job] = {}
        self.seen = self.count = 0
        self.problems: list[Job] = []

    def first(self, most: int) -> int:
        """Look for some jobs without taking them; return how many there are, at most so many."""
        jobs = list(islice(self._jobs, most))
        self._jobs = chain(jobs, self._jobs)
        return len(jobs)

    def tasks(self) -> Iterator[Task]:
        """Yield the tasks; the first has the index 0."""
        index = 0
        for job in self._jobs:
            if job.item.problem is not None:
                self.problems.append(job)
                continue
            self._under_way[index] = job
            index += 1
            yield job.task

    def done(self, index: int) -> Job:
        """Return the job of a task, which is no longer under way."""
        return self._under_way.pop(index)

    def _missing(self, items: Listing) -> Iterator[Job]:
        """Yield the recordings without a row or without a timeline."""
        folder = self._plan.timeline
        for item in items:
            self.seen += 1
            needs_row = item.key not in self._results.recorded
            timeline = None
            if folder is not None and item.problem is None:
                timeline = timeline_path(folder, item)
                if not needs_row and os.path.lexists(timeline):
                    timeline = None
            if needs_row or timeline is not None:
                self.count += 1
                yield Job(item, needs_row, timeline)
            else:
                items.release(item)


def _partial(timeline: Path) -> Path:
    """Return where a timeline is written until its row is."""
    return timeline.with_name(f"{timeline.name}.partial")


def timeline_path(folder: Path, item: Item) -> Path:
    """Return the path of the item's timeline: its own path, below the folder."""
    channel = "" if item.channels == MIX else f".channel-{item.channels}"
    return below(folder, item.place, f"{channel}.jsonl")


def check_timelines(
    plan: ScorePlan,
    items: Iterable[Item],
    results: Results,
    recognizer: Recognizer,
    adaptation: Adaptation,
) -> None:
    """Check, before any recording is processed, that no timeline takes the place of a file.

    Raises:
        SerLiveError: a timeline already exists, two would be one file, or one would overwrite the
            results.
    """
    if plan.timeline is None:
        return
    taken = Keys()
    for item in items:
        timeline = timeline_path(plan.timeline, item)
        if not taken.add((str(timeline), "")):
            names = [one.name for one in items if timeline_path(plan.timeline, one) == timeline]
            raise SerLiveError(f"{names[1]} and {names[0]} would have one timeline {timeline}")
        _check_apart(timeline, results)
        if item.key not in results.recorded:
            is_lost = results.goes_on and _is_timeline_of(timeline, item, recognizer, adaptation)
            _check_timeline(timeline, plan.force or is_lost)


def _is_timeline_of(path: Path, item: Item, recognizer: Recognizer, adaptation: Adaptation) -> bool:
    """Return whether the recording was processed, and only its row was cut short or deleted."""
    try:
        with path.open(encoding="utf-8") as lines:
            first = json.loads(lines.readline())
        made = (first["source"], first["model"], first["prior"], first.get("adaptation"))
        metadata = recognizer.metadata
        told = adaptation.told(metadata)
        return made == (str(item.place), metadata.name, recognizer.prior, told)
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


def record(job: Job, row: Row, results: Results) -> None:
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
