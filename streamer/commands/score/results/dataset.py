"""Results as a dataset: a folder of Parquet files that readers take as one table.

Each row is first a line of the journal ``_rows.jsonl``, which readers ignore, so that a kill loses
none. Every some thousand rows or some minutes, and when the run ends in any way but a kill, the
rows of the journal move to the parts (``parts.py``). The row of a recording that is tried again
takes the place of its row with an error, in the same file and at the same moment: no reader finds a
recording twice, or not at all.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from streamer.commands.score.results.lines import Keeping, Lines
from streamer.commands.score.results.parts import Parts
from streamer.commands.score.results.rows import JsonForm, Key, Keys, Row, digest_of, key_of
from streamer.errors import RunFailure, SerLiveError

#: When the rows of the journal move to the parts.
_ROWS_AT_ONCE = 5_000
_EVERY_S = 300.0
_JOURNAL = "_rows.jsonl"
_EVERYTHING = Keeping(lambda _: Keys(), lambda _: None)


class Dataset:
    """Writes rows to the journal, and from there to the parts."""

    def __init__(
        self,
        folder: Path,
        columns: Sequence[str],
        force: bool,
        keeping: Keeping,
        stack: ExitStack,
    ) -> None:
        """Open a dataset; the parts get the last rows when the stack is closed.

        Args:
            folder: path of the folder, which is made with the first row.
            columns: columns of a row.
            force: whether to begin anew.
            keeping: which existing rows stay.
            stack: closes the dataset.

        Raises:
            SerLiveError: the folder cannot be made or read, holds other things, or another run
                writes to it.
        """
        self._folder = folder
        self._columns = tuple(columns)
        self._force = force
        self._stack = stack
        self._is_locked = False
        self._check()
        # The lock outlives the last rows, whenever it is taken.
        self._locking = stack.enter_context(ExitStack())
        self._lock()
        self._parts = Parts(folder, columns)
        self._journal: Lines | None = None
        self._pending: dict[Key, Row] = {}
        self._faulty: dict[bytes, Path] = {}
        self._since = time.monotonic()
        self._has_begun = False
        self.recorded = Keys()
        self.files = frozenset[Path]()
        has_journal = os.path.lexists(folder / _JOURNAL)
        self.goes_on = not force and bool(len(self._parts) or has_journal)
        if self.goes_on:
            if has_journal:
                self._open_journal()
            self._read(keeping)
        stack.push(self._leave)

    def add(self, row: Row) -> None:
        self._begin()
        if self._journal is None:
            self._open_journal()
        assert self._journal is not None
        self._journal.add(row)
        if not self._pending:
            self._since = time.monotonic()
        self._pending[key_of(row)] = row
        if len(self._pending) >= _ROWS_AT_ONCE or time.monotonic() - self._since >= _EVERY_S:
            self._move()

    def finish(self) -> None:
        self._begin()
        self._move()

    def _check(self) -> None:
        """Check that the folder is there or can be made.

        Raises:
            SerLiveError: it cannot.
        """
        if os.path.lexists(self._folder):
            if not self._folder.is_dir():
                raise SerLiveError(f"{self._folder} is no folder; name another")
        elif not self._folder.absolute().parent.is_dir():
            raise SerLiveError(f"cannot make {self._folder}: its parent is no folder")

    def _lock(self) -> None:
        """Keep other runs out, where the system and the file system can do that.

        Raises:
            SerLiveError: another run writes to the folder.
        """
        if self._is_locked:
            return
        try:
            fcntl = importlib.import_module("fcntl")
            descriptor = os.open(self._folder, os.O_RDONLY)
        except (ImportError, FileNotFoundError):  # Windows has none; the first row makes the folder
            return
        except OSError as error:
            raise SerLiveError(f"cannot write {self._folder}: {error.strerror}") from error
        self._locking.callback(os.close, descriptor)
        self._is_locked = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SerLiveError(
                f"another run writes to {self._folder}; wait for its end or name another"
            ) from error
        except OSError:  # as on some network file systems
            return

    def _open_journal(self) -> None:
        path, form = self._folder / _JOURNAL, JsonForm(self._columns)
        self._journal = Lines(path, form, False, _EVERYTHING, self._stack)

    def _read(self, keeping: Keeping) -> None:
        """Note which rows stay, and which parts hold those with an error."""
        if self._journal is not None:
            self._pending = {key_of(row): row for row in self._journal.rows()}
        moved: set[Key] = set()
        self.recorded, _ = keeping.sort(lambda: self._existing(moved))
        for key in moved:
            del self._pending[key]

    def _existing(self, moved: set[Key]) -> Iterator[Row]:
        """Yield the rows, those of the journal last.

        A kill between the move to a part and the end of the journal leaves rows in both. A row with
        an error in a part gives way to that of the journal.
        """
        for part, row in self._parts.rows():
            key = key_of(row)
            if row["error"]:
                self._faulty[digest_of(key)] = part
            elif key in self._pending:
                moved.add(key)
            if not (row["error"] and key in self._pending):
                yield row
        for key, row in self._pending.items():
            if key not in moved:
                yield row

    def _begin(self) -> None:
        """Make the folder, or empty it with ``--force``.

        Raises:
            RunFailure: that fails.
        """
        if self._has_begun:
            return
        try:
            self._folder.mkdir(exist_ok=True)
            self._lock()
            if not (self.goes_on or self._force) and self._holds_results():
                raise SerLiveError(
                    f"another run has begun to write to {self._folder}; the same command goes on "
                    "from what it has"
                )
            self._parts.tidy()
            if self._force:
                (self._folder / _JOURNAL).unlink(missing_ok=True)
                self._parts.delete()
        except OSError as error:
            raise RunFailure(f"cannot write {self._folder}: {error.strerror}") from error
        self._has_begun = True

    def _holds_results(self) -> bool:
        there = len(Parts(self._folder, self._columns))
        return bool(there) or os.path.lexists(self._folder / _JOURNAL)

    def _move(self) -> None:
        """Move the rows of the journal to the parts, and delete it.

        Raises:
            RunFailure: a part cannot be written; the journal has its rows still.
        """
        placed: dict[Path, dict[Key, Row]] = {}
        new: dict[Key, Row] = {}
        for key, row in self._pending.items():
            part = self._faulty.get(digest_of(key))
            (new if part is None else placed.setdefault(part, {}))[key] = row
        for part, rows in placed.items():
            self._put(part, rows)
        if new:
            self._put(self._parts.open_part(), new)
        if self._journal is None:
            return
        self._journal.finish()
        self._journal = None
        try:
            (self._folder / _JOURNAL).unlink(missing_ok=True)
        except OSError as error:
            raise RunFailure(f"cannot write {self._folder}: {error.strerror}") from error

    def _put(self, part: Path, rows: dict[Key, Row]) -> None:
        """Put rows of the journal into a part.

        Raises:
            RunFailure: it cannot be written.
        """
        self._parts.put(part, rows)
        for key, row in rows.items():
            del self._pending[key]
            if row["error"]:
                self._faulty[digest_of(key)] = part
            else:
                self._faulty.pop(digest_of(key), None)

    def _leave(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """Move what is left when a run is stopped; before its first row nothing is touched."""
        if not self._has_begun:
            return
        try:
            self._move()
        except RunFailure:
            if error is None:  # the first error is the one to report
                raise
