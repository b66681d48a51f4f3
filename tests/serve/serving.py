"""A real server on a free port, and clients of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request

import numpy as np
import soundfile
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import streamer
from streamer.serve.host import Host, listen
from tests.helpers.command import COMMAND
from tests.helpers.places import ROOT


class InThread:
    """A server in a thread of this process; a context manager."""

    def __init__(self, config, *recognizers):
        self._listening = listen(config)
        self.port = self._listening.getsockname()[1]
        self.http, self.ws = f"http://127.0.0.1:{self.port}", f"ws://127.0.0.1:{self.port}"
        self.stream = f"{self.ws}/v1/stream"
        self.result = None
        self.host = Host(config, recognizers, self._listening)
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        self.result = asyncio.run(self.host.run())

    def __enter__(self):
        self._thread.start()
        return self

    def stop(self):
        self.host.stop(signal.SIGTERM)

    def __exit__(self, *_):
        if self._thread.is_alive():
            self.host.stop(signal.SIGTERM)
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._listening.close()

    def figures(self, token=None):
        """Values of /metrics."""
        lines = get(f"{self.http}/metrics", token)[1].splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return {name.removeprefix("ser_live_"): float(value) for name, value in pairs}


class Command:
    """``ser-live serve`` as a process; a context manager."""

    def __init__(self, *arguments, environment=None):
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {}),
            text=True,
        )
        self.first_line = self.process.stderr.readline()
        found = re.search(r"(https?)://[^ ]*:(\d+)/", self.first_line)
        assert found, self.first_line + self.process.stderr.read()
        self.port = int(found[2])
        self.http = f"{found[1]}://127.0.0.1:{self.port}"
        self.stream = f"ws{found[1][4:]}://127.0.0.1:{self.port}/v1/stream"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def end(self, number):
        """Send a signal; exit code, and what was said."""
        self.process.send_signal(number)
        out, said = self.process.communicate(timeout=60)
        assert out == ""
        return self.process.returncode, said


def get(url, token=None, **headers):
    """Status and text of a page."""
    request = urllib.request.Request(url, headers=headers)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def pcm(path):
    """16-bit samples of a recording, and their rate."""
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    return samples, rate


def start(sample_rate=16_000, **fields):
    return json.dumps({"type": "start", "sample_rate": sample_rate, **fields})


END = json.dumps({"type": "end"})


def cut(data, generator, largest=9_000):
    """Bytes in blocks of any sizes, samples torn apart."""
    at = 0
    while at < len(data):
        size = int(generator.integers(1, largest))
        yield data[at : at + size]
        at += size


class Talk:
    """All that a server said to one client.

    Attributes:
        messages: JSON objects.
        code, reason: of the close.
    """

    def __init__(self):
        self.messages = []
        self.code = self.reason = None

    @property
    def error(self):
        return next((one["message"] for one in self.messages if one["type"] == "error"), None)

    @property
    def estimates(self):
        return [one for one in self.messages if one["type"] == "estimate"]


async def talk(url, messages, **options):
    """Send messages, hear the answers to the end. A number among the messages is a pause."""
    heard = Talk()

    async def say(client):
        try:
            for message in messages:
                if isinstance(message, float):
                    await asyncio.sleep(message)
                else:
                    await client.send(message)
        except ConnectionClosed:
            pass  # the reader knows why

    async with connect(url, max_size=None, **options) as client:
        saying = asyncio.create_task(say(client))
        try:
            async for message in client:
                heard.messages.append(json.loads(message))
        except ConnectionClosed:
            pass
        heard.code, heard.reason = client.close_code, client.close_reason
        saying.cancel()
    return heard


def converse(url, *messages, **options):
    return asyncio.run(talk(url, messages, **options))


def heard_by_client(url, blocks, **options):
    """All that the Python client hears while it sends blocks."""

    async def main():
        async with streamer.connect(url, **options) as stream:
            return [message async for message in stream.hear(blocks)]

    return asyncio.run(main())


def assert_same(estimates, expected, most=1e-6):
    """Labels alike, probabilities that differ by this at most."""
    assert [(one["time"], one["label"]) for one in estimates] == [
        (one["time"], one["label"]) for one in expected
    ]
    ours, theirs = (
        np.array([[*one["probabilities"].values(), one["speech"]] for one in many])
        for many in (estimates, expected)
    )
    assert np.abs(ours - theirs).max(initial=0.0) <= most
