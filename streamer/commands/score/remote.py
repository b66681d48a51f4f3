"""Recordings behind URLs: how they are listed, and fetched when it is their turn.

The extra ``remote`` brings fsspec and s3fs; fsspec knows some twenty protocols, each of which needs
its own package. Credentials, endpoints and proxies are configured as these packages say.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from streamer.commands.score.places import Place, Url, fixed_part, is_pattern
from streamer.errors import RunFailure, SerLiveError

#: Waits before the second try and those after it, in seconds.
WAITS_S = (1.0, 3.0, 9.0)
#: Without an answer for so long, a server of http counts as silent.
_SILENT_S = 60.0
#: Faults that another try does not mend.
_LASTING = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    ImportError,
    ValueError,
)
#: Answers of http that may be others in a moment: timeout, too early, too many requests.
_PASSING = (408, 425, 429)
_S3 = ("s3://", "s3a://")

Say = Callable[[str], None]
T = TypeVar("T")


def check_remote() -> None:
    """Check that URLs can be read at all.

    Raises:
        RunFailure: fsspec is not installed.
    """
    if find_spec("fsspec") is None:
        raise RunFailure("a URL needs fsspec: pip install 'ser-live[remote]'")


@contextmanager
def local_copy(place: Place, size: int | None, say: Say) -> Iterator[Path]:
    """Give the path of a recording for the length of the context.

    What is behind a URL is fetched to a temporary file, which is deleted at the end. Faults of the
    network are tried again, after growing waits.

    Args:
        place: path, which is given back, or URL.
        size: bytes that a listing promised; None if unknown.
        say: prints a line for the user, if it took several tries.

    Raises:
        SerLiveError: it cannot be fetched.
    """
    if not isinstance(place, Url):
        yield place
        return
    suffix = re.sub(r"[^.\w]", "", os.path.splitext(place)[1])[:16]  # noqa: PTH122 (it is a URL)
    try:
        descriptor, name = tempfile.mkstemp(suffix, "ser-live-")
        os.close(descriptor)
    except OSError as error:
        raise RunFailure(f"cannot make a temporary file: {error.strerror}") from error
    try:
        patiently(lambda: _fetch(place, name, size), f"{place}: fetched", f"{place}: ", say)
        yield Path(name)
    finally:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 (the name is a text)


def _fetch(url: Url, name: str, size: int | None) -> None:
    """Fetch once.

    Raises:
        OSError: fewer bytes came than the server has; and whatever a protocol raises.
    """
    system, path = _opened(url)
    system.get_file(path, name)
    got = os.path.getsize(name)  # noqa: PTH202 (the name is a text)
    if size is not None and got != size:
        with suppress(AttributeError):
            system.invalidate_cache()
        whole = system.info(path).get("size")  # it may have been replaced since it was listed
        if got != whole:
            raise OSError(errno.EIO, f"{got} of {whole} bytes came")


def patiently(do: Callable[[], T], done: str, named: str, say: Say) -> T:
    """Do something on the network, several times if it fails.

    Args:
        do: what to do.
        done: what a line for the user says before "at try 3".
        named: what stands before the error.
        say: prints that line.

    Raises:
        SerLiveError: it failed each time, or in a way that stays.
    """
    first = ""
    for tried, wait_s in enumerate((*WAITS_S, None), 1):
        try:
            result = do()
        # Every protocol raises errors of its own, some of them no OSError.
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise RunFailure(f"cannot write to {tempfile.gettempdir()}: disk full") from error
            reason = _reason(error)
            if wait_s is None or _is_lasting(error):
                times = f" (after {tried} tries)" if tried > 1 else ""
                raise SerLiveError(f"{named}{reason}{times}") from error
            first = first or reason
            time.sleep(wait_s)
        else:
            if tried > 1:
                say(f"{done} at try {tried} ({first})")
            return result
    raise AssertionError


def _is_lasting(error: Exception) -> bool:
    status = getattr(error, "status", None)  # of aiohttp
    if isinstance(status, int):
        return 400 <= status < 500 and status not in _PASSING
    return isinstance(error, _LASTING)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "No such file or directory"
    if isinstance(error, ImportError):
        is_ours = any(name in str(error) for name in ("fsspec", "s3fs", "aiohttp"))
        return f"{error}; pip install 'ser-live[remote]'" if is_ours else str(error)
    status, message = getattr(error, "status", None), getattr(error, "message", None)
    if isinstance(status, int):
        return f"the server answers {status} {message or ''}".rstrip()
    text = (getattr(error, "strerror", None) or str(error)).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, which keeps no listings, and the path in it."""
    import fsspec

    options: dict[str, Any] = {}
    if url.startswith(("http://", "https://")):
        import aiohttp

        # The default ends a download after five minutes, however fast it comes.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SILENT_S, sock_read=_SILENT_S)
        options["client_kwargs"] = {"timeout": timeout}
    if "::" not in url:
        options["use_listings_cache"] = False  # a million names stay in it otherwise
    system, path = fsspec.url_to_fs(url, **options)
    return system, path


def listed(url: Url, say: Say) -> Iterator[tuple[Url, int | None, bool]]:
    """Yield the files that a URL or a pattern leads to: URL, bytes, and whether it was named.

    A URL of http is one file and is not asked. What is behind a prefix of S3 is listed page by
    page, other folders one by one.

    Raises:
        SerLiveError: it cannot be listed; what came before has been yielded.
    """
    if url.startswith(("http://", "https://")):
        yield url, None, True
        return
    try:
        system, path = _opened(url)
    except (ImportError, ValueError) as error:
        raise SerLiveError(f"{url}: {_reason(error)}") from error

    def ask(do: Callable[[], T]) -> T:
        return patiently(do, f"{url}: listed", f"cannot list {url}: ", say)

    if is_pattern(path):
        yield from _matches(url, system, path, ask)
        return
    try:
        info: Any = ask(lambda: system.info(path)) if path else {"type": "directory"}
    except SerLiveError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        yield url, None, True  # its row says that it is missing
        return
    if info["type"] != "directory":
        yield url, info.get("size"), True
        return
    for name, size in _below(url, system, path, ask):
        yield Url(_url(system, name, url)), size, False


def _matches(url: Url, system: Any, path: str, ask: Any) -> Iterator[tuple[Url, int | None, bool]]:
    """Yield what matches a pattern, as if named."""
    if url.startswith(_S3):
        from fsspec.utils import glob_translate

        wanted = re.compile(glob_translate(path))
        for name, size in _pages(system, fixed_part(path), ask):
            if wanted.match(name):
                yield Url(_url(system, name, url)), size, True
        return
    found = ask(lambda: system.glob(path, detail=True))
    for name, info in sorted(found.items()):
        if info["type"] != "directory":
            yield Url(_url(system, name, url)), info.get("size"), True


def _below(url: Url, system: Any, path: str, ask: Any) -> Iterator[tuple[str, int | None]]:
    if url.startswith(_S3):
        yield from _pages(system, f"{path.rstrip('/')}/", ask)
        return
    folders = [path]
    while folders:
        folder = folders.pop()
        entries = ask(lambda folder=folder: system.ls(folder, detail=True))
        entries = sorted(entries, key=lambda entry: str(entry["name"]))
        for entry in entries:
            if entry["type"] != "directory":
                yield entry["name"], entry.get("size")
        inner = [entry["name"] for entry in entries if entry["type"] == "directory"]
        folders += [name for name in reversed(inner) if name.rstrip("/") != folder.rstrip("/")]


def _pages(system: Any, prefix: str, ask: Any) -> Iterator[tuple[str, int | None]]:
    """Yield what is behind a prefix of S3: s3fs itself would hold all of it in memory."""
    bucket, _, key = prefix.partition("/")
    token: dict[str, str] = {}
    while True:
        page = ask(
            lambda token=token: system.call_s3(
                "list_objects_v2", Bucket=bucket, Prefix=key, **system.req_kw, **token
            )
        )
        for entry in page.get("Contents", ()):
            if not entry["Key"].endswith("/"):  # a folder, as some tools mark it
                yield f"{bucket}/{entry['Key']}", entry["Size"]
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def _url(system: Any, name: str, like: Url) -> str:
    """Return the URL of a name in the file system that another URL led to."""
    head, chain, rest = like.partition("::")
    scheme = head.partition("://")[0]
    if name.startswith(f"{scheme}://"):
        return f"{name}{chain}{rest}"
    own = system.unstrip_protocol(name).partition("://")[2]
    return f"{scheme}://{own}{chain}{rest}"
