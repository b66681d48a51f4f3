"""A server's configuration, checked when it is made."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path

from streamer.errors import SerLiveError
from streamer.recognition.prior import BALANCED, Prior

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
#: Shorter tokens could be guessed.
SHORTEST_TOKEN = 16
#: A scheme and a host, which may be an IPv6 address in brackets, perhaps with a port.
_ORIGIN = re.compile(r"https?://([^\s/?#@\[\]]+|\[[\da-fA-F:.]+\](:\d+)?)")
#: The command's options for limits, by field.
_OPTIONS = {"streams": "--max-streams", "idle_s": "--max-idle", "longest_s": "--max-seconds"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on a client. All times are in seconds.

    Attributes:
        streams: streams at once; one more is refused.
        waiting: connections at once without a stream, because it has not begun or was refused; one
            more is not accepted.
        message_bytes: size of a message.
        backlog_s: waiting audio of a stream; beyond that its client is blocked.
        messages_a_second: messages of a stream; beyond that its client is blocked.
        unread_bytes: waiting results of a client; beyond that it is disconnected.
        start_s: time to wait for the first message.
        idle_s: time without a message after which a stream is closed.
        longest_s: length of a stream, by the clock.
        drain_s: time for open streams to end when the server stops.
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
                named = _OPTIONS.get(one.name, f"the limit {one.name}")
                raise SerLiveError(f"{named} must be more than 0 and finite, is {value:g}")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A server's address, access and limits.

    Attributes:
        host: name or address to listen at.
        port: port to listen at; 0 picks a free one.
        token: token for clients to send; None requires none, which is for loopback only.
        allow_origins: other servers' pages that may connect, as ``https://host[:port]``.
        certfile: certificate, in PEM; with it the server speaks TLS only.
        keyfile: its private key, in PEM; None if the certificate's file contains it.
        model: file or name of a shipped model; None for the default.
        also: more models, which a client may name.
        prior: prior of streams that do not name one.
        adapts: whether streams adapt to their voice by default.
        logs_addresses: whether the log contains clients' addresses.
        limits: limits on clients.
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
                raise SerLiveError(f"--token must have {SHORTEST_TOKEN} characters or more")
            if not self.token.isascii() or not self.token.isprintable() or " " in self.token:
                raise SerLiveError("--token must be of ASCII letters, digits and signs")
        for origin in self.allow_origins:
            if not _ORIGIN.fullmatch(origin):
                raise SerLiveError(
                    f"--allow-origin is a scheme and a host, such as https://example.org; is "
                    f"{origin!r}"
                )
        if self.keyfile is not None and self.certfile is None:
            raise SerLiveError("--keyfile goes with --certfile")
        for path in filter(None, (self.certfile, self.keyfile)):
            if not os.path.isfile(path):  # noqa: PTH113 (Path raises if it may not look)
                raise SerLiveError(f"{path}: no such file, or no permission to look for it")
