"""A user's table of recordings and their labels: CSV with a header line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SerLiveError

_COLUMNS = ("file", "label")


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A row of the table.

    Attributes:
        line: line of the table, counted from 1.
        file: path as written there.
        label: never empty.
        others: the other columns by name, empty if the row is too short.
    """

    line: int
    file: str
    label: str
    others: dict[str, str]


def labelled_files(table: Path) -> Iterator[LabelledFile]:
    """Yield the rows of a table with the columns ``file``, ``label`` and any others.

    Raises:
        SerLiveError: it cannot be read, lacks a column, or a row has no label.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines, restval="")
            if missing := [one for one in _COLUMNS if one not in (rows.fieldnames or ())]:
                raise SerLiveError(
                    f"{table}: no column {' and no column '.join(missing)}; "
                    "its first line must name the columns file and label, with a comma between them"
                )
            for row in rows:
                file, label = row.pop("file").strip(), row.pop("label").strip()
                if not label:
                    raise SerLiveError(
                        f"{table} line {rows.line_num}: {file or 'a row'} has no label"
                    )
                row.pop(None, None)  # values beyond the last column
                yield LabelledFile(rows.line_num, file, label, row)
    except OSError as error:
        raise SerLiveError(f"cannot read {table}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SerLiveError(f"{table}: no table in UTF-8 ({error})") from error
