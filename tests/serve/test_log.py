"""The log, where nobody reads it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time

import pytest

from streamer.serve import log as module
from streamer.serve.log import log, written_apart
from tests.serve.serving import Command, get, talk


def fill(descriptor):
    """Fill a pipe; return how many bytes it took."""
    os.set_blocking(descriptor, False)
    size = 0
    try:
        while True:
            size += os.write(descriptor, b"x")
    except BlockingIOError:
        os.set_blocking(descriptor, True)
        return size


def test_a_server_whose_log_is_not_read_serves_on_and_ends():
    fcntl = pytest.importorskip("fcntl")
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        pytest.skip("no pipe can be made small")
    with Command() as server:
        fcntl.fcntl(server.process.stderr, fcntl.F_SETPIPE_SZ, 4_096)
        for _ in range(60):  # more than such a pipe holds
            assert asyncio.run(talk(server.stream, ["nonsense"])).code == 1003
        assert get(f"{server.http}/healthz") == (200, "ok\n")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 143
        said = server.process.stderr.read()
    assert said.count('"code":1003') < 60  # it was full, or this shows nothing


def test_lines_that_have_no_room_are_counted(monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    reader, writer = os.pipe()
    filled = fill(writer)
    with os.fdopen(writer, "w") as stderr, os.fdopen(reader) as read:
        monkeypatch.setattr(sys, "stderr", stderr)
        with written_apart():
            for number in range(50):
                log("tried", number=number)
            read.read(filled)
        stderr.close()
        lines = [json.loads(line) for line in read]
    lost = [line["lines"] for line in lines if line["event"] == "lost"]
    kept = [line["number"] for line in lines if line["event"] == "tried"]
    assert sum(lost) + len(kept) == 50
    assert lost
    assert kept == list(range(len(kept)))


def test_a_stderr_that_does_not_block_loses_nothing(monkeypatch):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    found = []

    def read():
        with os.fdopen(reader) as stream:
            for line in stream:
                found.append(json.loads(line))
                time.sleep(0.0001)  # slower than the writer, so that the pipe is full

    thread = threading.Thread(target=read)
    with os.fdopen(writer, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with written_apart():
            for number in range(3_000):
                log("tried", number=number)
            thread.start()
            while len(found) < 3_000:
                time.sleep(0.01)
    thread.join()
    assert [line["number"] for line in found] == list(range(3_000))


def test_the_log_is_whole_where_it_is_read(capfd):
    with written_apart():
        for number in range(100):
            log("tried", number=number)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["number"] for line in lines] == list(range(100))
