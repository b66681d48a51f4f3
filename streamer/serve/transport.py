"""uvicorn's protocols with limits against hostile peers."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, cast

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from streamer.errors import told
from streamer.outputs import say_on_stderr
from streamer.serve.config import Limits
from streamer.serve.door import Newcomers, TlsDoor

if TYPE_CHECKING:
    import h11

#: Time for a request to arrive and be answered, for the first from the connection's beginning.
REQUEST_S = 15.0
#: Connections that wait in the system, and that are accepted before any of them is checked.
BACKLOG = 64
#: Files of this process that are not clients': its own, and connections about to be cut off.
_OWN_FILES = 64 + 4 * BACKLOG
#: Bytes parsed at a time, and how long a connection may parse before the others' turn: a piece may
#: hold hundreds of frames.
PIECE_BYTES = 2_048
_TURN_S = 0.001
#: Key in a connection's state for the function that cuts it off at once.
ABORT = "abort"


class HttpProtocol(H11Protocol):
    """HTTP/1.1; cuts off a connection that requests nothing, or without end.

    Attributes:
        most: most connections at once, streams and others; one more is cut off.
        newcomers: connections whose first request has not come.
        refused: counts connections cut off, by reason.
    """

    # All connections of a server share these; a subclass sets them.
    most: ClassVar[int]
    newcomers: ClassVar[Newcomers]
    refused: ClassVar[Counter[str]]
    _deadline: asyncio.TimerHandle | None = None
    _is_upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self.refused["connections"] += 1
            transport.abort()
            return
        self.newcomers.add(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self.newcomers.remove(self.transport)
        self._unset_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None or self._is_upgraded:  # the request is complete
            self.newcomers.remove(self.transport)
        if not self._is_upgraded:
            self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._is_upgraded = True  # and the transport has another protocol from now on
        self._unset_deadline()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """Set a deadline from a request's first byte to the answer's last."""
        if self.timeout_keep_alive_task is not None:  # another deadline holds between requests
            self._unset_deadline()
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(REQUEST_S, self._give_up)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self.refused["request"] += 1
        self.transport.abort()


def http_protocol(
    limits: Limits, refused: Counter[str], tls: ssl.SSLContext | None = None
) -> Callable[..., asyncio.Protocol]:
    """Return what makes a protocol for each connection, with or without TLS.

    Together they have the limits' connections, or as many as this process may have files.

    Args:
        limits: limits on clients.
        refused: counts connections cut off, by reason.
        tls: what a TLS server needs; None for none.
    """
    burst = limits.streams + limits.waiting
    first_requests = Newcomers(limits.waiting, burst, "request", refused)
    handshakes = Newcomers(limits.waiting, burst, "handshake", refused)
    refusals = refused

    class Bounded(HttpProtocol):
        most = _room_for(limits.streams + 2 * limits.waiting, 0 if tls is None else limits.waiting)
        newcomers = first_requests
        refused = refusals

    def behind_tls(**arguments: Any) -> TlsDoor:
        assert tls is not None
        return TlsDoor(tls, handshakes, lambda: Bounded(**arguments))

    return Bounded if tls is None else behind_tls


def _room_for(wanted: int, more: int) -> int:
    """Return how many of the wanted connections the system allows this process, beside more.

    If it allows fewer, say so.
    """
    try:
        import resource
    except ImportError:  # Windows
        return wanted
    own = _OWN_FILES + more
    needed = wanted + own
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    found = min(wanted, max(soft - own, soft // 4))
    if found < wanted:
        say_on_stderr(
            told(
                f"the system allows {soft} open files, so that {found} connections fit; "
                "ulimit -n raises it"
            )
        )
    return found


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket, with protection against hostile peers.

    The application can cut off a connection; thousands of tiny frames in one piece block nobody;
    pongs do not accumulate for a peer that does not read them.
    """

    _unparsed = b""
    _parsed = 0

    def data_received(self, data: bytes) -> None:
        self._unparsed = self._unparsed[self._parsed :] + data
        self._parsed = 0
        self._parse()

    def _parse(self) -> None:
        """Parse what came, then yield to other connections."""
        until_s = time.monotonic() + _TURN_S
        while not self.read_paused:  # else the application must read its messages first
            if not self.disconnected and not self.transport.is_closing():
                first, self._parsed = self._parsed, self._parsed + PIECE_BYTES
                super().data_received(self._unparsed[first : self._parsed])
            is_over = self.disconnected or self.transport.is_closing()
            if is_over or self._parsed >= len(self._unparsed):
                self._unparsed, self._parsed = b"", 0
                if not self.read_paused and not is_over:
                    self.transport.resume_reading()
                return
            if time.monotonic() >= until_s and not self.read_paused:
                self.transport.pause_reading()
                self.loop.call_soon(self._parse)
                return

    async def send(self, message: ASGISendEvent) -> None:
        # Lost to an error, which the protocol hears of in the loop's next turn: until then many
        # lines might be written to nobody, and asyncio would complain of them on stderr.
        if self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)
        # After a close nobody receives, and the peer's own close may be in what was not parsed yet.
        if message["type"] == "websocket.close" and not self.read_paused:
            self._parse()

    async def receive(self) -> ASGIReceiveEvent:
        if not self.queue.empty():
            await asyncio.sleep(0)  # one message a turn: many that came at once delay nobody
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self._parse()
        return message

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            state = cast(dict[str, object], self.scope["state"])
            state[ABORT] = self.transport.abort

    def handle_bytes(self, event: Frame) -> None:
        if not event.fin or self.close_sent or not self.queue.empty():
            super().handle_bytes(event)  # blocks the peer until the application has read it
            return
        # Usually nothing else waits: blocking the peer would cost more than the message.
        self.queue.put_nowait({"type": "websocket.receive", "bytes": bytes(event.data)})

    def handle_ping(self) -> None:
        output = self.conn.data_to_send()
        # A peer that does not read needs no answers (RFC 6455, 5.5.3); one that is gone, neither.
        if self.writable.is_set() and not self.transport.is_closing():
            self.transport.write(b"".join(output))
