"""The results file, which is the record of what is done: a run that was stopped goes on from it.

CSV and JSON lines are appended to row by row, and each row is out before the next is begun. Parquet
cannot be appended to: the rows of a run gather in ``NAME.parquet.partial.jsonl``, which becomes
part of the table at the end of the run, or of the one that goes on after it was stopped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from streamer.errors import RunFailure, SerLiveError, told
from streamer.outputs import Output, OutputFile, check_output, say_on_stderr, write_line
from streamer.score.rows import CsvForm, Form, JsonForm, Row, text_columns

FORMS: dict[str, Callable[[Sequence[str]], Form]] = {".csv": CsvForm, ".jsonl": JsonForm}
PARQUET = ".parquet"


class Results(Protocol):
    """Where rows go.

    Attributes:
        recorded: rows that are there, by file.
        goes_on: a run before this one has begun them.
    """

    recorded: dict[str, Row]
    goes_on: bool

    def add(self, row: Row) -> None:
        """Write a row.

        Raises:
            RunFailure: it cannot be written.
        """
        ...

    def finish(self) -> None:
        """All rows are there.

        Raises:
            RunFailure: they cannot be written.
        """
        ...


def check_suffix(path: Path) -> None:
    """Refuse before anything is heard.

    Raises:
        SerLiveError: a suffix that stands for no form of results.
        RunFailure: pyarrow is needed and not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in (*FORMS, PARQUET):
        raise SerLiveError(f"{path}: results are a .csv, .jsonl or .parquet file")
    if suffix == PARQUET and find_spec("pyarrow") is None:
        raise RunFailure("Parquet needs pyarrow: pip install 'ser-live[parquet]'")


def open_results(
    path: Path, columns: Sequence[str], force: bool, inputs: Iterable[Path], stack: ExitStack
) -> Results:
    """Results in a file, gone on with where they are ours; closed with the stack.

    Args:
        path: its suffix says the form.
        columns: of a row.
        force: what is there is overwritten.
        inputs: files that must not be written to.
        stack: closes the file.

    Raises:
        SerLiveError: the file cannot be written, or is no results with these columns.
    """
    # Going on loses nothing; whether the file is one of ours is asked when it is read.
    check_output(path, True, inputs)
    if path.suffix.lower() == PARQUET:
        return _Parquet(path, columns, force, stack)
    return _Lines(path, FORMS[path.suffix.lower()](columns), force, stack)


class Piped:
    """CSV to a stream; nothing is recorded."""

    def __init__(self, out: Output, columns: Sequence[str]) -> None:
        self.recorded: dict[str, Row] = {}
        self.goes_on = False
        self._out = out
        self._form = CsvForm(columns)
        write_line(out, self._form.header)

    def add(self, row: Row) -> None:
        write_line(self._out, self._form.line(row))

    def finish(self) -> None:
        """Nothing: it is all out."""


class _Lines:
    """A row a line."""

    def __init__(self, path: Path, form: Form, force: bool, stack: ExitStack) -> None:
        self.recorded: dict[str, Row] = {}
        self._form = form
        self.goes_on = os.path.lexists(path) and not force
        if self.goes_on:
            self.recorded = {row["file"]: row for row in _read_lines(path, form)}
        self._closing = stack.enter_context(ExitStack())
        file = OutputFile(path, force, appends=self.goes_on)
        self._out = self._closing.enter_context(file)
        if form.header and not (self.goes_on and path.stat().st_size):
            write_line(self._out, form.header)

    def add(self, row: Row) -> None:
        write_line(self._out, self._form.line(row))
        self.recorded[row["file"]] = row

    def finish(self) -> None:
        self._closing.close()


def _read_lines(path: Path, form: Form) -> list[Row]:
    """Rows of a file; what a kill left of the last line is cut off.

    Raises:
        SerLiveError: it cannot be read, or is no results with these columns.
    """
    refusal = f"{path} exists and is no results of this model; --force overwrites it"
    try:
        data = path.read_bytes()
        text = data[: data.rfind(b"\n") + 1].decode("utf-8")
        opening = form.opening.encode()
        if not (data.startswith(opening) or opening.startswith(data)):
            raise SerLiveError(refusal)
        rows = [form.row(line.rstrip("\r")) for line in text.split("\n")[bool(form.header) : -1]]
        if len(text.encode()) < len(data):
            os.truncate(path, len(text.encode()))
            say_on_stderr(told(f"{path}: its last line was cut short, and is made again"))
    except OSError as error:
        raise SerLiveError(f"cannot go on with {path}: {error.strerror}") from error
    except ValueError as error:
        raise SerLiveError(refusal) from error
    return rows


class _Parquet:
    """A table, and beside it the rows that are not in it yet."""

    def __init__(self, path: Path, columns: Sequence[str], force: bool, stack: ExitStack) -> None:
        self._path = path
        self._columns = tuple(columns)
        self._side = path.with_name(f"{path.name}.partial.jsonl")
        table = {} if force else {row["file"]: row for row in self._read()}
        self._lines = _Lines(self._side, JsonForm(columns), force, stack)
        if force:
            path.unlink(missing_ok=True)
        # A kill between the two steps of the end leaves rows in both.
        self.recorded = table | self._lines.recorded
        self.goes_on = bool(table) or self._lines.goes_on

    def add(self, row: Row) -> None:
        self._lines.add(row)
        self.recorded[row["file"]] = row

    def finish(self) -> None:
        import pyarrow
        import pyarrow.parquet

        self._lines.finish()
        if not self._lines.recorded:
            return
        whole = self._path.with_name(f"{self._path.name}.partial")
        try:
            table = pyarrow.Table.from_pylist(list(self.recorded.values()), self._schema())
            pyarrow.parquet.write_table(table, whole)
            whole.replace(self._path)
            self._side.unlink(missing_ok=True)
        except OSError as error:
            raise RunFailure(f"cannot write {self._path}: {error.strerror or error}") from error

    def _read(self) -> list[Row]:
        import pyarrow
        import pyarrow.parquet

        if not os.path.lexists(self._path):
            return []
        try:
            table = pyarrow.parquet.read_table(self._path)
        except (OSError, pyarrow.ArrowException) as error:
            raise SerLiveError(f"{self._path} exists and is no Parquet file") from error
        if tuple(table.column_names) != self._columns:
            raise SerLiveError(
                f"{self._path} exists and is no results of this model; --force overwrites it"
            )
        rows: list[Row] = table.to_pylist()
        return rows

    def _schema(self) -> object:
        import pyarrow

        texts = text_columns(self._columns)
        kinds = {True: pyarrow.string(), False: pyarrow.float64()}
        return pyarrow.schema([(name, kinds[name in texts]) for name in self._columns])
