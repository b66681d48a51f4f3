"""Recordings behind URLs: how they are listed, and fetched when it is their turn.

The extra ``remote`` brings fsspec and s3fs; fsspec knows some twenty protocols, each of which needs
its own package. Credentials, endpoints and proxies are configured as these packages say.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from streamer.commands.score.finding.patience import Say, T, is_lasting, patiently
from streamer.commands.score.finding.places import (
    Place,
    Url,
    fixed_part,
    is_explicit,
    is_pattern,
    suffix_of,
)
from streamer.commands.score.hearing.signs import Alive, no_sign
from streamer.errors import RunFailure, SerLiveError

#: Without an answer for so long, a server of http counts as silent.
_SILENT_S = 60.0
_S3 = ("s3://", "s3a://")


def check_remote() -> None:
    """Check that URLs can be read at all.

    Raises:
        RunFailure: fsspec is not installed.
    """
    if find_spec("fsspec") is None:
        raise RunFailure("a URL needs fsspec: pip install 'ser-live[remote]'")


@contextmanager
def folder_of_copies(places: Iterable[Place]) -> Iterator[Path | None]:
    """Give a temporary folder for copies of recordings, which is deleted at the end.

    Whoever makes it outlives the processes that fetch to it: those are killed in the middle.

    Args:
        places: where the recordings are, or begin; without a URL there is no folder.

    Raises:
        RunFailure: it cannot be made.
    """
    if not any(isinstance(place, Url) for place in places):
        yield None
        return
    try:
        folder = Path(tempfile.mkdtemp(prefix="ser-live-"))
    except OSError as error:
        raise RunFailure(f"cannot make a temporary folder: {error.strerror}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def local_copy(
    place: Place,
    size: int | None,
    say: Say,
    folder: Path | None = None,
    say_at_once: Say | None = None,
    alive: Alive = no_sign,
) -> Iterator[Path]:
    """Give the path of a recording for the length of the context.

    What is behind a URL is fetched to a temporary file, which is deleted at the end. Faults of the
    network are tried again, after growing waits.

    Args:
        place: path, which is given back, or URL.
        size: bytes that a listing promised; None if unknown.
        say: prints a line for the user, if it took several tries.
        folder: where the temporary file is made; None for the system's folder.
        say_at_once: prints a line before the second try.
        alive: is called as bytes come.

    Raises:
        RunFailure: the temporary file cannot be made or written.
        SerLiveError: it cannot be fetched.
    """
    if not isinstance(place, Url):
        yield place
        return
    suffix = re.sub(r"[^.\w]", "", suffix_of(place))[:16]
    try:
        descriptor, name = tempfile.mkstemp(suffix, "ser-live-", folder)
        os.close(descriptor)
    except OSError as error:
        raise RunFailure(f"cannot make a temporary file: {error.strerror}") from error
    try:
        where = tempfile.gettempdir()  # that of the run lies in it
        fetch = partial(_fetch, place, name, size, alive)
        patiently(fetch, f"{place}: fetched", f"{place}: ", say, where, say_at_once)
        yield Path(name)
    finally:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 (the name is a text)


def _fetch(url: Url, name: str, size: int | None, alive: Alive) -> None:
    """Fetch once.

    Raises:
        OSError: fewer bytes came than the server has; and whatever a protocol raises.
    """
    from fsspec.callbacks import Callback

    alive()
    system, path = _opened(url)
    system.get_file(path, name, callback=Callback(hooks={"alive": lambda *_, **__: alive()}))
    got = os.path.getsize(name)  # noqa: PTH202 (the name is a text)
    if size is not None and got != size:
        with suppress(AttributeError):
            system.invalidate_cache()
        whole = system.info(path).get("size")  # it may have been replaced since it was listed
        if got != whole:
            raise OSError(errno.EIO, f"{got} of {whole} bytes came")


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
    page, other folders one by one. A name that holds wildcards goes before what it matches.

    Raises:
        SerLiveError: it cannot be listed; what came before has been yielded.
    """
    if url.startswith(("http://", "https://")):
        yield url, None, True
        return
    system, path = patiently(lambda: _opened(url), f"{url}: opened", f"{url}: ", say, None, say)

    def ask(do: Callable[[], T]) -> T:
        return patiently(do, f"{url}: listed", f"cannot list {url}: ", say, None, say)

    try:
        info: Any = ask(lambda: system.info(path)) if path else {"type": "directory"}
    except SerLiveError as error:
        if is_pattern(path) and is_lasting(error.__cause__):  # there is no such name
            yield from _matches(url, system, path, ask)
            return
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
    """Yield what matches a pattern, as if named if the pattern says which suffix."""
    is_named = is_explicit(path)
    if url.startswith(_S3):
        from fsspec.utils import glob_translate

        wanted = re.compile(glob_translate(path))
        for name, size in _pages(system, fixed_part(path), ask):
            if wanted.match(name):
                yield Url(_url(system, name, url)), size, is_named
        return
    found = ask(lambda: system.glob(path, detail=True))
    for name, info in sorted(found.items()):
        if info["type"] != "directory":
            yield Url(_url(system, name, url)), info.get("size"), is_named


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


def _url(system: Any, name: str, like: str) -> str:
    """Return the URL of a name in the file system that another URL led to."""
    head, chain, rest = like.partition("::")
    if chain and "://" not in head:  # a cache, which has the names of what it keeps
        return f"{head}::{_url(system, name, rest)}"
    scheme = head.partition("://")[0]
    if name.startswith(f"{scheme}://"):
        return f"{name}{chain}{rest}"
    own = system.unstrip_protocol(name).partition("://")[2]
    return f"{scheme}://{own}{chain}{rest}"
