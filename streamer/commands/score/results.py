"""The results file, which also records progress: a stopped run continues from it.

CSV and JSON lines grow row by row, and each row is flushed before the next begins. Parquet cannot
grow: the rows of a run collect in ``NAME.parquet.partial.jsonl``, which is merged into the table at
the end of the run, or of the next run if this one is stopped.

Nothing is written or emptied before the first row, or the end of a run without any: until then
wrong usage may still be found.
"""

from __future__ import annotations

import codecs
import os
import shutil
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from streamer.commands.score.rows import CsvForm, Form, JsonForm, Key, Row, key_of, text_columns
from streamer.errors import RunFailure, SerLiveError, told
from streamer.outputs import Output, OutputFile, check_output, say_on_stderr, write_line

FORMS: dict[str, Callable[[Sequence[str]], Form]] = {".csv": CsvForm, ".jsonl": JsonForm}
PARQUET = ".parquet"


class Results(Protocol):
    """Takes rows.

    Attributes:
        recorded: existing rows that stay, by :func:`streamer.commands.score.rows.key_of`.
        goes_on: whether an earlier run began them.
        files: files that hold the rows, finally or meanwhile.
    """

    recorded: dict[Key, Row]
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


def check_suffix(path: Path) -> None:
    """Check the suffix before any recording is processed.

    Raises:
        SerLiveError: no format of results has this suffix.
        RunFailure: pyarrow is needed and not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in (*FORMS, PARQUET):
        raise SerLiveError(f"{path}: results are a .csv, .jsonl or .parquet file")
    if suffix == PARQUET and find_spec("pyarrow") is None:
        raise RunFailure("Parquet needs pyarrow: pip install 'ser-live[parquet]'")


def open_results(
    path: Path,
    columns: Sequence[str],
    force: bool,
    inputs: Iterable[Path],
    again: Container[Key],
    stack: ExitStack,
) -> Results:
    """Open a results file, and continue it if it is ours; it is closed with the stack.

    Args:
        path: path of the file; its suffix determines the format.
        columns: columns of a row.
        force: whether to overwrite an existing file.
        inputs: files that must not be written to.
        again: keys of this run; a row with an error among them is replaced.
        stack: closes the file.

    Raises:
        SerLiveError: the file cannot be written, or does not hold results with these columns.
    """
    # Continuing loses nothing; reading the file checks whether it is ours.
    check_output(path, True, inputs)
    if path.suffix.lower() == PARQUET:
        return _Parquet(path, columns, force, again, stack)
    return _Lines(path, FORMS[path.suffix.lower()](columns), force, again, stack)


def tell_left(results: Results, tried: Container[Key], output: Path | None) -> None:
    """Print how many rows with an error stay because this run does not try their recordings.

    A file may gather the results of several commands, so only ``--force`` deletes rows.
    """
    left = [row for key, row in results.recorded.items() if row["error"] and key not in tried]
    if left:
        are = "row has an error and is" if len(left) == 1 else "rows have an error and are"
        say_on_stderr(
            told(
                f"{output}: {len(left)} {are} of no recording of this run (first "
                f"{left[0]['file']}), so the exit code does not count that; --force begins anew"
            )
        )


def _stays(row: Row, again: Container[Key]) -> bool:
    """Return whether a row stays; a row with an error may go, as disk or memory may be back."""
    return not (row["error"] and key_of(row) in again)


def _refusal(path: Path) -> SerLiveError:
    return SerLiveError(
        f"{path} exists and is no results of this model, or another program has changed it; name "
        "another file, or overwrite it with --force"
    )


def _partial(path: Path) -> Path:
    """Return the path for a complete new version of a file; a link stays a link."""
    real = Path(os.path.realpath(path))
    return real.with_name(f"{real.name}.partial")


def _files(path: Path) -> frozenset[Path]:
    """Return the path and, if it is a link, its target."""
    return frozenset((path, Path(os.path.realpath(path))))


class Piped:
    """Writes CSV to a stream, without a record of progress."""

    def __init__(self, out: Output, columns: Sequence[str]) -> None:
        self.recorded: dict[Key, Row] = {}
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


class _Lines:
    """Writes one row per line."""

    def __init__(
        self,
        path: Path,
        form: Form,
        force: bool,
        again: Container[Key],
        stack: ExitStack,
    ) -> None:
        self.recorded: dict[Key, Row] = {}
        self.goes_on = os.path.lexists(path) and not force
        self.files = _files(path)
        self._path = path
        self._form = form
        self._text: str | None = None
        if self.goes_on:
            rows, self._text = _read_lines(path, form, again)
            self.recorded = {key_of(row): row for row in rows}
        self._closing = stack.enter_context(ExitStack())
        file = OutputFile(path, force, appends=self.goes_on)
        self._out = self._closing.enter_context(file)
        self._has_begun = False

    def add(self, row: Row) -> None:
        self._begin()
        write_line(self._out, self._form.line(row))
        self.recorded[key_of(row)] = row

    def finish(self) -> None:
        self._begin()
        self._closing.close()

    def _begin(self) -> None:
        if self._has_begun:
            return
        if self._text is not None:
            _replace_text(self._path, self._text)
        if not self.goes_on:
            self._out.write("")  # create or empty it, even if no row comes
        if self._form.header and not self._path.stat().st_size:
            write_line(self._out, self._form.header)
        self._has_begun = True


def _read_lines(path: Path, form: Form, again: Container[Key]) -> tuple[list[Row], str | None]:
    """Return the rows of a file that stay, and the new text for the file if it must change.

    An incomplete last line from a killed run is removed, and so are rows that are made again, and
    the byte order mark and line ends of a spreadsheet program.

    Raises:
        SerLiveError: it cannot be read, or does not hold results with these columns.
    """
    try:
        found = path.read_bytes()
        data = found.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")
        opening = form.opening.encode()
        if not (data.startswith(opening) or opening.startswith(data)):
            raise _refusal(path)
        lines = data[: data.rfind(b"\n") + 1].decode("utf-8").split("\n")[:-1]
        header = lines[: bool(form.header)]
        rows = [(line, form.row(line)) for line in lines[len(header) :]]
    except OSError as error:
        raise SerLiveError(f"cannot go on with {path}: {error.strerror}") from error
    except ValueError as error:
        raise _refusal(path) from error
    if data and not data.endswith(b"\n"):
        say_on_stderr(told(f"{path}: its last line was cut short, and is made again"))
    kept = [(line, row) for line, row in rows if _stays(row, again)]
    text = "".join(f"{line}\n" for line in (*header, *(line for line, _ in kept)))
    return [row for _, row in kept], text if text.encode() != found else None


def _replace_text(path: Path, text: str) -> None:
    """Replace a file's text atomically: a kill loses no row.

    Raises:
        RunFailure: it cannot be written.
    """
    partial = _partial(path)
    try:
        partial.write_bytes(text.encode())
        shutil.copymode(path, partial)
        partial.replace(os.path.realpath(path))
    except OSError as error:
        raise RunFailure(f"cannot write {path}: {error.strerror}") from error


class _Parquet:
    """Writes a table, and beside it the rows that are not in it yet."""

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        force: bool,
        again: Container[Key],
        stack: ExitStack,
    ) -> None:
        self._path = path
        self._columns = tuple(columns)
        self._force = force
        self._side = path.with_name(f"{path.name}.partial.jsonl")
        rows = [] if force else self._read()
        table = {key_of(row): row for row in rows if _stays(row, again)}
        self._lines = _Lines(self._side, JsonForm(columns), force, again, stack)
        self.files = _files(path) | self._lines.files
        # A kill between the two final steps leaves rows in both.
        self.recorded = table | self._lines.recorded
        self.goes_on = bool(rows) or self._lines.goes_on

    def add(self, row: Row) -> None:
        self._begin()
        self._lines.add(row)
        self.recorded[key_of(row)] = row

    def finish(self) -> None:
        import pyarrow
        import pyarrow.parquet

        self._begin()
        self._lines.finish()
        whole = _partial(self._path)
        try:
            if self._lines.recorded:
                table = pyarrow.Table.from_pylist(list(self.recorded.values()), self._schema())
                pyarrow.parquet.write_table(table, whole)
                whole.replace(os.path.realpath(self._path))
            self._side.unlink(missing_ok=True)
        except OSError as error:
            raise RunFailure(f"cannot write {self._path}: {error.strerror or error}") from error

    def _begin(self) -> None:
        """Ensure that no row of an overwritten table returns if this run is stopped."""
        if self._force:
            try:
                self._path.unlink(missing_ok=True)
            except OSError as error:
                raise RunFailure(f"cannot write {self._path}: {error.strerror}") from error

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
            raise _refusal(self._path)
        rows: list[Row] = table.to_pylist()
        return rows

    def _schema(self) -> object:
        import pyarrow

        texts = text_columns(self._columns)
        kinds = {True: pyarrow.string(), False: pyarrow.float64()}
        return pyarrow.schema([(name, kinds[name in texts]) for name in self._columns])
