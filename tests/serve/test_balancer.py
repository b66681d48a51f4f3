"""Several servers behind nginx, as ``assets/nginx.conf`` sets it up."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import asyncio
import shutil
import socket
import subprocess
import time

import pytest

from tests.helpers.places import CLIPS, ROOT
from tests.serve.serving import END, assert_same, get, pcm, start, talk

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
TOKEN = "open-sesame-open-sesame"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture
def balanced(serve_with, tmp_path):
    """Two servers, and the port of nginx before them."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    servers = [serve_with(token=TOKEN) for _ in range(2)]
    port = free_port()
    written = (ROOT / "assets/nginx.conf").read_text()
    for theirs, ours in (
        ("listen 127.0.0.1:8765;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8801", f"127.0.0.1:{servers[0].port}"),
        ("127.0.0.1:8802", f"127.0.0.1:{servers[1].port}"),
        ("http {", f"http {{ client_body_temp_path {tmp_path}/body;"),
    ):
        assert written.count(theirs) >= 1
        written = written.replace(theirs, ours)
    settings = tmp_path / "nginx.conf"
    settings.write_text(f"daemon off;\n{written}")
    nginx = subprocess.Popen([NGINX, "-p", tmp_path, "-c", settings], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while nginx.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        assert nginx.poll() is None, nginx.stderr.read().decode()
        yield servers, port
    finally:
        nginx.terminate()
        nginx.communicate()


def test_streams_are_shared_by_servers_behind_nginx(balanced, replayed):
    servers, port = balanced
    samples, rate = pcm(CLIPS[0])
    address = f"ws://127.0.0.1:{port}/v1/stream"
    said = [start(rate), samples.tobytes(), 1.0, END]
    own_page = {"Authorization": f"Bearer {TOKEN}", "Origin": f"http://127.0.0.1:{port}"}

    async def many():
        return await asyncio.gather(
            *(talk(address, said, additional_headers=own_page) for _ in range(6))
        )

    for one in asyncio.run(many()):
        assert one.code == 1000
        assert_same(one.estimates, replayed[CLIPS[0]][1:-1])
    started = [server.figures(TOKEN)["streams_started_total"] for server in servers]
    assert started == [3.0, 3.0]
    assert get(f"http://127.0.0.1:{port}/v1/info", TOKEN)[0] == 200
    assert get(f"http://127.0.0.1:{port}/v1/info")[0] == 401
    assert get(f"http://127.0.0.1:{port}/metrics", TOKEN)[0] == 404
