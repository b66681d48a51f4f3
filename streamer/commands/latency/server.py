"""Measures a running server with many paced streams: latency of its labels, and its cost."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from streamer.bundled import bundled
from streamer.client import is_address
from streamer.commands.latency import STREAMS
from streamer.commands.latency.spread import Spread
from streamer.commands.latency.stopped import read_timesteps
from streamer.counting import counted
from streamer.errors import RunFailure, SerLiveError
from streamer.signal import SAMPLE_RATE
from streamer.sound.source import NO_SIGNALS, Signals

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

#: Audio per message.
BLOCK_S = 0.04
#: Time after the last stream has begun, before the count starts.
SETTLING_S = 3.0
#: An estimate later than this beyond its look-ahead is a miss.
LATE_MS = 100.0
#: Connections opened at the same time.
_AT_ONCE = 16
_TIME = b'"time":'


@dataclass(frozen=True)
class Load:
    """The load for a server.

    Attributes:
        url: the server's URL, ``ws://`` or ``http://``, or the same with TLS.
        streams: number of streams at once.
        seconds: seconds to count.
        recording: recording that every stream plays, from its own start; None for the demo.
        token: the server's token, if it requires one.
    """

    url: str
    streams: int = 1
    seconds: float = 30.0
    recording: Path | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        if not is_address(self.url, ("ws", "wss", "http", "https")):
            raise SerLiveError(
                f"--server is an address such as ws://127.0.0.1:8765, not {self.url!r}"
            )
        if self.streams not in STREAMS:
            raise SerLiveError(f"--streams must lie in {STREAMS[0]}..{STREAMS[-1]}")
        if not 1 <= self.seconds <= 86_400:
            raise SerLiveError("--seconds must lie in 1..86400")

    def address(self, scheme: str) -> str:
        """Return the server's URL as ``ws`` or ``http``, with or without TLS as given."""
        parts = urlsplit(self.url)
        is_tls = parts.scheme in ("wss", "https")
        return f"{scheme}{'s' if is_tls else ''}://{parts.netloc}"


@dataclass(frozen=True)
class ServerCost:
    """The measurement. Durations are in ms.

    Attributes:
        streams: number of streams at once, all of them to the end.
        seconds: seconds counted.
        estimates: number of estimates in that time.
        beyond: from the moment at which the last audio that an estimate may depend on, framing and
            look-ahead included, was due to be sent, to its arrival at the client.
        late: number of estimates for which that was more than :data:`LATE_MS`.
        sent_late: lateness of the client's own audio, which ``beyond`` includes.
        cores: processor time of the server over time; None if it does not tell.
        memory_mb: the server's memory, with all streams.
        stream_mb: memory per stream.
    """

    streams: int
    seconds: float
    estimates: int
    beyond: Spread
    late: int
    sent_late: Spread
    cores: float | None
    memory_mb: float | None
    stream_mb: float | None


@dataclass
class _Counted:
    """Counts that all players add to."""

    is_on: bool = False
    beyond_ms: list[float] = field(default_factory=list)
    sent_late_ms: list[float] = field(default_factory=list)
    begun: int = 0


def measure_server(load: Load, signals: Signals = NO_SIGNALS) -> ServerCost:
    """Play paced streams to a server and measure its latency.

    Args:
        load: what is played, and where.
        signals: end the measurement.

    Raises:
        SerLiveError: the recording cannot be read.
        RunFailure: the server is not there, refuses a stream, or websockets is not installed.
    """
    samples = read_timesteps(load.recording or bundled("demo.flac"), 60.0).ravel()
    try:
        import websockets  # noqa: F401 (asked for before the loop begins)
    except ImportError as error:
        raise RunFailure("--server needs websockets: pip install 'ser-live[serve]'") from error
    data = np.round(np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()
    return asyncio.run(_measure(load, data, signals))


async def _measure(load: Load, data: bytes, signals: Signals) -> ServerCost:
    counted = _Counted()
    before = await asyncio.to_thread(_figures, load)
    gate = asyncio.Semaphore(_AT_ONCE)
    players = [asyncio.create_task(_play(load, data, gate, counted)) for _ in range(load.streams)]
    try:
        while counted.begun < load.streams:
            await _pause(0.1, signals)
            _check(players)
        await _pause(SETTLING_S, signals)
        first = await asyncio.to_thread(_figures, load)
        began_s, counted.is_on = time.monotonic(), True
        await _pause(load.seconds, signals)
        counted.is_on = False
        took_s = time.monotonic() - began_s
        last = await asyncio.to_thread(_figures, load)
        _check(players)
    finally:
        for player in players:
            player.cancel()
        await asyncio.gather(*players, return_exceptions=True)
    beyond = np.array(counted.beyond_ms)
    if not len(beyond):
        raise RunFailure("the server gave no estimate in this time")
    cpu, memory = "process_cpu_seconds_total", "process_resident_bytes"
    has_memory = memory in last and memory in before
    return ServerCost(
        load.streams,
        took_s,
        len(beyond),
        Spread.of(beyond),
        int(np.count_nonzero(beyond > LATE_MS)),
        Spread.of(np.array(counted.sent_late_ms)),
        (last[cpu] - first[cpu]) / took_s if cpu in last else None,
        last[memory] / 1e6 if has_memory else None,
        (last[memory] - before[memory]) / 1e6 / load.streams if has_memory else None,
    )


async def _pause(seconds: float, signals: Signals) -> None:
    """Sleep, and look for signals: one raised in any other task would be lost in it."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        signals.check()
        await asyncio.sleep(min(left_s, 0.1))


def _check(players: list[asyncio.Task[None]]) -> None:
    """Check that all streams are still there."""
    for player in players:
        if player.done():
            error = player.exception()
            if isinstance(error, RunFailure):
                raise error
            raise RunFailure(f"a stream was lost: {error or 'the server ended it'}")


async def _play(load: Load, data: bytes, gate: asyncio.Semaphore, counted: _Counted) -> None:
    """Play a stream, at the pace of the clock."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus, WebSocketException

    headers = {} if load.token is None else {"Authorization": f"Bearer {load.token}"}
    try:
        async with gate:
            client = await connect(
                f"{load.address('ws')}/v1/stream", additional_headers=headers, compression=None
            )
            await client.send('{"type":"start","sample_rate":16000,"source":"load"}')
            head = json.loads(await client.recv())
    except InvalidStatus as error:
        status = error.response.status_code
        hint = "; set SER_LIVE_TOKEN to its token" if status == 401 else ""
        raise RunFailure(f"{load.url}: refused with {status}{hint}") from error
    except WebSocketException as error:
        raise RunFailure(f"{load.url}: no stream: {error}") from error
    except OSError as error:
        raise RunFailure(f"{load.url}: {_why_away(error)}") from error
    async with _leaving(client):
        if head["type"] != "session":
            raise RunFailure(f"{load.url}: {head.get('message')}")
        counted.begun += 1
        due: list[float] = []
        sending = asyncio.create_task(_send(client, data, due, counted))
        try:
            look_ahead_s = head["look_ahead_ms"] / 1000.0
            while True:
                text = await client.recv(decode=False)
                now_s = time.monotonic()
                at = text.find(_TIME)
                if at < 0:
                    raise RunFailure(f"{load.url}: {json.loads(text).get('message')}")
                if not counted.is_on:
                    continue
                time_s = float(text[at + len(_TIME) : text.index(b",", at)])
                needed = int(np.ceil((time_s + look_ahead_s) / BLOCK_S - 1e-6)) - 1
                counted.beyond_ms.append(1000.0 * (now_s - due[min(needed, len(due) - 1)]))
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending


@asynccontextmanager
async def _leaving(client: ClientConnection) -> AsyncIterator[None]:
    """Close the connection at the end as one who leaves, code 1000.

    The connection's own context would report an error of the client, 1011: players are cancelled.
    """
    try:
        yield
    finally:
        await client.close()


async def _send(client: ClientConnection, data: bytes, due: list[float], counted: _Counted) -> None:
    """Send a block whenever it is due, without end, and note when each was due."""
    size = 2 * round(BLOCK_S * SAMPLE_RATE)
    blocks = [data[at : at + size] for at in range(0, len(data) - size + 1, size)]
    index = random.randrange(len(blocks))
    next_s = time.monotonic() + random.random() * BLOCK_S
    while True:
        if (rest_s := next_s - time.monotonic()) > 0:
            await asyncio.sleep(rest_s)
        due.append(next_s)
        if counted.is_on:
            counted.sent_late_ms.append(1000.0 * (time.monotonic() - next_s))
        await client.send(blocks[index])
        index = (index + 1) % len(blocks)
        next_s += BLOCK_S


def _figures(load: Load) -> dict[str, float]:
    """Return the values of the server's /metrics; empty if it does not tell."""
    request = urllib.request.Request(f"{load.address('http')}/metrics")
    if load.token is not None:
        request.add_header("Authorization", f"Bearer {load.token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
    except (urllib.error.HTTPError, HTTPException):  # another kind of server
        return {}
    except OSError as error:
        raise RunFailure(f"{load.url}: {_why_away(error)}") from error
    try:
        return figures_of(body.decode())
    except ValueError:  # another kind of page
        return {}


def _why_away(error: OSError) -> str:
    """Return why a server does not answer."""
    # urllib wraps the cause in an error of its own.
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted here: {cause.verify_message}; SSL_CERT_FILE may name "
            "one that is to be trusted"
        )
    if isinstance(cause, ssl.SSLError):
        return "what answers there does not speak TLS: say ws://"
    return "no server answers there"


def figures_of(metrics: str) -> dict[str, float]:
    """Return the values in the text of a server's /metrics, by name without ``ser_live_``."""
    pairs = [line.rsplit(" ", 1) for line in metrics.splitlines() if line and line[0] != "#"]
    return {name.removeprefix("ser_live_"): float(value) for name, value in pairs}


def server_text(cost: ServerCost) -> str:
    """Return the figures as text."""

    def row(name: str, one: Spread) -> str:
        values = "".join(f"{value:9.1f}" for value in (one.p50, one.p95, one.p99, one.max))
        return f"  {name:<34}{values}"

    def shown(value: float | None, unit: str) -> str:
        return "not told" if value is None else f"{value:.2f} {unit}"

    costs = (
        f"{shown(cost.cores, 'cores')}, {shown(cost.memory_mb, 'MB')}, "
        f"{shown(cost.stream_mb, 'MB a stream')}"
    )
    if cost.cores is None and cost.memory_mb is None:
        costs = "its /metrics cannot be read"
    share = cost.late / cost.estimates
    return "\n".join(
        [
            f"At the server: {counted(cost.streams, 'paced stream')}, {cost.seconds:.0f} s (ms)",
            f"  {'':<34}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}",
            row("beyond framing and look-ahead", cost.beyond),
            row("of that, the client was late", cost.sent_late),
            f"  over {LATE_MS:.0f} ms: {cost.late} of {counted(cost.estimates, 'estimate')} "
            f"({share:.2%})",
            f"  server: {costs}",
        ]
    )
