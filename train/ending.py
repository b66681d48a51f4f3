"""How a command of the training ends: in one line and with an exit code, whatever stops it."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from streamer.errors import ReaderGone, RunFailure, SerLiveError, told
from streamer.outputs import say_on_stderr
from train.whole_file import is_of_disk

#: Signals that stop a command.
STOPS = (signal.SIGINT, signal.SIGTERM)
#: Exit codes after Ctrl-C and SIGTERM: 128 + the number of the signal, as in shells.
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143
#: The system's errors of a path that cannot be what an option wants of it.
_UNUSABLE = (errno.EACCES, errno.EPERM, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)


class _Terminated(KeyboardInterrupt):
    """SIGTERM came, as from a scheduler of jobs."""


def exit_code_of(work: Callable[[], int], advice: Callable[[], str] = str) -> int:
    """Return what ``work`` returns; or say in one line why it ended, and return that exit code.

    Args:
        work: what the command does, reading its options included.
        advice: end of the line where the same command can go on.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = work()
        if sys.stdout is not None:
            sys.stdout.flush()  # as Python ends, an error of it would be a traceback
        return code
    except (ReaderGone, BrokenPipeError) as error:
        if not (isinstance(error, ReaderGone) or _is_reader_gone()):
            raise  # another pipe: a bug of this program
        say_on_stderr(f"train: the output was closed by its reader{advice()}")
        with suppress(OSError):  # nothing is left to flush as Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ReaderGone.exit_code
    except SerLiveError as error:
        say_on_stderr(told(error, "train"))
        return error.exit_code
    except OSError as error:
        if error.filename is not None and error.errno in _UNUSABLE:
            say_on_stderr(told(f"cannot use {error.filename}: {error.strerror}", "train"))
            return SerLiveError.exit_code
        if not is_of_disk(error):
            raise  # a bug of this program
        where = "a file" if error.filename is None else error.filename
        say_on_stderr(told(f"cannot write {where}: {error.strerror}", "train"))
        return RunFailure.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("train", "model", "streamer"):
            raise  # a bug of this program
        say_on_stderr(f"train: training needs {error.name}: pip install --editable '.[train]'")
        return RunFailure.exit_code
    except BrokenProcessPool:
        say_on_stderr(f"train: a worker process was killed, perhaps for want of memory{advice()}")
        return RunFailure.exit_code
    except KeyboardInterrupt as stopped:
        say_on_stderr(f"train: stopped{advice()}")
        return EXIT_TERMINATED if isinstance(stopped, _Terminated) else EXIT_INTERRUPTED


def _is_reader_gone() -> bool:
    """Return whether nobody reads standard output any more, as far as the system tells."""
    if sys.stdout is None or not hasattr(select, "poll"):
        return sys.stdout is not None
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated
