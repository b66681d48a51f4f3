"""Connections that have requested nothing yet: few at once, and not for long."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from streamer.errors import SerLiveError

#: Time for a TLS handshake.
HANDSHAKE_S = 10.0
#: Time for which nobody is pushed out: clients may come by hundreds, as after a restart.
CHANCE_S = 1.0


class Newcomers:
    """Connections of which the server knows nothing but that they are there.

    Each has a second; then a newer one pushes it out. So thousands of connections that go no
    further fill no memory and keep nobody out, and many clients that come at once are let in.
    """

    def __init__(self, most: int, burst: int, reason: str, refused: Counter[str]) -> None:
        """Let connections in.

        Args:
            most: how many stay for more than a second.
            burst: how many there may be at any moment.
            reason: key in ``refused`` for those that are cut off.
            refused: counts connections that are cut off, by reason.
        """
        self._most, self._burst = most, burst
        self._reason = reason
        self._refused = refused
        #: When each came, by the event loop's clock; the oldest first.
        self._came_s: dict[asyncio.BaseTransport, float] = {}

    def __len__(self) -> int:
        return len(self._came_s)

    def add(self, transport: asyncio.Transport) -> None:
        """Let a connection in."""
        loop = asyncio.get_running_loop()
        self._came_s[transport] = loop.time()
        if len(self._came_s) > self._burst:
            self.cut_off(next(iter(self._came_s)))
        if len(self._came_s) > self._most:
            loop.call_later(CHANCE_S, self._thin_out)

    def remove(self, transport: asyncio.BaseTransport) -> None:
        """Stop counting a connection, which has gone further or has left."""
        self._came_s.pop(transport, None)

    def _thin_out(self) -> None:
        """Cut off the oldest while there are too many, but nobody who has just come."""
        before_s = asyncio.get_running_loop().time() - CHANCE_S
        while len(self._came_s) > self._most:
            oldest, came_s = next(iter(self._came_s.items()))
            if came_s > before_s:  # the call for this one will come
                return
            self.cut_off(oldest)

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
        SerLiveError: the certificate or its key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        _check_pem(certfile, keyfile or certfile)
        context.load_cert_chain(certfile, keyfile)
    except OSError as error:  # ``ssl.SSLError`` is one
        raise SerLiveError(f"the certificate or its key cannot be used: {error}") from error
    return context


def _check_pem(certfile: Path, keyfile: Path) -> None:
    """Check that the files hold what they should: OpenSSL does not name what is missing.

    Raises:
        SerLiveError: one lacks it, or the key is encrypted.
    """
    if b"-----BEGIN CERTIFICATE-----" not in certfile.read_bytes():
        raise SerLiveError(f"{certfile} holds no certificate in PEM form")
    key = keyfile.read_bytes()
    if b"PRIVATE KEY-----" not in key:
        hint = "; name the key with --keyfile" if keyfile == certfile else ""
        raise SerLiveError(f"{keyfile} holds no private key in PEM form{hint}")
    if b"ENCRYPTED" in key:
        raise SerLiveError(
            f"the private key in {keyfile} is encrypted; write it without a passphrase"
        )
