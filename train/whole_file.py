"""Atomic writing of files, even if the process is stopped."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from streamer.errors import RunFailure

#: The system's errors of a disk.
_DISK = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EIO, errno.EROFS)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that replaces ``path`` once it is written.

    An interrupted write leaves the old file; concurrent writers do not interfere.

    Raises:
        RunFailure: it cannot be written, as on a full disk.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            yield stream
        partial.replace(path)
    except Exception as error:
        if (failure := _failure_of(error)) is None:
            raise
        raise RunFailure(f"cannot write {path}: {failure.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def is_of_disk(error: OSError) -> bool:
    """Return whether the disk has failed or has no room."""
    return error.errno in _DISK


def _failure_of(error: BaseException | None) -> OSError | None:
    """Return the failure of the disk behind an error: torch wraps it in its own."""
    while error is not None and not (isinstance(error, OSError) and is_of_disk(error)):
        error = error.__cause__ or error.__context__
    return error
