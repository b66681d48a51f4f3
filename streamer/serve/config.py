"""What a server is told, checked when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

from streamer.errors import SerLiveError
from streamer.recognition.prior import BALANCED, Prior

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
#: A token that can be guessed is none.
SHORTEST_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask of the server. All times are in seconds.

    Attributes:
        streams: at once; one more is refused.
        waiting: connections at once that have no stream, because they have not begun or were
            refused; one more is not let in.
        message_bytes: of one message.
        backlog_s: audio of one stream that waits; its client is held up beyond.
        messages_a_second: of one stream; its client is held up beyond.
        unread_bytes: results that wait for one client, which is cut off beyond.
        start_s: until the first message has to come.
        idle_s: without any message, after which a stream is closed.
        longest_s: of one stream, by the clock.
        drain_s: for what is under way when the server is told to stop.
    """

    streams: int = 200
    waiting: int = 100
    message_bytes: int = 1 << 20
    backlog_s: float = 2.0
    messages_a_second: float = 1000.0
    unread_bytes: int = 1 << 20
    start_s: float = 10.0
    idle_s: float = 60.0
    longest_s: float = 4 * 3600.0
    drain_s: float = 20.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not 0 < value < math.inf:
                raise SerLiveError(f"the limit {one.name} must be more than 0, is {value}")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where a server listens, who may come, and what they may ask.

    Attributes:
        host: name or address to listen at.
        port: 0 takes one that is free.
        token: that clients must show; None asks for none, which only loopback may have.
        allow_origins: pages of other servers that may connect, as ``https://host[:port]``.
        certfile: certificate, in PEM; with it the server speaks TLS only.
        keyfile: its private key, in PEM; None where the certificate's file holds it too.
        model: file or name of a shipped model; None for the default.
        also: more of them, which a client may name.
        prior: of streams that name none.
        adapts: whether streams that do not say get to know the voice that they hear.
        logs_addresses: name the address of each client in the log.
        limits: of clients.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token: str | None = None
    allow_origins: tuple[str, ...] = ()
    certfile: Path | None = None
    keyfile: Path | None = None
    model: Path | None = None
    also: tuple[Path, ...] = ()
    prior: Prior = BALANCED
    adapts: bool = True
    logs_addresses: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise SerLiveError(f"--port must lie in 0..65535, is {self.port}")
        if self.token is not None:
            if len(self.token) < SHORTEST_TOKEN:
                raise SerLiveError(f"the token must have {SHORTEST_TOKEN} characters or more")
            if not self.token.isascii() or not self.token.isprintable() or " " in self.token:
                raise SerLiveError("the token must be of ASCII letters, digits and signs")
        for origin in self.allow_origins:
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or f"{parts.scheme}://{parts.netloc}" != origin
            ):
                raise SerLiveError(
                    f"--allow-origin is a scheme and a host, such as https://example.org; is "
                    f"{origin!r}"
                )
        if self.keyfile is not None and self.certfile is None:
            raise SerLiveError("--keyfile goes with --certfile")
        for path in filter(None, (self.certfile, self.keyfile)):
            if not path.is_file():
                raise SerLiveError(f"{path}: no such file")
