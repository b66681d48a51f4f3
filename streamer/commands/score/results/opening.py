"""Opens the results, which also record progress: a stopped run continues from them.

CSV and JSON lines grow row by row (``lines.py``). Parquet cannot grow: the rows of a run collect in
``NAME.parquet.partial.jsonl``, which is merged into the table (``table.py``) at the end of the run,
or of the next run if this one is stopped. A folder is a dataset (``dataset.py``).

Nothing is written or emptied before the first row, or the end of a run without any: until then
wrong usage may still be found.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from streamer.commands.score.results.lines import Keeping, Lines
from streamer.commands.score.results.rows import CsvForm, Form, JsonForm, Keys, Row
from streamer.errors import RunFailure, SerLiveError
from streamer.outputs import Output, check_output, write_line

FORMS: dict[str, Callable[[Sequence[str]], Form]] = {".csv": CsvForm, ".jsonl": JsonForm}
PARQUET = ".parquet"
_KINDS = "results are a .csv, .jsonl or .parquet file, or a folder of Parquet files"


class Results(Protocol):
    """Takes rows.

    Attributes:
        recorded: keys of the existing rows that stay.
        goes_on: whether an earlier run began them.
        files: files that hold the rows, finally or meanwhile.
    """

    recorded: Keys
    goes_on: bool
    files: frozenset[Path]

    def add(self, row: Row) -> None:
        """Write a row.

        Raises:
            RunFailure: it cannot be written.
        """
        ...

    def finish(self) -> None:
        """Finish the results; all rows have been added.

        Raises:
            RunFailure: they cannot be written.
        """
        ...


def check_suffix(path: Path, is_dataset: bool) -> None:
    """Check the format before any recording is processed.

    Args:
        path: path of the results.
        is_dataset: whether they are a folder; otherwise the suffix determines the format.

    Raises:
        SerLiveError: no format of results has this suffix.
    """
    if not is_dataset and path.suffix.lower() not in (*FORMS, PARQUET):
        raise SerLiveError(f"{path}: {_KINDS}, whose name ends in {os.sep}")


def check_parquet(path: Path, is_dataset: bool) -> None:
    """Check for pyarrow if the results take it; arguments as in :func:`check_suffix`.

    Raises:
        RunFailure: it is not installed.
    """
    if (is_dataset or path.suffix.lower() == PARQUET) and find_spec("pyarrow") is None:
        raise RunFailure("Parquet needs pyarrow: pip install 'ser-live[parquet]'")


def open_results(
    path: Path,
    columns: Sequence[str],
    force: bool,
    inputs: Iterable[Path],
    keeping: Keeping,
    stack: ExitStack,
    *,
    is_dataset: bool = False,
) -> Results:
    """Open a results file, and continue it if it is ours; it is closed with the stack.

    Args:
        path: path of the file; its suffix determines the format.
        columns: columns of a row.
        force: whether to overwrite an existing file.
        inputs: files that must not be written to.
        keeping: which existing rows stay.
        stack: closes the file.
        is_dataset: whether the path is that of a folder of Parquet files.

    Raises:
        SerLiveError: the file cannot be written, or does not hold results with these columns.
    """
    if is_dataset:
        from streamer.commands.score.results.dataset import Dataset

        return Dataset(path, columns, force, keeping, stack)
    # Continuing loses nothing; reading the file checks whether it is ours.
    check_output(path, True, inputs)
    if path.suffix.lower() == PARQUET:
        from streamer.commands.score.results.table import Table

        return Table(path, columns, force, keeping, stack)
    return Lines(path, FORMS[path.suffix.lower()](columns), force, keeping, stack)


class Piped:
    """Writes CSV to a stream, without a record of progress."""

    def __init__(self, out: Output, columns: Sequence[str]) -> None:
        self.recorded = Keys()
        self.goes_on = False
        self.files = frozenset[Path]()
        self._out = out
        self._form = CsvForm(columns)
        self._has_begun = False

    def add(self, row: Row) -> None:
        self._begin()
        write_line(self._out, self._form.line(row))

    def finish(self) -> None:
        self._begin()

    def _begin(self) -> None:
        if not self._has_begun:
            write_line(self._out, self._form.header)
            self._has_begun = True
