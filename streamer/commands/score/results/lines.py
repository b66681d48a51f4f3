"""Results as lines, CSV or JSON, which also record progress: a stopped run continues from them.

Lines grow row by row, and each row is flushed before the next begins. No file is held in memory:
what stays of a row is the digest of its key.
"""

from __future__ import annotations

import codecs
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from streamer.commands.score.results.rows import Form, Keys, Row, key_of
from streamer.errors import RunFailure, SerLiveError, told
from streamer.outputs import OutputFile, say_on_stderr, write_line


@dataclass(frozen=True, slots=True)
class Keeping:
    """Which existing rows stay: all but those with an error that are made again.

    Attributes:
        again: returns which keys, of rows with an error, are in this run: disk or memory may be
            back.
        take: takes each row that stays.
    """

    again: Callable[[Keys], Keys]
    take: Callable[[Row], None]

    def sort(self, rows: Callable[[], Iterable[Row]]) -> tuple[Keys, Keys]:
        """Return the keys that stay and those that are made again.

        Args:
            rows: returns the rows, from the first each time.
        """
        kept, faulty = Keys(), Keys()

        def keep(row: Row) -> None:
            kept.add(key_of(row))
            self.take(row)

        for row in rows():
            if row["error"]:
                faulty.add(key_of(row))
            else:
                keep(row)
        if not faulty:
            return kept, faulty
        made_again = self.again(faulty)
        for row in rows():
            if row["error"] and key_of(row) not in made_again:
                keep(row)
        return kept, made_again

    def without(self, keys: Keys) -> Keeping:
        """Return the same for rows that are not under these keys."""
        return Keeping(self.again, lambda row: None if key_of(row) in keys else self.take(row))


def refusal(path: Path) -> SerLiveError:
    """Return the error for a file that is not ours to continue."""
    return SerLiveError(
        f"{path} exists and is no results of this model, or another program has changed it; name "
        "another file, or overwrite it with --force"
    )


def partial_of(path: Path) -> Path:
    """Return the path for a complete new version of a file; a link stays a link."""
    real = Path(os.path.realpath(path))
    return real.with_name(f"{real.name}.partial")


def files_of(path: Path) -> frozenset[Path]:
    """Return the path and, if it is a link, its target."""
    return frozenset((path, Path(os.path.realpath(path))))


class Lines:
    """Writes one row per line."""

    def __init__(
        self,
        path: Path,
        form: Form,
        force: bool,
        keeping: Keeping,
        stack: ExitStack,
    ) -> None:
        self.recorded = Keys()
        self.goes_on = os.path.lexists(path) and not force
        self.files = files_of(path)
        self._path = path
        self._form = form
        self._again = Keys()
        self._must_change = False
        if self.goes_on:
            self._read(keeping)
        self._closing = stack.enter_context(ExitStack())
        file = OutputFile(path, force, appends=self.goes_on)
        self._out = self._closing.enter_context(file)
        self._has_begun = False

    def add(self, row: Row) -> None:
        self._begin()
        write_line(self._out, self._form.line(row))

    def finish(self) -> None:
        self._begin()
        self._closing.close()

    def rows(self) -> Iterator[Row]:
        """Yield the rows that are in the file.

        Raises:
            SerLiveError: as when it was opened.
        """
        for _, row in self._lines():
            yield row

    def _begin(self) -> None:
        if self._has_begun:
            return
        if self._must_change:
            self._rewrite()
        if not self.goes_on:
            self._out.write("")  # create or empty it, even if no row comes
        try:
            is_empty = not self._path.stat().st_size
        except OSError as error:
            raise RunFailure(f"cannot go on with {self._path}: {error.strerror}") from error
        if self._form.header and is_empty:
            write_line(self._out, self._form.header)
        self._has_begun = True

    def _read(self, keeping: Keeping) -> None:
        """Note which rows stay, and whether the file must change.

        An incomplete last line from a killed run is removed, and so are rows that are made again,
        and the byte order mark and line ends of a spreadsheet program.

        Raises:
            SerLiveError: it cannot be read, or does not hold results with these columns.
        """
        opening = self._form.opening.encode()
        try:
            with self._path.open("rb") as file:
                found = file.read(len(opening) + len(codecs.BOM_UTF8) + 1)
        except OSError as error:
            raise SerLiveError(f"cannot go on with {self._path}: {error.strerror}") from error
        data = found.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")
        if not (data.startswith(opening) or opening.startswith(data)):
            raise refusal(self._path)
        self._must_change = found.startswith(codecs.BOM_UTF8)
        self.recorded, self._again = keeping.sort(self.rows)
        if self._is_cut():
            say_on_stderr(told(f"{self._path}: its last line was cut short, and is made again"))
            self._must_change = True
        self._must_change = self._must_change or bool(self._again)

    def _is_cut(self) -> bool:
        with self._path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"

    def _lines(self) -> Iterator[tuple[str, Row]]:
        """Yield the complete lines with a row, and the row."""
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file):
                    if not line.endswith(b"\n"):
                        return
                    if line.endswith(b"\r\n"):
                        self._must_change = True
                    bare = line[:-1].removesuffix(b"\r")
                    if not number:
                        bare = bare.removeprefix(codecs.BOM_UTF8)
                    text = bare.decode("utf-8")
                    if number or not self._form.header:
                        yield text, self._form.row(text)
        except OSError as error:
            raise SerLiveError(f"cannot go on with {self._path}: {error.strerror}") from error
        except ValueError as error:
            raise refusal(self._path) from error

    def _rewrite(self) -> None:
        """Replace the file atomically by the lines that stay: a kill loses no row.

        Raises:
            RunFailure: it cannot be written.
        """
        partial = partial_of(self._path)
        try:
            with partial.open("w", encoding="utf-8", newline="") as file:
                if self._form.header:
                    file.write(f"{self._form.header}\n")
                for line, row in self._lines():
                    if not (row["error"] and key_of(row) in self._again):
                        file.write(f"{line}\n")
            shutil.copymode(self._path, partial)
            partial.replace(os.path.realpath(self._path))
        except OSError as error:
            raise RunFailure(f"cannot write {self._path}: {error.strerror}") from error
