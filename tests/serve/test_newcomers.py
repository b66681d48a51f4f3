"""Connections that go no further are few, do not last, and keep nobody out."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import asyncio
import json
import socket
import ssl
import time
import urllib.request

import pytest
from websockets.asyncio.client import connect

from streamer.serve import door, transport
from streamer.serve.config import Limits, ServerConfig
from tests.serve.serving import END, InThread, converse, start
from train.endurance.hostility import request

HELD = 12
FEW = {"streams": 20, "waiting": 3}
PATIENCE_S = 20
SECOND = bytes(32_000)


class Encrypted(InThread):
    """A server that speaks TLS only."""

    def __init__(self, certificate, limits, recognizer):
        certfile, keyfile = certificate
        config = ServerConfig(port=0, limits=limits, certfile=certfile, keyfile=keyfile)
        super().__init__(config, recognizer)
        self.trusting = ssl.create_default_context(cafile=certfile)
        self.stream = f"wss://localhost:{self.port}/v1/stream"

    def figure(self, name):
        url = f"https://localhost:{self.port}/metrics"
        with urllib.request.urlopen(url, context=self.trusting, timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return next((float(one.split()[1]) for one in lines if name in one.split(" ")[0]), 0.0)


@pytest.fixture
def encrypted(certificate, shipped):
    with Encrypted(certificate, Limits(**FEW), shipped) as running:
        yield running


def hold(port, first=b""):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(first)
    return client


def is_open(client):
    client.setblocking(False)
    try:
        return bool(client.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def until_open(clients, number):
    """Wait until so many of the connections are open, and say whether each is."""
    deadline = time.monotonic() + PATIENCE_S
    while (still := [is_open(one) for one in clients]).count(True) > number:
        assert time.monotonic() < deadline, still
        time.sleep(0.05)
    return still


# The last: a record of a handshake that is announced and does not come.
BEGINNINGS = [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"]


@pytest.mark.parametrize("first", BEGINNINGS)
def test_handshakes_that_do_not_end_push_each_other_out(encrypted, first):
    held = [hold(encrypted.port, first) for _ in range(HELD)]
    still = until_open(held, FEW["waiting"])
    assert still == [False] * (HELD - FEW["waiting"]) + [True] * FEW["waiting"]
    heard = converse(encrypted.stream, start(), SECOND, END, ssl=encrypted.trusting)
    assert (heard.code, len(heard.estimates)) == (1000, 25)
    assert encrypted.figure('refused_total{reason="handshake"}') >= HELD - FEW["waiting"]


def test_a_handshake_that_does_not_end_is_cut_off(encrypted, monkeypatch):
    monkeypatch.setattr(door, "HANDSHAKE_S", 0.3)
    held = [hold(encrypted.port, first) for first in BEGINNINGS]
    until_open(held, 0)
    assert encrypted.figure('refused_total{reason="handshake"}') == len(held)


def test_what_is_no_handshake_ends_at_once(encrypted):
    client = hold(encrypted.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    until_open([client], 0)
    assert encrypted.figure('refused_total{reason="handshake"}') == 1


def test_a_stream_goes_on_beside_hundreds_of_handshakes(encrypted):
    async def main():
        held = []
        async with connect(encrypted.stream, ssl=encrypted.trusting) as client:
            await client.send(start())
            assert json.loads(await client.recv())["type"] == "session"
            for _ in range(300):
                held.append(await asyncio.to_thread(hold, encrypted.port))
                await client.send(SECOND[:1_280])
            await client.send(END)
            heard = [json.loads(message) async for message in client]
        for one in held:
            one.close()
        return heard

    assert asyncio.run(main())[-1]["estimates"] == 300


def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(encrypted):
    """It is decrypted before anybody can know that the handshake has ended."""
    for _ in range(20):
        raw = socket.create_connection(("localhost", encrypted.port))
        with encrypted.trusting.wrap_socket(
            raw, server_hostname="localhost", do_handshake_on_connect=False
        ) as client:
            client.do_handshake()
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(4_096).startswith(b"HTTP/1.1 200")


def test_connections_that_request_nothing_push_each_other_out(serve_with):
    server = serve_with(FEW)
    held = [hold(server.port) for _ in range(HELD)]
    still = until_open(held, FEW["waiting"])
    assert still == [False] * (HELD - FEW["waiting"]) + [True] * FEW["waiting"]
    heard = converse(server.stream, start(), SECOND, END)
    assert heard.code == 1000
    assert server.figures()['refused_total{reason="request"}'] >= HELD - FEW["waiting"]


def test_clients_that_come_at_once_are_all_let_in(serve_with):
    """More than may wait, as after a restart of the server."""
    server = serve_with({"streams": 40, "waiting": 5})
    clients = [hold(server.port) for _ in range(40)]
    for client in clients:
        client.sendall(request(None))
    for client in clients:
        client.settimeout(PATIENCE_S)
        assert client.recv(4_096).startswith(b"HTTP/1.1 101 ")
        client.close()
    assert 'refused_total{reason="request"}' not in server.figures()


def test_a_stream_over_tls_leaves_no_deadline_behind(encrypted, monkeypatch, caplog):
    monkeypatch.setattr(transport, "REQUEST_S", 0.3)
    assert converse(encrypted.stream, start(), SECOND, END, ssl=encrypted.trusting).code == 1000
    time.sleep(0.6)
    assert caplog.messages == []
    assert encrypted.figure('refused_total{reason="request"}') == 0


def test_connections_between_two_requests_are_let_in_up_to_a_number(serve_with):
    server = serve_with({"streams": 1, "waiting": 2})
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    held = []
    for _ in range(5):
        held.append(hold(server.port, request))
        assert held[-1].recv(4_096).startswith(b"HTTP/1.1 200")
    with hold(server.port) as one_more:
        until_open([one_more], 0)
    for one in held:
        one.close()
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with hold(server.port, request) as one:
            one.settimeout(5)
            try:
                if one.recv(4_096):
                    break
            except OSError:
                pass
        assert time.monotonic() < deadline
    assert server.figures()['refused_total{reason="connections"}'] >= 1


def test_a_request_that_does_not_end_is_counted(serve_with, monkeypatch):
    monkeypatch.setattr(transport, "REQUEST_S", 0.3)
    server = serve_with()
    until_open([hold(server.port, b"GET / HT")], 0)
    assert server.figures()['refused_total{reason="request"}'] == 1
