"""The Parquet files of a dataset of results, each of which is written whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from streamer.commands.score.results.lines import refusal
from streamer.commands.score.results.rows import TEXT_COLUMNS, Key, Row, check_row
from streamer.errors import RunFailure, SerLiveError

#: Rows from which on a part takes no more.
FULL_ROWS = 50_000
_ROWS_AT_ONCE = 10_000
#: Waits for a reader that has a part open, under Windows.
_WAITS_S = (0.1, 0.3, 1.0, 3.0)
_NAME = re.compile(r"part-([0-9]{5,})-[0-9a-f]{8}\.parquet")
#: Readers of folders ignore names with such a beginning.
_HIDDEN = (".", "_")
_PARTIAL = ".partial"


def schema_of(columns: Sequence[str]) -> Any:
    """Return the Arrow schema of results: texts, and numbers as float64."""
    import pyarrow

    kinds = {True: pyarrow.string(), False: pyarrow.float64()}
    return pyarrow.schema([(name, kinds[name in TEXT_COLUMNS]) for name in columns])


class Parts:
    """The parts in a folder, which need not exist yet."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        """Find them.

        Args:
            folder: path of the folder.
            columns: columns of a row.

        Raises:
            SerLiveError: the folder cannot be read, or holds other things.
        """
        self._folder = folder
        self._schema = schema_of(columns)
        self._rows: dict[Path, int] = {}
        try:
            names = sorted(os.listdir(folder)) if os.path.lexists(folder) else []  # noqa: PTH208
        except OSError as error:
            raise SerLiveError(f"cannot go on with {folder}: {error.strerror}") from error
        for name in names:
            if _NAME.fullmatch(name):
                self._rows[folder / name] = 0
            elif not name.startswith(_HIDDEN):
                raise SerLiveError(
                    f"{folder} holds other things than results ({name}); name another folder"
                )

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> Iterator[tuple[Path, Row]]:
        """Yield the rows with the part that holds them: only the columns of text.

        Raises:
            SerLiveError: a file holds no results with these columns, or cannot be read.
        """
        import pyarrow
        import pyarrow.parquet

        for path in self._rows:
            try:
                with pyarrow.parquet.ParquetFile(path) as file:
                    if not file.schema_arrow.equals(self._schema):
                        raise refusal(path)
                    self._rows[path] = file.metadata.num_rows
                    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=list(TEXT_COLUMNS)):
                        names = batch.schema.names
                        columns = [column.to_pylist() for column in batch.columns]
                        for values in zip(*columns, strict=True):
                            yield path, check_row(dict(zip(names, values, strict=True)))
            except (OSError, pyarrow.ArrowException) as error:
                raise unreadable(path, error) from error
            except ValueError as error:
                raise refusal(path) from error

    def open_part(self) -> Path:
        """Return the part that takes new rows: the last, or a new one if that is full."""
        if self._rows:
            last = max(self._rows, key=_number)
            if self._rows[last] < FULL_ROWS:
                return last
        number = max(map(_number, self._rows), default=-1) + 1
        return self._folder / f"part-{number:05}-{uuid.uuid4().hex[:8]}.parquet"

    def put(self, path: Path, rows: Mapping[Key, Row]) -> None:
        """Add rows to a part, each in place of the row that has its key.

        Raises:
            RunFailure: it cannot be written; the part is as before.
        """
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.Table.from_pylist(list(rows.values()), self._schema)
        partial = path.with_name(f".{path.name}{_PARTIAL}")
        try:
            if path in self._rows:
                with pyarrow.parquet.ParquetFile(path) as file:
                    old = file.read()
                keys = zip(old["file"].to_pylist(), old["channel"].to_pylist(), strict=True)
                stays = old.filter(pyarrow.array([key not in rows for key in keys]))
                table = pyarrow.concat_tables([stays, table])
            with partial.open("wb") as out:
                pyarrow.parquet.write_table(table, out)
                out.flush()
                os.fsync(out.fileno())
            if path in self._rows:
                shutil.copymode(path, partial)
            _take_place(partial, path)
        except (OSError, pyarrow.ArrowException) as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            reason = getattr(error, "strerror", None) or error
            raise RunFailure(f"cannot write {path}: {reason}") from error
        self._rows[path] = table.num_rows
        _keep_names(self._folder)

    def tidy(self) -> None:
        """Delete what a killed run did not finish.

        Raises:
            OSError: it cannot be deleted.
        """
        for partial in self._folder.glob(f".part-*{_PARTIAL}"):
            partial.unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete all parts.

        Raises:
            OSError: they cannot be deleted.
        """
        for path in list(self._rows):
            path.unlink(missing_ok=True)
            del self._rows[path]


def _number(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def _take_place(partial: Path, path: Path) -> None:
    """Rename a file over another; under Windows a reader that has it open may be waited for.

    Raises:
        OSError: it cannot be renamed.
    """
    for wait_s in _WAITS_S if os.name == "nt" else ():
        with suppress(PermissionError):
            partial.replace(path)
            return
        time.sleep(wait_s)
    partial.replace(path)


def _keep_names(folder: Path) -> None:
    """Write the names in a folder to the disk, where the system can do that."""
    with suppress(OSError):  # some file systems of the network cannot, nor can Windows
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unreadable(path: Path, error: Exception) -> SerLiveError:
    """Return the error for a table that cannot be read, or is none."""
    reason = getattr(error, "strerror", None)
    if reason:
        return SerLiveError(f"cannot go on with {path}: {reason}")
    return SerLiveError(f"{path} exists and is no Parquet file")
