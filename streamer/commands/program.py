"""The command ``ser-live``. Data goes to stdout, messages for people to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from io import TextIOWrapper

from streamer.commands.configuration import Applied
from streamer.commands.parser import parse
from streamer.errors import ReaderGone, RunFailure, SerLiveError, printable, told
from streamer.outputs import say_on_stderr
from streamer.session.interrupts import Interrupted, Interrupts

#: Plus the signal's number, as in shells: 130 after Ctrl-C.
EXIT_SIGNAL = 128


def main(arguments: Sequence[str], interrupts: Interrupts) -> int:
    """Run the command and return its exit code.

    Raises:
        Interrupted: a signal came; everything written is complete.
    """
    applied = Applied()
    try:
        options = parse(arguments)
        applied = options.configuration
        for line in applied.notices:
            say_on_stderr(told(line))
        command = import_module(f"streamer.commands.{options.command}.run")
        interrupts.check()
        with own_stderr():
            code: int = command.run(options, interrupts)
        interrupts.check()  # one may have come after the last look
        return code
    except ReaderGone as error:
        return error.exit_code
    except SerLiveError as error:
        line = told(error)
        say_on_stderr(f"{line}{printable(applied.origin(line))}")
        return error.exit_code


@contextmanager
def own_stderr() -> Iterator[None]:
    """Keep the output of native libraries (mp3 decoder, ALSA, PortAudio) off the user's stderr.

    They write to file descriptor 2; meanwhile ``sys.stderr`` gets another one.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed: nothing to keep clean
        yield
        return
    ours, theirs = os.fdopen(kept, "w", buffering=1, errors="backslashreplace"), sys.stderr
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = ours
    try:
        yield
    finally:
        sys.stderr = theirs
        os.dup2(kept, 2)
        with suppress(OSError):  # the terminal was closed
            ours.close()


def own_stdout() -> None:
    """Keep the output of native libraries (libsndfile, on damaged ALAC) out of the data, for good.

    They write to file descriptor 1, sometimes only when the process ends; ``sys.stdout`` gets
    another one, and so does ``sys.__stdout__``, from which argparse and rich get the terminal's
    size.

    Under Windows, data in a pipe or a redirected file is what ``--output`` writes: UTF-8 with the
    formats' own line ends, not the console's code page and CR LF for every LF.
    """
    if sys.stdout is None:
        return
    if sys.platform == "win32" and sys.stdout.isatty():
        return  # Windows measures a console by descriptor 1 only, and the screen needs its size
    is_windows = sys.platform == "win32"
    sys.stdout = os.fdopen(
        os.dup(1),
        "w",
        encoding="utf-8" if is_windows else sys.stdout.encoding,
        errors="backslashreplace",
        newline="" if is_windows else None,
    )
    sys.__stdout__ = sys.stdout  # type: ignore[misc]  # only typeshed calls it final
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _reserve_standard_streams() -> None:
    """Reserve the descriptors of closed standard streams, or the next opened file would take them.

    Python has set those streams to None by now, which still shows that they were closed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 (lives on)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name may not fit the terminal
            stream.reconfigure(errors="backslashreplace")


def _flush_stdout() -> None:
    """Flush stdout.

    Raises:
        RunFailure: the reader is gone, or the disk is full.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        _leave_stdout()
        raise ReaderGone("the output was closed by its reader") from error
    except OSError as error:
        _leave_stdout()
        raise RunFailure(f"cannot write standard output: {error.strerror}") from error


def _leave_stdout() -> None:
    """Leave nothing for the interpreter to wait for or complain about."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _has_children() -> bool:
    """Return whether a process still runs that was killed, as on a mount whose server is gone."""
    multiprocessing = sys.modules.get("multiprocessing")
    return multiprocessing is not None and bool(multiprocessing.active_children())


def run() -> None:
    """Entry point of the console script."""
    interrupts = Interrupts()
    try:
        interrupts.install()
        _reserve_standard_streams()
        own_stdout()
        code = main(sys.argv[1:], interrupts)
    except Interrupted as interrupted:
        code = EXIT_SIGNAL + interrupted.number if interrupted.number else 0
        if interrupted.is_impatient:
            _leave_stdout()
    except SystemExit as stop:  # argparse, after --help
        code = int(stop.code or 0)
    interrupts.ignore()
    try:
        _flush_stdout()
    except RunFailure as error:
        if code == 0:
            if not isinstance(error, ReaderGone):
                say_on_stderr(told(error))
            code = error.exit_code
    if _has_children():  # Python would wait for them without end
        os._exit(code)
    sys.exit(code)
