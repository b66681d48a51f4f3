"""What one connection may hold on to, and for how long."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import asyncio
import socket
import time

import pytest

from streamer.serve import connection, transport
from streamer.serve.access import Access
from streamer.serve.config import Limits, ServerConfig
from streamer.serve.connection import Connection
from streamer.serve.hearing import Hearing
from streamer.serve.metrics import Metrics
from streamer.serve.protocol import Code, Ending, Start
from streamer.serve.stepping import Stepper
from streamer.serve.streams import Streams
from streamer.serve.transport import ABORT
from tests.serve.serving import END, converse, start


class Deaf:
    """A client that sends nothing and takes nothing, until it is cut off."""

    def __init__(self):
        self.gone = asyncio.Event()
        self.scope = {"state": {ABORT: self.gone.set}}

    async def receive(self):
        await self.gone.wait()
        return {"type": "websocket.disconnect", "code": 1006}

    async def send_text(self, _):
        await self.gone.wait()
        raise RuntimeError("it is gone")


@pytest.mark.parametrize("idle_s", [0.2, 30.0], ids=["while it lasts", "after its end"])
def test_a_client_that_takes_nothing_is_cut_off(shipped, monkeypatch, idle_s):
    monkeypatch.setattr(connection, "_LAST_WORDS_S", 0.3)

    async def main():
        loop = asyncio.get_running_loop()

        def hand_over(outcomes):
            loop.call_soon_threadsafe(lambda: [one.take(outcome) for outcome in outcomes])

        stepper = Stepper(hand_over, print, Metrics())
        hearing = Hearing(Start(16_000), shipped)
        one = Connection(Deaf(), hearing, stepper, Limits(idle_s=idle_s), Metrics())
        if idle_s > 1:
            one.end(Ending(Code.DONE, "enough"))
        try:
            async with asyncio.timeout(10):
                await one.run()
        finally:
            stepper.close()
        return one.ending.reason

    assert asyncio.run(main()) == "the client does not read its results"


def test_a_split_client_takes_as_many_streams_as_it_has_channels(serve_with):
    server = serve_with({"streams": 3})

    async def both():
        from websockets.asyncio.client import connect

        from tests.serve.serving import talk

        async with connect(server.stream) as first:
            await first.send(start(channels=2, channels_wanted="split"))
            await first.recv()
            second = await talk(server.stream, [start(channels=2, channels_wanted="split")])
            return second, await asyncio.to_thread(server.figures)

    second, figures = asyncio.run(both())
    assert "all 3 streams of this server are taken" in second.reason
    assert figures["streams"] == figures["streams_started_total"] == 2
    four = converse(server.stream, start(channels=4, channels_wanted="split"))
    assert (four.code, four.reason) == (1008, "start: 4 streams are wanted, this server has 3")
    many = converse(server.stream, start(channels=64, channels_wanted="split"))
    assert many.reason == "start: 8 channels at most can be split, there are 64"
    while server.figures()["streams"]:
        time.sleep(0.01)
    before = server.figures().get('streams_ended_total{code="1000"}', 0)
    assert converse(server.stream, start(channels=3, channels_wanted="split"), END).code == 1000
    while server.figures()["streams"]:  # its end is counted a moment after the client hears of it
        time.sleep(0.01)
    assert server.figures()['streams_ended_total{code="1000"}'] == before + 3


_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def closes(client):
    """Whether the server ends a connection soon."""
    client.settimeout(5)
    try:
        while client.recv(4_096):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("rest", [b"", b"G", _REQUEST[:-2]])
def test_a_request_that_never_ends_is_cut_off(serve_with, monkeypatch, rest):
    monkeypatch.setattr(transport, "REQUEST_S", 0.5)
    server = serve_with()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(_REQUEST)
        time.sleep(0.2)
        if rest:
            client.recv(4_096)
            client.sendall(rest)
            assert closes(client)
        else:  # one that is quiet between two requests has a little longer
            time.sleep(0.6)
            client.sendall(_REQUEST)
            client.settimeout(5)
            time.sleep(0.2)
            assert client.recv(8_192).count(b"HTTP/1.1 200") == 2


def test_the_number_is_one_that_the_process_may_have(monkeypatch):
    given = []
    resource = pytest.importorskip("resource", reason="this system has no limits on open files")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1_024))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: given.append(both))
    assert transport._room_for(100, 0) == 100
    assert transport._room_for(10_000, 50) == 1_024 - 50 - transport._OWN_FILES
    assert given == [(100 + transport._OWN_FILES, 1_024), (1_024, 1_024)]


def test_an_origin_that_is_none_is_refused():
    assert not Access(None, ()).is_own_page({"origin": "http://[x", "host": "localhost"})


def test_a_stream_that_begins_while_the_server_goes_is_ended(shipped):
    """The signal comes while the stream is being made."""
    ended = []

    class Asks:
        query_params = {"sample_rate": "16000"}  # noqa: RUF012
        client = None

    async def main():
        streams = Streams(ServerConfig(), [shipped], Metrics())
        beginning = asyncio.create_task(streams._begin(Asks(), {}))
        await asyncio.sleep(0)
        draining = asyncio.create_task(streams.drain())
        one = await beginning
        await asyncio.sleep(0.05)
        ended.append((one.member.ending.code, draining.done()))
        draining.cancel()
        streams.close()

    asyncio.run(main())
    assert ended == [(Code.GOING_AWAY, False)]
