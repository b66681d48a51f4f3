"""The command ``ser-live``. Data goes to stdout, everything for people to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from io import TextIOWrapper

from streamer.commands.parser import parse
from streamer.errors import ReaderGone, RunFailure, SerLiveError, told
from streamer.outputs import say_on_stderr
from streamer.session.interrupts import Interrupted, Interrupts

#: 128 + the number of the signal, as shells count: 130 after Ctrl-C.
EXIT_SIGNAL = 128


def main(arguments: Sequence[str], interrupts: Interrupts) -> int:
    """Run the command and return its exit code.

    Raises:
        Interrupted: a signal came; what was written is whole.
    """
    try:
        options = parse(arguments)
        # A signal must not come while native libraries initialise; --help needs none of them.
        with interrupts.shielded():
            command = import_module(f"streamer.commands.{options.command}.run")
        with own_stderr():
            code: int = command.run(options, interrupts)
            return code
    except ReaderGone as error:
        return error.exit_code
    except SerLiveError as error:
        say_on_stderr(told(error))
        return error.exit_code


@contextmanager
def own_stderr() -> Iterator[None]:
    """Keep what native libraries (mp3 decoder, ALSA, PortAudio) print off the person's stderr.

    They write to file descriptor 2; ``sys.stderr`` gets another one meanwhile.
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
    """Keep what native libraries print (libsndfile, of damaged ALAC) out of the data, for good.

    They write to file descriptor 1, some of it only when the process ends; ``sys.stdout`` gets
    another one, and so does ``sys.__stdout__``, of which argparse and rich ask the terminal's size.
    """
    if sys.stdout is None:
        return
    encoding = sys.stdout.encoding
    sys.stdout = os.fdopen(os.dup(1), "w", encoding=encoding, errors="backslashreplace")
    sys.__stdout__ = sys.stdout  # type: ignore[misc]  # only typeshed calls it final
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _reserve_standard_streams() -> None:
    """Give closed standard streams a place, or the next file that is opened takes it.

    Python has set those to None by now; that stdout and stdin were closed can still be told.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 (lives on)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name that the terminal cannot show is no error
            stream.reconfigure(errors="backslashreplace")


def _flush_stdout() -> None:
    """Write what is left.

    Raises:
        RunFailure: nobody reads any more, or the disk is full.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        _leave_stdout()
        raise RunFailure(f"cannot write the output: {error.strerror}") from error


def _leave_stdout() -> None:
    """Leave nothing behind for the interpreter to wait for or complain about."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
            say_on_stderr(told(error))
            code = error.exit_code
    sys.exit(code)
