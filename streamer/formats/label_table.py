"""A person's table of recordings and what is spoken in them: CSV, its first line names columns."""

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
        line: of the table, counted from 1.
        file: as it is written there.
        label: never empty.
        others: the other columns by name, empty where the row is short.
    """

    line: int
    file: str
    label: str
    others: dict[str, str]


def labelled_files(table: Path) -> Iterator[LabelledFile]:
    """Rows of a table with the columns ``file``, ``label`` and any others.

    Raises:
        SerLiveError: it cannot be read, lacks a column, or a row has no label.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines, restval="")
            if missing := [one for one in _COLUMNS if one not in (rows.fieldnames or ())]:
                raise SerLiveError(
                    f"{table}: no column {' and no column '.join(missing)}; "
                    "its first line must name the columns file and label"
                )
            for row in rows:
                file, label = row.pop("file").strip(), row.pop("label").strip()
                if not label:
                    raise SerLiveError(
                        f"{table} line {rows.line_num}: {file or 'a row'} has no label"
                    )
                row.pop(None, None)  # what stands beyond the last column
                yield LabelledFile(rows.line_num, file, label, row)
    except OSError as error:
        raise SerLiveError(f"cannot read {table}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SerLiveError(f"{table}: no table in UTF-8 ({error})") from error
