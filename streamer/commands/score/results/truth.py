"""The true labels of recordings, and how often the verdicts agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Group, RenderableType

from streamer.commands.score.finding.listing import Item
from streamer.commands.score.finding.places import Url, base_name, identity_of, place_of
from streamer.counting import counted, counted_are
from streamer.errors import SerLiveError, printable
from streamer.formats.label_table import LabelledFile, labelled_files
from streamer.measures import Accuracy, confusion_matrix

#: Number of names in a complaint.
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Truth:
    """The true labels, for recordings that have one.

    Attributes:
        labels: labels by name of the recording.
        complaints: mismatches, in either direction.
    """

    labels: dict[str, str]
    complaints: tuple[str, ...]


def read_truth(table: Path, items: Iterable[Item], known: Sequence[str]) -> Truth:
    """Read labels from a table with ``file`` and ``label``.

    A file is looked up as a path relative to the table, as a path relative to the working folder,
    and by its bare name if no other recording and no other row has that name.

    Args:
        table: path of the table.
        items: the recordings.
        known: the model's labels.

    Raises:
        SerLiveError: it cannot be read, names a recording twice or none at all, or no recording
            has a label that the model knows.
    """
    rows = list(labelled_files(table))
    lookup = _Lookup(items, rows)
    labels: dict[str, str] = {}
    lines: dict[str, int] = {}
    unmatched: list[str] = []
    for row in rows:
        name = lookup.name_of(row, table)
        if name is None:
            unmatched.append(row.file)
        elif name in labels:
            raise SerLiveError(
                f"{table} line {row.line}: {row.file} is in line {lines[name]} already"
            )
        else:
            labels[name], lines[name] = row.label, row.line
    if not labels:
        raise SerLiveError(f"{table}: names none of the recordings")
    foreign = Counter(label for label in labels.values() if label not in known)
    if foreign.total() == len(labels):
        raise SerLiveError(
            f"{table}: its labels are {_some(list(foreign))}, the model's are {', '.join(known)}; "
            "name the emotions as the model does"
        )
    unlabelled = [item.name for item in items if item.name not in labels]
    complaints = [
        f"{counted_are(len(names), what)} {where} ({_some(names)})"
        for names, what, where in (
            (unmatched, "file", f"in {table}, but not among the recordings"),
            (unlabelled, "recording", f"not in {table}"),
        )
        if names
    ]
    if foreign:
        are = counted_are(foreign.total(), "recording")
        complaints.append(
            f"{are} left out of the comparison: {table} gives labels that the model does not know "
            f"({_some(_each_counted(foreign))}); it knows {', '.join(known)}"
        )
    return Truth(labels, tuple(complaints))


class _Lookup:
    """Recordings by absolute path, and by bare names that are unique on both sides."""

    def __init__(self, items: Iterable[Item], rows: Sequence[LabelledFile]) -> None:
        self._by_place = {identity_of(item.place): item.name for item in items}
        recordings = Counter(base_name(item.place) for item in items)
        files = Counter(base_name(place_of(row.file)) for row in rows)
        self._by_name = {
            base_name(item.place): item.name
            for item in items
            if recordings[base_name(item.place)] == files[base_name(item.place)] == 1
        }

    def name_of(self, row: LabelledFile, table: Path) -> str | None:
        here = place_of(row.file)
        for place in (here,) if isinstance(here, Url) else (table.parent / here, here):
            if name := self._by_place.get(identity_of(place)):
                return name
        return self._by_name.get(base_name(here))


def _each_counted(labels: Counter[str]) -> list[str]:
    """Return each label, with its number if there are several of it."""
    return [one if count == 1 else f"{count} {one}" for one, count in labels.items()]


def _some(names: Sequence[str]) -> str:
    shown = [printable(name) for name in names[:_SHOWN]]
    return ", ".join([*shown, "..."] if len(names) > _SHOWN else shown)


def agreement(
    truth: Mapping[str, str], verdicts: Mapping[str, str | None], labels: Sequence[str]
) -> RenderableType:
    """Return how often the verdicts are right, for display.

    A recording without speech is an error. One that could not be processed is left out and
    counted; so is one whose label the model lacks, which :func:`read_truth` has counted.

    Args:
        truth: label by name of the recording.
        verdicts: verdict by name; None for a recording that could not be processed.
        labels: the model's labels.
    """
    index = {label: number for number, label in enumerate(labels)}
    known = {name: label for name, label in truth.items() if label in index}
    heard = [name for name in known if verdicts[name] is not None]
    lines = []
    if len(heard) < len(known):
        lines.append(f"left out: {len(known) - len(heard)} that could not be heard")
    if not heard:
        return "\n".join([*lines, f"nothing to compare: the model knows {', '.join(labels)}"])
    accuracy = Accuracy(
        confusion_matrix(
            np.array([index[known[name]] for name in heard]),
            np.array([index.get(verdicts[name] or "", len(labels)) for name in heard]),
            len(labels),
        )
    )
    lines.append(
        f"{counted(len(heard), 'recording')}; errors as they have no speech: "
        f"{accuracy.without_verdict}\n"
        f"UAR {accuracy.uar:.1f} %, WA {accuracy.wa:.1f} %, macro F1 {accuracy.macro_f1:.1f} %"
    )
    return Group("\n".join(lines), accuracy.table(labels))
