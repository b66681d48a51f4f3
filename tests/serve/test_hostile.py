"""Hostile clients disturb no other, and leave nothing behind."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import asyncio
import gc
import socket
import struct
import time

import numpy as np
import pytest

from streamer.commands.latency.server import Load, measure_server, server_text
from streamer.serve.host import prepare
from streamer.serve.transport import WebSocketProtocol
from tests.helpers.command import ser_live
from tests.helpers.places import CLIPS
from tests.serve.serving import END, assert_same, cut, get, pcm, start, talk
from train.endurance.hostility import KINDS, frame, many, request, text

CONNECTIONS = 120


def test_hostile_clients_beside_others(serve_with, replayed):
    server = serve_with({"idle_s": 2.0, "start_s": 2.0, "unread_bytes": 50_000})

    async def both():
        hostile = asyncio.create_task(many(server.port, CONNECTIONS))
        samples, rate = pcm(CLIPS[2])
        heard = []
        while not hostile.done() or not heard:
            blocks = cut(samples.tobytes(), np.random.default_rng(len(heard)))
            heard.append(await talk(server.stream, [start(rate), *blocks, END]))
        return await hostile, heard

    kinds, heard = asyncio.run(both())
    assert len(kinds) == len(KINDS)
    for one in heard:
        assert one.code == 1000
        assert_same(one.estimates, replayed[CLIPS[2]][1:-1])
    deadline = time.monotonic() + 30
    while server.figures()["streams"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert get(f"{server.http}/healthz") == (200, "ok\n")
    assert server.figures()['streams_ended_total{code="1008"}'] > 0
    assert 'streams_ended_total{code="1011"}' not in server.figures()


def test_messages_that_came_at_once_take_turns_with_everything_else():
    async def turns():
        protocol = WebSocketProtocol.__new__(WebSocketProtocol)
        protocol.queue, protocol.read_paused = asyncio.Queue(), False
        seen = []
        for number in range(3):
            protocol.queue.put_nowait({"type": "websocket.receive", "bytes": bytes([number])})
        for _ in range(3):
            asyncio.get_running_loop().call_soon(seen.append, "another")
            seen.append((await protocol.receive())["bytes"][0])
        return seen

    assert asyncio.run(turns()) == ["another", 0, "another", 1, "another", 2]


@pytest.mark.parametrize(
    ("first", "code"), [(text(start()) + frame(bytes(1_280)), 1000), (text("nonsense"), 1003)]
)
def test_a_client_that_closes_behind_what_nobody_reads_any_more_is_let_go(server, first, code):
    late = frame(bytes(1_200)) * 4
    close = frame(struct.pack("!H", 1000), opcode=8)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(8.0)  # the server's own patience is longer
        client.sendall(request(None))
        client.recv(4_096)
        client.sendall(first + text(END) + late + close)
        said = bytearray()
        while piece := client.recv(65_536):
            said += piece
    assert struct.pack("!H", code) in said[said.rindex(b"\x88") :]  # the closing frame
    assert (b'"overall"' in said) == (code == 1000)


def test_what_a_server_starts_with_is_no_garbage_to_look_through(shipped):
    try:
        prepare([shipped])
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()


def test_nothing_is_written_to_a_client_that_is_gone(server, caplog):
    """asyncio complains of it on stderr, where only lines of the log belong."""
    first = start(channels=8, channels_wanted="split")
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(request(None))
            client.recv(4_096)
            client.sendall(text(first) + frame(bytes(16 * 16_000)))
            client.recv(4_096)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    deadline = time.monotonic() + 30
    while server.figures()["streams"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert caplog.messages == []


def test_the_load_of_paced_streams_is_measured(server):
    cost = measure_server(Load(server.ws, streams=3, seconds=2.0))
    assert cost.streams == 3
    assert cost.estimates > 0
    assert cost.beyond.p50 <= cost.beyond.p99 <= cost.beyond.max
    assert "3 paced streams" in server_text(cost)


def test_streams_that_were_measured_leave_politely(server, capsys):
    measure_server(Load(server.ws, streams=2, seconds=1.0))
    said, deadline = "", time.monotonic() + 30
    while said.count('"event":"end"') < 2:
        assert time.monotonic() < deadline
        said += capsys.readouterr().err
        time.sleep(0.05)
    assert said.count("the client left, with code 1000") == 2


def test_the_load_command(server):
    result = ser_live("latency", "--server", server.http, "--streams", 2, "--seconds", 1)
    assert result.returncode == 0, result.stderr
    assert "2 paced streams" in result.stdout.decode()
    result = ser_live("latency", "--server", server.http, "--source", "mic")
    assert result.returncode == 2
    result = ser_live("latency", "--server", "http://127.0.0.1:9")
    assert result.returncode == 1
    assert "no server answers there" in result.stderr.decode()
