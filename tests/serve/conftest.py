from __future__ import annotations

import subprocess

import pytest

from streamer.serve.config import Limits, ServerConfig
from tests.helpers.command import lines, replay
from tests.helpers.places import CLIPS


@pytest.fixture(scope="session")
def server(shipped):
    from tests.serve.serving import InThread

    with InThread(ServerConfig(port=0), shipped) as running:
        yield running


@pytest.fixture
def serve_with(shipped):
    """Starts a server of one's own."""
    from tests.serve.serving import InThread

    running = []

    def begin(limits=None, **options):
        config = ServerConfig(port=0, limits=Limits(**(limits or {})), **options)
        running.append(InThread(config, shipped).__enter__())
        return running[-1]

    yield begin
    for one in running:
        one.__exit__()


@pytest.fixture(scope="session")
def replayed():
    """What ``replay --speed max`` says of each clip."""
    return {clip: lines(replay(clip)) for clip in CLIPS}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for ``localhost``, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "own.pem", folder / "own.key"
    command = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
        *("-keyout", key, "-out", certificate, "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost"),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("openssl is not installed")
    return certificate, key
