"""Output files: never overwrite an input, and are never emptied without need."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self, TextIO

from streamer.errors import ReaderGone, RunFailure, SerLiveError

if TYPE_CHECKING:
    from rich.console import RenderableType

_OVERWRITES = "--force overwrites it"
#: Width of tables in files.
_PAGE_COLUMNS = 100


class Output(Protocol):
    """Takes text: an :class:`OutputFile` or a standard stream."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


def say_on_stderr(line: str) -> None:
    """Print a line for the user, who may have closed the terminal."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def dated_path(suffix: str) -> Path:
    """Return a name in the working folder with the time, numbered if two fall in one second."""
    stem = f"ser-live-{datetime.now():%Y%m%d-%H%M%S}"
    numbered = chain([""], (f"-{number}" for number in count(2)))
    paths = (Path(f"{stem}{number}{suffix}") for number in numbered)
    return next(path for path in paths if not os.path.lexists(path))


def write_line(out: Output, line: str) -> None:
    """Write a whole line and flush it: a reader at the other end of a pipe is live too.

    Raises:
        RunFailure: the reader is gone, or the disk is full.
    """
    try:
        out.write(line + "\n")
        out.flush()
    except BrokenPipeError as error:
        raise ReaderGone("the output was closed by its reader") from error
    except OSError as error:
        name = out.path if isinstance(out, OutputFile) else "standard output"
        raise RunFailure(f"cannot write {name}: {error.strerror}") from error


#: Folders with a process's descriptors by number.
_DESCRIPTORS = ("/dev/fd", "/proc/self/fd", "/proc/thread-self/fd")
#: The number of links that Linux follows.
_MOST_LINKS = 40


def show(renderable: RenderableType, out: TextIO | None = None) -> None:
    """Print tables to stdout or another stream, as wide as a page if it is not a terminal.

    Raises:
        RunFailure: as in :func:`write_line`.
    """
    from rich.console import Console

    stream = out or sys.stdout
    console = Console(file=stream, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _PAGE_COLUMNS
    with console.capture() as shown:
        console.print(renderable)
    write_line(stream, shown.get().rstrip())


def _is_standard_stream(path: Path) -> bool:
    """Return whether a name leads to descriptor 1 or 2, by any links.

    By now those descriptors lead nowhere (see ``commands/program.py``), so the function follows the
    links one by one: the end of the last link says nothing.
    """
    folders = {os.path.realpath(folder) for folder in _DESCRIPTORS}
    for _ in range(_MOST_LINKS):
        path = Path(os.path.realpath(path.parent), path.name)
        if str(path.parent) in folders and path.name in ("1", "2"):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()
    return False


def check_output(path: Path, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Check that writing here destroys nothing.

    Args:
        path: path to write to.
        force: whether an existing file may be overwritten ...
        inputs: ... but none of these, by any name.

    Raises:
        SerLiveError: the file exists, is one of the inputs or a standard stream, or its folder is
            missing.
    """
    try:
        if str(path) == "-" or _is_standard_stream(path):
            raise SerLiveError(f"{path} is a standard stream; name a file")
        if os.path.lexists(path):
            if path.is_dir():
                raise SerLiveError(f"{path} is a directory")
            if not force:
                raise SerLiveError(f"{path} exists", option=_OVERWRITES)
            for one in inputs:
                with suppress(OSError):  # a missing input is reported when it is read
                    if path.samefile(one):
                        raise SerLiveError(f"{path} is to be read; name another file to write")
        elif not path.absolute().parent.is_dir():
            raise SerLiveError(f"cannot write {path}: no such folder")
    except OSError as error:
        raise SerLiveError(f"cannot write {path}: {error.strerror}") from error


def check_apart(one: Path, other: Path) -> None:
    """Check that two outputs are not the same file, by any names.

    Raises:
        SerLiveError: the second would destroy the first.
    """
    is_same = os.path.realpath(one) == os.path.realpath(other)
    with suppress(OSError):  # files that do not exist yet have only their names to compare
        is_same = is_same or one.samefile(other)
    if is_same:
        raise SerLiveError(f"{one} and {other} are one file; name two")


def write_whole(path: Path, content: bytes, force: bool) -> None:
    """Write a file atomically: at any time it is either complete or as before.

    A device or a pipe is written to as it is; standard streams are refused.

    Raises:
        SerLiveError: as in :func:`check_output`.
        RunFailure: it cannot be written.
    """
    check_output(path, force)
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{os.getpid()}.partial")  # short, because names have a limit
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(content)
            return
        try:
            with partial.open("xb") as file:
                # Windows has no modes of open files.
                if target.exists() and os.chmod in os.supports_fd:
                    os.chmod(file.fileno(), target.stat().st_mode)  # noqa: PTH101 (it is open)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise RunFailure(f"cannot write {path}: {error.strerror}") from error


class OutputFile:
    """A text file that is created, or emptied, when the first text comes.

    Attributes:
        path: where it is.
    """

    def __init__(
        self, path: Path, force: bool, inputs: Iterable[Path] = (), *, appends: bool = False
    ) -> None:
        """Check the path as :func:`check_output` does; ``appends`` allows and keeps existing text.

        Raises:
            SerLiveError: as in that function.
        """
        check_output(path, force or appends, inputs)
        self.path = path
        self._mode: Literal["a", "w", "x"] = "a" if appends else "w" if force else "x"
        self._file: TextIO | None = None

    def write(self, text: str, /) -> None:
        """Write text.

        Raises:
            SerLiveError: the file cannot be created.
            OSError: it cannot be written.
        """
        if self._file is None:
            self._file = self._open()
        self._file.write(text)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as failure:
            self._remove_if_empty()
            if error is None:  # the first error is the one to report
                raise RunFailure(f"cannot write {self.path}: {failure.strerror}") from failure
        if error is not None:
            self._remove_if_empty()

    def _remove_if_empty(self) -> None:
        """Remove a new file that got nothing: it would be in the way of the next try."""
        with suppress(OSError):
            if self._mode == "x" and not self.path.stat().st_size:
                self.path.unlink()

    def _open(self) -> TextIO:
        try:
            # The formats write their own line ends, the same on every system.
            return self.path.open(
                self._mode, encoding="utf-8", errors="backslashreplace", newline=""
            )
        except FileExistsError as error:
            raise SerLiveError(f"{self.path} exists", option=_OVERWRITES) from error
        except OSError as error:
            raise SerLiveError(f"cannot write {self.path}: {error.strerror}") from error
