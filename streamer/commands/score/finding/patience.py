"""What a network is asked again, and what its errors say in a line."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from streamer.errors import RunFailure, SerLiveError

#: Waits before the second try and those after it, in seconds.
WAITS_S = (1.0, 3.0, 9.0)
#: Faults that another try does not mend.
_LASTING = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    ImportError,
    TypeError,
    ValueError,
)
#: Answers of http that may be others in a moment: timeout, too early, too many requests.
_PASSING = (408, 425, 429)
#: Errors of botocore about what it is asked, by name: it is not imported for other protocols.
_LASTING_OF_BOTOCORE = (
    "ConfigParseError",
    "InvalidConfigError",
    "InvalidRegionError",
    "NoCredentialsError",
    "NoRegionError",
    "ParamValidationError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "ValidationError",
)
#: Answers of S3 with a status of 4xx that pass all the same.
_PASSING_OF_S3 = ("RequestTimeout", "RequestTimeTooSkewed", "SlowDown", "Throttling")
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))

Say = Callable[[str], None]
T = TypeVar("T")


def patiently(
    do: Callable[[], T],
    done: str,
    named: str,
    say: Say,
    folder: object | None = None,
    say_at_once: Say | None = None,
) -> T:
    """Do something on the network, several times if it fails.

    Args:
        do: what to do.
        done: what a line for the user says before "at try 3".
        named: what stands before the error.
        say: prints that line.
        folder: where it writes; None if it does not write.
        say_at_once: prints a line before the second try.

    Raises:
        RunFailure: the disk of the folder is full.
        SerLiveError: it failed each time, or in a way that stays.
    """
    first = ""
    for tried, wait_s in enumerate((*WAITS_S, None), 1):
        try:
            result = do()
        # Every protocol raises errors of its own, some of them no OSError.
        except Exception as error:
            if folder is not None and isinstance(error, OSError) and error.errno in _FULL:
                raise RunFailure(f"cannot write to {folder}: disk full") from error
            reason = reason_of(error)
            if wait_s is None or is_lasting(error):
                times = f" (after {tried} tries)" if tried > 1 else ""
                raise SerLiveError(f"{named}{reason}{times}") from error
            if not first and say_at_once is not None:
                say_at_once(f"{named}{reason}; trying again")
            first = first or reason
            time.sleep(wait_s)
        else:
            if tried > 1:
                say(f"{done} at try {tried} ({first})")
            return result
    raise AssertionError


def is_lasting(error: BaseException | None) -> bool:
    """Return whether another try would fail as well."""
    status = getattr(error, "status", None)  # of aiohttp
    if isinstance(status, int):
        return _is_refusal(status)
    return (
        isinstance(error, _LASTING)
        or _is_lasting_of_botocore(error)
        or _is_lasting_of_botocore(getattr(error, "__cause__", None))
    )


def _is_refusal(status: int) -> bool:
    return 400 <= status < 500 and status not in _PASSING


def _is_lasting_of_botocore(error: BaseException | None) -> bool:
    botocore: Any = sys.modules.get("botocore.exceptions")
    if botocore is None:
        return False
    if isinstance(error, botocore.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return _is_refusal(status) and not code.startswith(_PASSING_OF_S3)
    return isinstance(error, tuple(getattr(botocore, name) for name in _LASTING_OF_BOTOCORE))


def reason_of(error: Exception) -> str:
    """Return what an error says, in a line."""
    if isinstance(error, FileNotFoundError):
        return "No such file or directory"
    if isinstance(error, ImportError):
        is_ours = any(name in str(error) for name in ("fsspec", "s3fs", "aiohttp"))
        return f"{error}; pip install 'ser-live[remote]'" if is_ours else str(error)
    status, message = getattr(error, "status", None), getattr(error, "message", None)
    if isinstance(status, int):
        return f"the server answers {status} {message or ''}".rstrip()
    lines = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    if not lines:
        return type(error).__name__
    is_heading = lines[0].endswith(":") and len(lines) > 1
    return f"{lines[0]} {lines[1].strip()}" if is_heading else lines[0]
