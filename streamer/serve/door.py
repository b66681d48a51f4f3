"""Connections that have requested nothing yet: few at once, and not for long."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path

#: Time for a TLS handshake.
HANDSHAKE_S = 10.0


class Newcomers:
    """Connections of which the server knows nothing but that they are there.

    A newer one pushes the oldest out. So who opens thousands of connections and goes no further
    fills no memory, and keeps nobody out who says at once what he wants.
    """

    def __init__(self, most: int, reason: str, refused: Counter[str]) -> None:
        """Let in so many at once; count under a reason those that are cut off."""
        self._most = most
        self._reason = reason
        self._refused = refused
        self._transports: dict[asyncio.BaseTransport, None] = {}  # in order of their coming

    def __len__(self) -> int:
        return len(self._transports)

    def add(self, transport: asyncio.Transport) -> None:
        """Let a connection in."""
        self._transports[transport] = None
        if len(self._transports) > self._most:
            self.cut_off(next(iter(self._transports)))

    def remove(self, transport: asyncio.BaseTransport) -> None:
        """Count a connection no longer: it has gone further, or has left."""
        self._transports.pop(transport, None)

    def cut_off(self, transport: asyncio.BaseTransport) -> None:
        """Cut a connection off, and count it as refused."""
        self.remove(transport)
        self._refused[self._reason] += 1
        if isinstance(transport, asyncio.Transport):
            transport.abort()


class TlsDoor(asyncio.Protocol):
    """Does a connection's TLS handshake, then hands it over to the protocol behind.

    asyncio's servers can do it too, but then nobody can count the connections meanwhile, which
    take a third of a megabyte each.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        newcomers: Newcomers,
        make_protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """Wait for a connection, which is handed over to a protocol made then."""
        self._context = context
        self._newcomers = newcomers
        self._make_protocol = make_protocol
        self._behind: asyncio.Protocol | None = None
        self._early = b""
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._newcomers.add(transport)
        transport.pause_reading()  # until TLS takes over
        self._handshake = asyncio.get_running_loop().create_task(self._shake_hands(transport))

    def data_received(self, data: bytes) -> None:
        self._early += data  # decrypted, and before the handshake's end has been noticed

    def connection_lost(self, exc: Exception | None) -> None:
        if self._behind is not None:  # it was lost while it was being handed over
            self._behind.connection_lost(exc)

    async def _shake_hands(self, raw: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)  # in a burst of connections it may be pushed out at once
        if raw.is_closing():
            return
        try:
            encrypted = await loop.start_tls(
                raw,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_S,
            )
        except OSError:  # timeouts and whatever TLS does not accept are of this kind
            self._newcomers.cut_off(raw)
            return
        self._newcomers.remove(raw)
        if encrypted is None or encrypted.is_closing() or raw.is_closing():
            return
        self._behind = behind = self._make_protocol()
        encrypted.set_protocol(behind)
        behind.connection_made(encrypted)
        if self._early:
            behind.data_received(self._early)


def tls_context(certfile: Path, keyfile: Path | None) -> ssl.SSLContext:
    """Return what a TLS server needs.

    Raises:
        OSError: the certificate or its key cannot be used; ``ssl.SSLError`` is one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile, keyfile)
    return context
