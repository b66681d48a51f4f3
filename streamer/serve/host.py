"""``ser-live serve``: runs a server, from its options to its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from streamer.errors import RunFailure, SerLiveError, told
from streamer.outputs import say_on_stderr
from streamer.recognition.recognizer import Recognizer
from streamer.serve.access import is_loopback
from streamer.serve.config import ServerConfig
from streamer.serve.log import written_apart
from streamer.session.interrupts import Interrupted, Interrupts, ending_signals
from streamer.signal import SAMPLE_RATE

if TYPE_CHECKING:
    import uvicorn

    from streamer.serve.app import Server

_EXTRA = ("starlette", "uvicorn", "websockets")
#: The system's send buffer per connection: some ten seconds of results.
_SEND_BUFFER_BYTES = 1 << 16
#: Time after which the stepping thread lets the event loop run: each write to a socket gives up the
#: interpreter's lock and waits for it again. With Python's 5 ms the latency of 95 streams has a p99
#: of 161 ms instead of 135.
_SWITCH_S = 0.0005


def serve(config: ServerConfig, interrupts: Interrupts) -> None:
    """Serve until a signal comes, then end the open streams.

    Raises:
        SerLiveError: the address, the certificate or the model is not available.
        RunFailure: the extra is not installed, or the port is taken.
        Interrupted: a signal came; every stream has had its last line.
    """
    listening = listen(config)
    try:
        models = (config.model, *config.also)
        recognizers = [Recognizer.load(model, config.prior) for model in models]
        names = [one.metadata.name for one in recognizers]
        if len(set(names)) < len(names):
            raise SerLiveError(f"two models go by one name: {', '.join(names)}")
        # Checked last: whatever else is wrong would still be wrong with the extra.
        if any(find_spec(name) is None for name in _EXTRA):
            raise RunFailure("serve needs Starlette and uvicorn: pip install 'ser-live[serve]'")
        host = Host(config, recognizers, listening)
        sys.setswitchinterval(_SWITCH_S)
        prepare(recognizers)
        with written_apart(), _signals(host.stop):
            interrupts.check()  # one may have come while it started
            number = asyncio.run(host.run())
    finally:
        listening.close()
    raise Interrupted(number)


def prepare(recognizers: Sequence[Recognizer]) -> None:
    """Do at the start what would delay the first streams, or all of them later."""
    import streamer.serve.app  # noqa: F401 (imported now, not at the first connection)

    for one in recognizers:
        one.stream().accept(np.zeros(SAMPLE_RATE, np.float32))  # imports what a step needs
    # What is here now stays to the end. Looking through it for garbage, as Python does when
    # connections come and go, would stop all streams for 40 to 100 ms.
    gc.collect()
    gc.freeze()


def listen(config: ServerConfig) -> socket.socket:
    """Return the bound socket; outside loopback only with a token.

    Raises:
        SerLiveError: there is no such address, or it needs a token.
        RunFailure: it is not available.
    """
    try:
        found = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, ValueError) as error:  # a name may be malformed
        raise SerLiveError(f"--host {config.host}: there is no such address") from error
    family, _, _, _, address = found[0]
    if config.token is None and not is_loopback(str(address[0])):
        raise SerLiveError(
            f"--host {config.host} can be reached from other machines: say a --token, or set "
            "SER_LIVE_TOKEN"
        )
    try:
        listening = socket.create_server(address[:2], family=family, backlog=128)
        # Connections inherit it, so that unread results wait where they are counted.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        return listening
    except OSError as error:
        # Python adds the address to the system's own words.
        why = os.strerror(error.errno) if error.errno else str(error)
        raise RunFailure(f"cannot listen at {config.host}, port {config.port}: {why}") from error


class Host:
    """A server from its socket to its end."""

    def __init__(
        self, config: ServerConfig, recognizers: Sequence[Recognizer], listening: socket.socket
    ) -> None:
        """Serve recognizers' streams at a listening socket; :meth:`run` begins."""
        self._config = config
        self._recognizers = recognizers
        self._listening = listening
        self._stops: list[int] = []
        self._stopped, self._is_impatient = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self, number: int) -> None:
        """End the streams, then the server; the second time, do not wait. For any thread."""
        self._stops.append(number)
        if self._loop is not None:
            event = self._stopped if len(self._stops) == 1 else self._is_impatient
            self._loop.call_soon_threadsafe(event.set)

    async def run(self) -> int:
        """Serve until stopped; return the number passed to :meth:`stop`.

        Raises:
            SerLiveError: the certificate or its key cannot be used.
            RunFailure: the server ended by itself.
        """
        import uvicorn

        from streamer.serve.app import Server

        self._loop = asyncio.get_running_loop()
        server = Server(self._config, self._recognizers)
        try:
            host = uvicorn.Server(_settings(self._config, server))
            _tell(self._config, self._listening)
            # Not ``serve``, which would handle the signals itself.
            running = asyncio.create_task(host._serve([self._listening]))
            if self._stops:  # stopped before the loop existed
                self._stopped.set()
            await _first_of(running, asyncio.create_task(self._stopped.wait()))
            if not self._stopped.is_set():
                await running
                raise RunFailure("the server ended by itself")
            impatience = asyncio.create_task(self._is_impatient.wait())
            await _first_of(asyncio.create_task(server.streams.drain()), impatience)
            host.should_exit = True
            host.force_exit = self._is_impatient.is_set()
            impatience.cancel()
            await running
        finally:
            server.streams.close()
        return self._stops[0]


def _settings(config: ServerConfig, server: Server) -> uvicorn.Config:
    """Return uvicorn's settings.

    Raises:
        SerLiveError: the certificate or its key cannot be used.
    """
    import uvicorn

    from streamer.serve.door import tls_context
    from streamer.serve.transport import BACKLOG, WebSocketProtocol, http_protocol

    # Its warnings are about clients; errors of this server are logged here.
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    tls = None if config.certfile is None else tls_context(config.certfile, config.keyfile)
    settings = uvicorn.Config(
        server.app(),
        loop="asyncio",
        http=http_protocol(config.limits, server.metrics.refused, tls),  # type: ignore[arg-type]
        ws=WebSocketProtocol,
        backlog=BACKLOG,
        ws_max_size=config.limits.message_bytes,
        ws_ping_interval=20.0,
        ws_ping_timeout=None,  # a pong may wait behind audio; the idle limit ends dead peers
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )
    settings.load()
    return settings


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _tell(config: ServerConfig, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    scheme = "http" if config.certfile is None else "https"
    shown = f"[{host}]" if ":" in host else host
    needs = "" if config.token is None else "; the page asks for the token"
    say_on_stderr(told(f"{scheme}://{shown}:{port}/ is the page{needs}; Ctrl-C ends the server"))


@contextmanager
def _signals(stop: Callable[[int], None]) -> Iterator[None]:
    """Let signals stop the server; any that the caller ignores (nohup) stay ignored."""
    before: dict[int, Any] = {}
    for one in ending_signals():
        if signal.getsignal(one) is not signal.SIG_IGN:
            before[one] = signal.signal(one, lambda number, _frame: stop(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
