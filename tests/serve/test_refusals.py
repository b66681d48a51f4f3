"""Whatever a client does wrong is told to it in words, and costs nobody else anything."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import asyncio
import json
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streamer.errors import SerLiveError
from streamer.serve.config import Limits, ServerConfig
from tests.serve.serving import END, converse, get, start, talk

TOKEN = "0123456789abcdef-a-token"
SECOND = bytes(32_000)


def refused(heard, code, words):
    assert heard.code == code, (heard.code, heard.reason, heard.messages[-1:])
    assert words in (heard.error or heard.reason)
    assert heard.reason
    assert heard.error is None or heard.error.startswith(heard.reason[:100])


@pytest.mark.parametrize(
    ("first", "code", "words"),
    [
        ("no json", 1003, "must be a JSON object"),
        ("[1]", 1003, "must be a JSON object"),
        ("[" * 4_000, 1003, "must be a JSON object"),
        ("{" + " " * 70_000, 1009, "69632 characters at most"),
        ('{"sample_rate":16000}', 1003, 'with a "type"'),
        ('{"type":"end"}', 1008, 'must be of the type "start"'),
        (b"\0\0", 1003, "the first message must be text"),
        ('{"type":"start"}', 1008, "sample_rate is missing"),
        (start(0), 1008, "sample_rate must be a whole number in 1000..768000, is 0"),
        (start(16_000.0), 1008, "sample_rate must be a whole number"),
        (start(True), 1008, "sample_rate must be a whole number"),
        (start("48000"), 1008, "sample_rate must be a whole number"),
        (start(channels=0), 1008, "channels must be a whole number in 1..64"),
        (start(channels=65), 1008, "channels must be a whole number in 1..64"),
        (start(sample_format="mp3"), 1008, "sample_format must be one of u8"),
        (start(sample_format=["s16le"]), 1008, "sample_format must be one of u8"),
        (start(prior="mine"), 1008, "prior must be one of everyday, balanced"),
        (start(channels_wanted=2), 1008, "channels_wanted must be mix, split, or a number"),
        (start(channels_wanted="left"), 1008, "channels_wanted must be mix, split, or a number"),
        (start(source=""), 1008, "source must be printable text"),
        (start(source="a\x1b[2J"), 1008, "source must be printable text"),
        (start(profile="me"), 1008, "profile: it is no profile of a voice"),
        (start(profile={}), 1008, "profile: it is no profile of a voice"),
        (start(profile={"type": "profile", "schema": 2}), 1008, "it has schema 2"),
        (start(profile={"type": "profile", "schema": 1, "mean": []}), 1008, "made is missing"),
        (start(adapts="no"), 1008, "adapts must be true or false, is 'no'"),
        (start(adapts=1), 1008, "adapts must be true or false, is 1"),
        (start(**{"a" * 999: 1}), 1008, "there is no field 'aaa"),
    ],
)
def test_a_wrong_start(server, first, code, words):
    refused(converse(server.stream, first), code, words)


@pytest.mark.parametrize(
    ("messages", "code", "words"),
    [
        ([b"\0\0\0", END], 1007, "ends 1 byte into a sample of 2"),
        ([b"RIFF\0\0\0\0WAVEfmt "], 1007, "a sound file came where raw PCM belongs"),
        ([SECOND, "hello"], 1003, "must be a JSON object"),
        ([SECOND, '{"type":"start","sample_rate":16000}'], 1008, "after start comes binary audio"),
        ([SECOND, '{"type":"end","now":1}'], 1008, "after start comes binary audio"),
        ([SECOND, "{" + " " * 5_000], 1009, "4096 characters at most"),
        ([bytes(2 << 20)], 1009, "exceeds limit"),
    ],
)
def test_wrong_audio(server, messages, code, words):
    refused(converse(server.stream, start(), *messages), code, words)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_sample_that_is_none_ends_the_stream_with_what_was_heard(server, value):
    samples = np.zeros(16_000, "<f4")
    samples[12_000] = value
    heard = converse(server.stream, start(sample_format="f32le"), samples.tobytes())
    refused(heard, 1007, "a sample at 0.750 s is NaN, infinite or beyond all scale")
    assert [one["type"] for one in heard.messages[-2:]] == ["end", "error"]
    assert heard.messages[-2]["duration"] == 0.75


def test_the_loudest_audio_there_is_harms_nobody(server):
    noise = np.random.default_rng(0).choice([-1e6, 1e6], 48_000).astype("<f4")
    heard = converse(server.stream, start(44_100, sample_format="f32le"), noise.tobytes(), END)
    assert heard.code == 1000


def test_one_stream_too_many(serve_with):
    server = serve_with({"streams": 2})

    async def three():
        async with connect(server.stream) as one, connect(server.stream) as two:
            for client in (one, two):
                await client.send(start())
                assert json.loads(await client.recv())["type"] == "session"
            third = await talk(server.stream, [start()])
            for client in (one, two):
                await client.send(END)
                assert json.loads(await client.recv())["type"] == "end"
        return third, await talk(server.stream, [start(), END])

    third, fourth = asyncio.run(three())
    refused(third, 1013, "all 2 streams of this server are taken; try again later")
    assert fourth.code == 1000  # there is room again
    assert server.figures()['refused_total{reason="streams"}'] == 1


def test_connections_that_do_not_begin_are_let_in_up_to_a_number(serve_with):
    server = serve_with({"streams": 1, "waiting": 2, "start_s": 0.5})

    async def many():
        waiting = [await connect(server.stream) for _ in range(3)]
        with pytest.raises(InvalidStatus) as error:
            await connect(server.stream)
        for one in waiting:
            with pytest.raises(ConnectionClosed):
                while True:
                    await one.recv()
        return error.value.response.status_code, waiting[0].close_code, waiting[0].close_reason

    assert asyncio.run(many()) == (503, 1008, "the first message did not come in time")


def test_a_stream_that_is_silent_is_closed(serve_with):
    server = serve_with({"idle_s": 0.3})
    heard = converse(server.stream, start(), SECOND, 5.0)
    refused(heard, 1008, "nothing came for 0.3 s")
    assert heard.messages[-2]["type"] == "end"


def test_a_stream_may_not_last_for_ever(serve_with):
    server = serve_with({"longest_s": 0.5})
    heard = converse(server.stream, start(), *[bytes(640), 0.02] * 200)
    refused(heard, 1008, "a stream may last 0.5 s")
    assert heard.messages[-2]["type"] == "end"


def test_a_client_that_never_reads_is_cut_off_and_nobody_waits_for_it(serve_with):
    server = serve_with({"unread_bytes": 20_000})

    async def deaf_and_other():
        deaf = await raw_client(server.port, receive_buffer=4_096)
        deaf.sendall(frame(start().encode(), opcode=1))
        deaf.setblocking(False)
        waiting = memoryview(frame(bytes(32_000)) * 2_000)  # half an hour
        other = asyncio.create_task(talk(server.stream, [start(), *[SECOND] * 5, END]))
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            await asyncio.sleep(0.01)
            try:
                waiting = waiting[deaf.send(waiting[:65_536]) :]
            except BlockingIOError:
                continue
            except OSError:
                break
        else:
            pytest.fail("it was not cut off")
        deaf.close()
        return await other

    heard = asyncio.run(deaf_and_other())
    assert heard.code == 1000
    assert len(heard.estimates) == 125
    figures = server.figures()
    assert figures['streams_ended_total{code="1008"}'] == 1
    assert figures["streams"] == 0


async def raw_client(port, receive_buffer):
    """A socket after the handshake, in nobody's care."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.to_thread(client.connect, ("127.0.0.1", port))
    client.sendall(
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += await asyncio.to_thread(client.recv, 1)
    assert b" 101 " in answer
    return client


def frame(data, opcode=2):
    """A masked frame, its mask zero."""
    head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, len(data))
    return head + bytes(4) + data


@pytest.mark.parametrize("opcode", [2, 9], ids=["messages", "pings"])
def test_thousands_of_tiny_frames_hold_nobody_up(server, opcode):
    tiny = struct.pack("!BB", 0x80 | opcode, 0x80 | 1) + bytes(5)

    async def flood_and_other():
        flood = await raw_client(server.port, receive_buffer=65_536)
        flood.sendall(frame(start().encode(), opcode=1))
        flood.setblocking(False)
        other = asyncio.create_task(talk(server.stream, [start(), *[SECOND] * 3, END]))
        sent = 0
        while not other.done():
            with suppress(BlockingIOError):
                sent += flood.send(tiny * 5_000)
            await asyncio.sleep(0.005)
        flood.close()
        assert sent > 30_000
        return await other

    heard = asyncio.run(flood_and_other())
    assert heard.code == 1000
    assert len(heard.estimates) == 75


def test_garbage_instead_of_frames(server):
    async def garbage():
        client = await raw_client(server.port, receive_buffer=65_536)
        client.sendall(np.random.default_rng(0).bytes(3_000))
        client.settimeout(20)
        said = b""
        while piece := await asyncio.to_thread(client.recv, 4_096):
            said += piece
        client.close()
        return said

    assert asyncio.run(garbage())[:1] == b"\x88"  # a closing frame
    assert get(f"{server.http}/healthz")[0] == 200


# Who may come in


@pytest.fixture
def guarded(serve_with):
    return serve_with(token=TOKEN, allow_origins=("https://friend.example",))


def status_of(url, **options):
    async def attempt():
        try:
            async with connect(url, **options):
                return 101, ""
        except InvalidStatus as error:
            return error.response.status_code, error.response.body.decode()

    return asyncio.run(attempt())


def test_a_token_is_demanded(guarded):
    status, body = status_of(guarded.stream)
    assert status == 401
    assert "the right token is needed" in json.loads(body)["message"]
    for wrong in ("x", TOKEN[:-1], TOKEN + "x", "ü"):
        assert status_of(f"{guarded.stream}?token={wrong}")[0] == 401
    bearer = {"additional_headers": {"Authorization": f"Bearer {TOKEN}"}}
    assert status_of(guarded.stream, **bearer)[0] == 101
    assert status_of(f"{guarded.stream}?token={TOKEN}")[0] == 101


def test_the_page_is_open_and_the_figures_are_not(guarded):
    assert get(f"{guarded.http}/")[0] == 200
    assert get(f"{guarded.http}/healthz")[0] == 200
    for path in ("metrics", "v1/info"):
        assert get(f"{guarded.http}/{path}")[0] == 401
        assert get(f"{guarded.http}/{path}", TOKEN)[0] == 200
    assert guarded.figures(TOKEN)['refused_total{reason="token"}'] == 2


def test_pages_of_other_servers_are_refused(guarded, server):
    address = f"{guarded.stream}?token={TOKEN}"
    own = guarded.http
    for origin, status in [
        ("https://friend.example", 101),
        (own, 101),
        ("https://evil.example", 403),
        ("http://friend.example", 403),
        ("null", 403),
        (f"{own}.evil.example", 403),
        ("http://127.0.0.1:1", 403),
    ]:
        assert status_of(address, origin=origin)[0] == status, origin
    assert status_of(server.stream, origin="https://evil.example")[0] == 403


def test_a_foreign_name_is_refused_where_no_token_guards(server, guarded):
    """A page's own name may lead here; its browser then thinks that we are that page."""
    assert get(f"{server.http}/v1/info", Host="evil.example")[0] == 403
    assert get(f"{server.http}/", Host="evil.example:80")[0] == 403
    for name in ("localhost:8765", "127.0.0.1", "[::1]:8765"):
        assert get(f"{server.http}/v1/info", Host=name)[0] == 200
    assert get(f"{guarded.http}/v1/info", TOKEN, Host="ser.example")[0] == 200


def test_every_page_has_a_strict_policy(server):
    import urllib.request

    for path in ("", "page.js", "healthz"):
        with urllib.request.urlopen(f"{server.http}/{path}") as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
    assert get(f"{server.http}/../etc/passwd")[0] == 404


def test_a_stream_without_a_websocket_is_told_what_it_needs(server):
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.http}/v1/stream", timeout=30)
    assert caught.value.code == 426
    assert caught.value.headers["Upgrade"] == "websocket"
    assert "connect with a WebSocket client" in json.loads(caught.value.read())["message"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"token": "short"}, "16 characters or more"),
        ({"token": "sixteen letters and a space"}, "ASCII"),
        ({"port": 70_000}, "0..65535"),
        ({"allow_origins": ("example.org",)}, "a scheme and a host"),
        ({"allow_origins": ("https://example.org/path",)}, "a scheme and a host"),
        ({"allow_origins": ("http://[",)}, "a scheme and a host"),
        ({"allow_origins": ("http://",)}, "a scheme and a host"),
        ({"keyfile": "a.pem"}, "goes with --certfile"),
        ({"certfile": Path("x" * 300)}, "no such file"),
    ],
)
def test_a_wrong_configuration_is_told(options, words):
    with pytest.raises(SerLiveError, match=words):
        ServerConfig(**options)


def test_limits_are_above_zero():
    with pytest.raises(SerLiveError, match="--max-streams must be more than 0 and finite, is 0"):
        Limits(streams=0)
