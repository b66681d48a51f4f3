"""Access control: by token, by the requesting page, and by the requested host name."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_LOOPBACK_NAMES = ("localhost", "localhost.localdomain")


def is_loopback(host: str) -> bool:
    """Return whether an address is this machine's own, or a name that can mean only that."""
    plain = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(plain).is_loopback
    except ValueError:
        return plain.lower().rstrip(".") in _LOOPBACK_NAMES


class Access:
    """Decides from a request's headers."""

    def __init__(self, token: str | None, allow_origins: tuple[str, ...]) -> None:
        """Without a token, allow only clients on this machine."""
        self._token = token
        self._origins = frozenset(origin.lower() for origin in allow_origins)

    @property
    def needs_token(self) -> bool:
        return self._token is not None

    def has_token(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Return whether the request has the token, in ``Authorization: Bearer`` or as ``?token=``.

        The comparison takes constant time, so that it does not reveal how much of a token is right.
        """
        if self._token is None:
            return True
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            shown = query.get("token", "")
        return hmac.compare_digest(shown.strip().encode(), self._token.encode())

    def is_own_host(self, headers: Mapping[str, str]) -> bool:
        """Return whether the request uses one of the server's own names.

        A foreign page can make its own name lead to this machine; the browser then takes it for
        this server's page. It does not know the token.
        """
        return self._token is not None or is_loopback(_host_of(headers.get("host", "")))

    def is_own_page(self, headers: Mapping[str, str]) -> bool:
        """Return whether the request comes from no page, this server's page, or an allowed one."""
        origin = headers.get("origin")
        if origin is None:
            return True
        if origin.lower() in self._origins:
            return True
        try:
            netloc = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        return bool(netloc) and netloc == headers.get("host", "").lower()


def _host_of(header: str) -> str:
    """Return a Host header without the port."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
