"""How a command of the training ends: in one line and with an exit code, whatever stops it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from streamer.errors import RunFailure, SerLiveError, told
from streamer.outputs import say_on_stderr
from train.whole_file import is_of_disk

#: Signals that stop a command.
STOPS = (signal.SIGINT, signal.SIGTERM)
#: Exit codes after Ctrl-C and SIGTERM: 128 + the number of the signal, as in shells.
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143


class _Terminated(KeyboardInterrupt):
    """SIGTERM came, as from a scheduler of jobs."""


def exit_code_of(work: Callable[[], int], advice: Callable[[], str] = str) -> int:
    """Return what ``work`` returns; or say in one line why it ended, and return that exit code.

    Args:
        work: what the command does, reading its options included.
        advice: what the line adds after a signal.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return work()
    except SerLiveError as error:
        say_on_stderr(told(error, "train"))
        return error.exit_code
    except OSError as error:
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
    except KeyboardInterrupt as stopped:
        say_on_stderr(f"train: stopped{advice()}")
        return EXIT_TERMINATED if isinstance(stopped, _Terminated) else EXIT_INTERRUPTED


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated
