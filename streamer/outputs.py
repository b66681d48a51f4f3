"""Files that results are written to: never over what is read, never emptied for nothing."""

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

#: Width of tables that go to a file.
_PAGE_COLUMNS = 100


class Output(Protocol):
    """Takes text: a :class:`OutputFile` or a standard stream."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


def say_on_stderr(line: str) -> None:
    """One line for the person, who may have closed the terminal."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def dated_path(suffix: str) -> Path:
    """A name in the working folder that says when, numbered where two fall into one second."""
    stem = f"ser-live-{datetime.now():%Y%m%d-%H%M%S}"
    numbered = chain([""], (f"-{number}" for number in count(2)))
    paths = (Path(f"{stem}{number}{suffix}") for number in numbered)
    return next(path for path in paths if not os.path.lexists(path))


def write_line(out: Output, line: str) -> None:
    """One whole line, out at once: a reader at the other end of a pipe is live too.

    Raises:
        RunFailure: nobody reads any more, or the disk is full.
    """
    try:
        out.write(line + "\n")
        out.flush()
    except BrokenPipeError as error:
        raise ReaderGone("the output was closed by its reader") from error
    except OSError as error:
        raise RunFailure(f"cannot write the output: {error.strerror}") from error


#: Folders that hold a process's descriptors by number.
_DESCRIPTORS = ("/dev/fd", "/proc/self/fd", "/proc/thread-self/fd")
#: As many links as Linux follows.
_MOST_LINKS = 40


def show(renderable: RenderableType, out: TextIO | None = None) -> None:
    """Print tables to stdout or another stream, as wide as a page where that is no terminal.

    Raises:
        RunFailure: as of :func:`write_line`.
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
    """Whether a name leads to descriptor 1 or 2, by whatever links.

    Those lead nowhere by now (see ``commands/program.py``), so the links are followed one by one:
    where the last of them ends says nothing.
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
    """Refuse to write where something would be lost.

    Args:
        path: to be written.
        force: an existing file may be overwritten ...
        inputs: ... but none of these, by whatever name.

    Raises:
        SerLiveError: the file exists, is one of the inputs or a standard stream, or its folder is
            missing.
    """
    try:
        if _is_standard_stream(path):
            raise SerLiveError(f"{path} is a standard stream; name a file")
        if os.path.lexists(path):
            if path.is_dir():
                raise SerLiveError(f"{path} is a directory")
            if not force:
                raise SerLiveError(f"{path} exists; --force overwrites it")
            for one in inputs:
                with suppress(OSError):  # an input that is missing is told of when it is read
                    if path.samefile(one):
                        raise SerLiveError(f"{path} is to be read; name another file to write")
        elif not path.absolute().parent.is_dir():
            raise SerLiveError(f"cannot write {path}: no such folder")
    except OSError as error:
        raise SerLiveError(f"cannot write {path}: {error.strerror}") from error


def check_apart(one: Path, other: Path) -> None:
    """Refuse two outputs that are one file, by whatever names.

    Raises:
        SerLiveError: the second would destroy the first.
    """
    is_same = os.path.realpath(one) == os.path.realpath(other)
    with suppress(OSError):  # names of files that do not exist yet are all there is to compare
        is_same = is_same or one.samefile(other)
    if is_same:
        raise SerLiveError(f"{one} and {other} are one file; name two")


def write_whole(path: Path, text: str, force: bool) -> None:
    """Write a file at once: whatever happens meanwhile, it is there whole or as it was before.

    Raises:
        SerLiveError: as of :func:`check_output`.
        RunFailure: it cannot be written.
    """
    check_output(path, force)
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{os.getpid()}.partial")  # short: names have a limit
    try:
        try:
            with partial.open("x", encoding="utf-8", newline="") as file:
                if target.exists():
                    os.chmod(file.fileno(), target.stat().st_mode)  # noqa: PTH101 (it is open)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise RunFailure(f"cannot write {path}: {error.strerror}") from error


class OutputFile:
    """A text file that is made, or emptied, when the first text comes."""

    def __init__(
        self, path: Path, force: bool, inputs: Iterable[Path] = (), *, appends: bool = False
    ) -> None:
        """Check the path as :func:`check_output` does; text can be appended to what is there.

        Raises:
            SerLiveError: as there.
        """
        check_output(path, force or appends, inputs)
        self._path = path
        self._mode: Literal["a", "w", "x"] = "a" if appends else "w" if force else "x"
        self._file: TextIO | None = None

    def write(self, text: str, /) -> None:
        """Write text.

        Raises:
            SerLiveError: the file cannot be made.
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
            if error is None:  # what went wrong first is what is told
                raise RunFailure(f"cannot write {self._path}: {failure.strerror}") from failure

    def _open(self) -> TextIO:
        try:
            # The formats end their lines themselves, alike on every system.
            return self._path.open(
                self._mode, encoding="utf-8", errors="backslashreplace", newline=""
            )
        except FileExistsError as error:
            raise SerLiveError(f"{self._path} exists; --force overwrites it") from error
        except OSError as error:
            raise SerLiveError(f"cannot write {self._path}: {error.strerror}") from error
