"""Where a recording is: a path, or a URL that fsspec understands."""

from __future__ import annotations

import os
import re
from pathlib import Path

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+(::|://)")
_PATTERN = re.compile(r"[*?\[]")
#: Characters that some file systems refuse in a name.
_REFUSED = re.compile(r'[<>:"|?*\\]')


class Url(str):
    """A URL, as ``s3://bucket/x.wav``."""

    __slots__ = ()


Place = Path | Url


def place_of(text: str) -> Place:
    """Return the place that a command line or a table names: a file that is there is no URL."""
    return Url(text) if _URL.match(text) and not os.path.lexists(text) else Path(text)


def is_pattern(text: str) -> bool:
    """Return whether a text holds wildcards; in an http URL, ``?`` begins a query instead."""
    if text.startswith(("http://", "https://")):
        return False
    return _PATTERN.search(text) is not None


def fixed_part(pattern: str) -> str:
    """Return what stands before a pattern's first wildcard."""
    return _PATTERN.split(pattern, maxsplit=1)[0]


def is_explicit(pattern: str) -> bool:
    """Return whether a pattern says which suffix its matches have, as ``*.raw`` does."""
    suffix = os.path.splitext(pattern)[1]  # noqa: PTH122 (it may be a URL)
    return bool(suffix) and not is_pattern(suffix)


def identity_of(place: Place) -> str:
    """Return what two names of one recording share; links keep their names."""
    return place if isinstance(place, Url) else os.path.abspath(place)  # noqa: PTH100


def own_part(url: Url) -> str:
    """Return the part of a chain of URLs that names the file.

    That is ``zip://x.wav`` of ``zip://x.wav::s3://bucket/x.zip``, and ``s3://bucket/x.wav`` of
    ``simplecache::s3://bucket/x.wav``.
    """
    head, chain, rest = url.partition("::")
    return head if not chain or "://" in head else own_part(Url(rest))


def base_name(place: Place) -> str:
    """Return the last part of a path, or of a URL."""
    if isinstance(place, Url):
        return own_part(place).rstrip("/").rpartition("/")[2]
    return place.name


def suffix_of(place: Place) -> str:
    """Return the suffix of a path or of a URL, in small letters."""
    return os.path.splitext(base_name(place))[1].lower()  # noqa: PTH122 (it may be a URL)


def below(folder: Path, place: Place, ending: str) -> Path:
    """Return a path of its own for a place in a folder, with an ending after the name."""
    if isinstance(place, Url):
        scheme, _, rest = place.partition("://")
        parts = [_REFUSED.sub("_", part) for part in rest.split("/") if part not in ("", ".", "..")]
        within = Path(_REFUSED.sub("_", scheme), *parts)
        return folder / within.with_name(f"{within.name}{ending}")
    if ".." in place.parts:
        place = Path(os.path.abspath(place))  # noqa: PTH100 (links keep their names)
    drive = place.drive.replace(":", "").strip("\\/")
    within = place.relative_to(place.anchor)
    return folder / drive / within.with_name(f"{within.name}{ending}")
