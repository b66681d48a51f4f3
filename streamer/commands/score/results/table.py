"""Results as Parquet: a table, and beside it the rows that are not in it yet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path

from streamer.commands.score.results.lines import Keeping, Lines, files_of, partial_of, refusal
from streamer.commands.score.results.parts import schema_of, unreadable
from streamer.commands.score.results.rows import JsonForm, Keys, Row, check_row, key_of
from streamer.errors import RunFailure

#: Rows that are in memory at once, and in a row group of the table.
_ROWS_AT_ONCE = 10_000


class Table:
    """Writes a table whole, when all rows are there."""

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        force: bool,
        keeping: Keeping,
        stack: ExitStack,
    ) -> None:
        self._path = path
        self._columns = tuple(columns)
        self._force = force
        self._side = path.with_name(f"{path.name}.partial.jsonl")
        self._lines = Lines(self._side, JsonForm(columns), force, keeping, stack)
        self.files = files_of(path) | self._lines.files
        self.recorded = self._lines.recorded
        self.goes_on = self._lines.goes_on
        self._again = Keys()
        if not force and os.path.lexists(path):
            # A kill between the two final steps leaves rows in both.
            kept, self._again = keeping.without(self._lines.recorded).sort(self._read)
            self.recorded = kept.joined(self._lines.recorded)
            self.goes_on = self.goes_on or bool(self.recorded or self._again)

    def add(self, row: Row) -> None:
        self._begin()
        self._lines.add(row)

    def finish(self) -> None:
        import pyarrow
        import pyarrow.parquet

        self._begin()
        self._lines.finish()
        whole = partial_of(self._path)
        schema = schema_of(self._columns)
        try:
            if next(self._lines.rows(), None) is not None:
                with pyarrow.parquet.ParquetWriter(whole, schema) as writer:
                    rows = self._all_rows()
                    while some := list(islice(rows, _ROWS_AT_ONCE)):
                        writer.write_table(pyarrow.Table.from_pylist(some, schema))
                whole.replace(os.path.realpath(self._path))
            self._side.unlink(missing_ok=True)
        except OSError as error:
            raise RunFailure(f"cannot write {self._path}: {error.strerror or error}") from error

    def _all_rows(self) -> Iterator[Row]:
        """Yield the rows of the table that stay, and those beside it."""
        beside = Keys(key_of(row) for row in self._lines.rows())
        earlier = () if self._force or not os.path.lexists(self._path) else self._read()
        kept = (
            row
            for row in earlier
            if key_of(row) not in beside and not (row["error"] and key_of(row) in self._again)
        )
        return chain(kept, self._lines.rows())

    def _begin(self) -> None:
        """Ensure that no row of an overwritten table returns if this run is stopped."""
        if self._force:
            try:
                self._path.unlink(missing_ok=True)
            except OSError as error:
                raise RunFailure(f"cannot write {self._path}: {error.strerror}") from error

    def _read(self) -> Iterator[Row]:
        """Yield the rows of the table.

        Raises:
            SerLiveError: it cannot be read, or is no table of results with these columns.
        """
        import pyarrow
        import pyarrow.parquet

        try:
            with pyarrow.parquet.ParquetFile(self._path) as table:
                if tuple(table.schema_arrow.names) != self._columns:
                    raise refusal(self._path)
                for batch in table.iter_batches(_ROWS_AT_ONCE):
                    yield from map(check_row, batch.to_pylist())
        except (OSError, pyarrow.ArrowException) as error:
            raise unreadable(self._path, error) from error
        except ValueError as error:
            raise refusal(self._path) from error
