"""Rows of results, and their format in a line of CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Protocol

from streamer.recognition.decision import names_of

#: Values by column: texts, numbers, and None for no value.
Row = dict[str, Any]
#: Key of a row: the file, and its channels to use.
Key = tuple[str, str]
#: The columns that hold text; the others hold numbers.
TEXT_COLUMNS = ("file", "channel", "overall", "error", "model", "prior", "adaptation", "version")


class Keys:
    """A set of keys that holds digests: a million take 110 MB, whatever the length of names."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._digests = {digest_of(key) for key in keys}

    def add(self, key: Key) -> bool:
        """Add a key; return whether it is new."""
        digest = digest_of(key)
        if digest in self._digests:
            return False
        self._digests.add(digest)
        return True

    def joined(self, others: Keys) -> Keys:
        """Return a set with the keys of both."""
        both = Keys()
        both._digests = self._digests | others._digests
        return both

    def __contains__(self, key: Key) -> bool:
        return digest_of(key) in self._digests

    def __len__(self) -> int:
        return len(self._digests)


def digest_of(key: Key) -> bytes:
    """Return the digest of a key, 16 bytes."""
    text = "\0".join(key).encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16).digest()


def columns_of(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the column names for a model with these labels, in order."""
    return (
        "file",
        "channel",
        "duration_s",
        "speech_s",
        "overall",
        *(f"p_{label}" for label in labels),
        *(f"share_{label}" for label in names_of(labels)),
        "changes_a_minute",
        "error",
        "model",
        "prior",
        "adaptation",
        "version",
    )


def key_of(row: Row) -> Key:
    """Return the key of a row."""
    return row["file"], row["channel"]


def check_row(row: Row, numbers: Sequence[type] = (int, float)) -> Row:
    """Return a row that was read, in which numbers have one of some types.

    Raises:
        ValueError: it names no recording, or a value is of another type than its column.
    """
    if row["file"] is None or row["channel"] is None:
        raise ValueError("no recording")
    for column, value in row.items():
        types = (str,) if column in TEXT_COLUMNS else numbers
        if value is not None and type(value) not in types:
            raise ValueError(f"{column} is of another type")
    return row


class Form(Protocol):
    """A format with one row per line.

    Attributes:
        opening: beginning of every non-empty file of this format.
        header: its first line, empty if that is already a row.
    """

    opening: str
    header: str

    def line(self, row: Row) -> str: ...

    def row(self, line: str) -> Row:
        """Parse a line.

        Raises:
            ValueError: it is not a row with these columns.
        """
        ...


class CsvForm:
    """Comma-separated, quoted if needed, empty for no value."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self.header = self._joined(self._columns)
        self.opening = self.header + "\n"

    def line(self, row: Row) -> str:
        return self._joined([row[column] for column in self._columns])

    def row(self, line: str) -> Row:
        """Parse a line, with numbers kept as text."""
        try:
            values = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise ValueError(str(error)) from error
        row = {column: value or None for column, value in zip(self._columns, values, strict=True)}
        for column, value in row.items():
            if value is not None and column not in TEXT_COLUMNS:
                float(value)
        return check_row(row, numbers=(str,))

    @staticmethod
    def _joined(values: Sequence[object]) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow(values)
        return out.getvalue()


class JsonForm:
    """One JSON object per line; null for no value."""

    header = ""
    opening = '{"file":'

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)

    def line(self, row: Row) -> str:
        ordered = {column: row[column] for column in self._columns}
        return json.dumps(ordered, separators=(",", ":"), ensure_ascii=False)

    def row(self, line: str) -> Row:
        values = json.loads(line)
        if not isinstance(values, dict) or tuple(values) != self._columns:
            raise ValueError("other columns")
        return check_row(values)
