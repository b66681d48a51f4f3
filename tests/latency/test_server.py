"""Servers to measure that are none of ours: one line says so."""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from threading import Thread

import pytest

from streamer.commands.latency.server import Load, measure_server
from streamer.errors import RunFailure, SerLiveError
from tests.helpers.command import complaint, ser_live
from tests.helpers.places import CLIPS

pytest.importorskip("websockets")


@contextmanager
def answering(answer):
    """A server that gives this answer to whatever it is asked."""

    def serve():
        with suppress(OSError):  # at the end
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    connection.recv(4096)
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "no stream: did not receive a valid HTTP response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n<p>Hello</p>", "refused with 200"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff ", "refused with 200"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "refused with 404"),
    ],
)
def test_a_server_of_something_else_is_a_line(answer, said):
    with answering(answer) as url, pytest.raises(RunFailure, match=f"^{url}: {said}"):
        measure_server(Load(url, seconds=1.0))


def test_the_recording_that_is_played_is_not_overwritten(tmp_path):
    path = tmp_path / "recording"
    path.write_bytes(CLIPS[0].read_bytes())
    options = ("--server", "ws://127.0.0.1:9", "--json", path, "--force")
    result = ser_live("latency", path, *options)
    assert result.returncode == 2
    assert "is to be read" in complaint(result)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1",
        "ftp://host",
        "ws://",
        "ws://:1",
        "ws://host:port",
        "ws://host:0",
        "ws://[::1",
        "ws://a..b",
    ],
)
def test_an_address_of_no_server_is_refused(url):
    with pytest.raises(SerLiveError, match="--server is an address such as"):
        Load(url)
