"""The client in Python and one in JavaScript hear what replay writes."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import asyncio
import json
import shutil
import subprocess
import time
from functools import partial

import numpy as np
import pytest
import soundfile
import websockets.asyncio.client

import streamer
from streamer.client import RemoteStream
from streamer.errors import RunFailure, SerLiveError
from streamer.recognition.recognizer import Recognizer
from tests.helpers.places import CLIPS
from tests.serve.serving import assert_same, heard_by_client, pcm

NODE = shutil.which("node")
#: As in README, but for the reading of a file.
PROGRAM = """
const [url, path, rate] = process.argv.slice(2);
const audio = require("fs").readFileSync(path);
const socket = new WebSocket(url);
socket.onopen = () => {
  socket.send(JSON.stringify({ type: "start", sample_rate: Number(rate) }));
  for (let at = 0; at < audio.length; at += 999) socket.send(audio.subarray(at, at + 999));
  socket.send('{"type":"end"}');
};
socket.onmessage = ({ data }) => console.log(data);
socket.onclose = ({ code }) => process.exit(code === 1000 ? 0 : 1);
"""


@pytest.mark.parametrize("sample_format", ["f32le", "s16le"])
def test_the_python_client(server, replayed, sample_format):
    dtype = {"f32le": "float32", "s16le": "int16"}[sample_format]
    samples, rate = soundfile.read(CLIPS[1], dtype=dtype)
    blocks = np.array_split(samples, 17)
    messages = heard_by_client(
        server.ws, blocks, sample_rate=rate, sample_format=sample_format, source="clip"
    )
    assert messages[0]["source"] == "clip"
    assert_same(messages[1:-1], replayed[CLIPS[1]][1:-1])
    assert messages[-1]["overall"] == replayed[CLIPS[1]][-1]["overall"]


def test_the_python_client_takes_an_async_iterator_and_bytes(server, replayed):
    samples, rate = pcm(CLIPS[0])

    async def blocks():
        data = samples.tobytes()
        for at in range(0, len(data), 5_000):
            await asyncio.sleep(0)
            yield data[at : at + 5_000]

    messages = heard_by_client(server.stream, blocks(), sample_rate=rate, sample_format="s16le")
    assert_same(messages[1:-1], replayed[CLIPS[0]][1:-1])


def test_sending_first_and_reading_afterwards(server):
    async def main():
        async with streamer.connect(server.ws) as stream:
            await stream.send(np.zeros(320_000, np.float32))
            await stream.end()
            return [message async for message in stream]

    assert asyncio.run(main())[-1]["duration"] == 20.0


def test_a_refusal_is_an_error_with_the_servers_reason(server):
    with pytest.raises(RunFailure, match="sample_rate must be a whole number"):
        heard_by_client(server.ws, [], sample_rate=1)
    with pytest.raises(RunFailure, match="NaN, infinite"):
        heard_by_client(server.ws, [np.full(9_999, np.nan, np.float32)] * 9)


def test_a_server_that_is_slow_is_waited_for(serve_with, monkeypatch):
    """Its pong waits behind the audio, for longer than a ping may."""

    def slow(recognizer, streams, blocks):
        time.sleep(0.1)
        return accept(recognizer, streams, blocks)

    accept = Recognizer.accept_many
    monkeypatch.setattr(Recognizer, "accept_many", slow)
    impatient = partial(websockets.asyncio.client.connect, ping_interval=0.05, ping_timeout=0.2)
    monkeypatch.setattr("websockets.asyncio.client.connect", impatient)
    server = serve_with({"backlog_s": 0.04})
    messages = heard_by_client(server.ws, [np.zeros(640, np.float32)] * 40)
    assert messages[-1]["estimates"] == 40


def test_samples_of_another_type_are_an_error(server):
    with pytest.raises(SerLiveError, match="samples are float64"):
        heard_by_client(server.ws, [np.zeros(100)])


def test_no_server_and_no_address():
    with pytest.raises(RunFailure, match="no server answers there"):
        heard_by_client("ws://127.0.0.1:9", [])
    for url in ("127.0.0.1:8765", "ws://[", f"ws://{'a' * 70}.com", "ws://127.0.0.1:99999"):
        with pytest.raises(SerLiveError, match="no address of a server"):
            heard_by_client(url, [])


def test_a_token(serve_with):
    server = serve_with(token="0123456789abcdef-a-token")
    with pytest.raises(RunFailure, match="the right token is needed"):
        heard_by_client(server.ws, [])
    messages = heard_by_client(server.ws, [], token="0123456789abcdef-a-token")
    assert [one["type"] for one in messages] == ["session", "end"]


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_a_client_in_another_language(server, replayed, tmp_path):
    option = [] if node("typeof WebSocket") == "function" else ["--experimental-websocket"]
    if node("typeof WebSocket", *option) != "function":
        pytest.skip("this node has no WebSocket")
    samples, rate = pcm(CLIPS[3])
    raw, program = tmp_path / "clip.raw", tmp_path / "client.cjs"
    raw.write_bytes(samples.tobytes())
    program.write_text(PROGRAM)
    result = subprocess.run(
        [NODE, *option, program, server.stream, raw, str(rate)], capture_output=True, timeout=60
    )
    assert result.returncode == 0, result.stderr.decode()
    messages = [json.loads(line) for line in result.stdout.decode().splitlines()]
    assert_same(messages[1:-1], replayed[CLIPS[3]][1:-1])


def node(expression, *options):
    result = subprocess.run(
        [NODE, *options, "-p", expression], capture_output=True, text=True, timeout=60
    )
    return result.stdout.strip()


def test_samples_of_another_type_are_named():
    remote = RemoteStream("ws://x", None, "f32le")
    for wrong, named in (
        ([0.0], "list"),
        (np.zeros(3), "float64"),
        (np.zeros(3, np.int16), "int16"),
    ):
        with pytest.raises(SerLiveError, match=f"samples are {named}; .* an array of float32"):
            remote._bytes_of(wrong)
    with pytest.raises(SerLiveError, match=r"they must be bytes$"):
        RemoteStream("ws://x", None, "s24le")._bytes_of(np.zeros(3))


def test_channels_that_were_not_declared_are_an_error():
    stereo = RemoteStream("ws://x", None, "f32le", 2)
    assert len(stereo._bytes_of(np.zeros((5, 2), np.float32))) == 40
    for wrong in (np.zeros((5, 1), np.float32), np.zeros((2, 5), np.float32)):
        with pytest.raises(SerLiveError, match=r"they must be \(n,\), or \(n, 2\) for channels=2"):
            stereo._bytes_of(wrong)


@pytest.mark.parametrize("profile", [{"values": []}, "anna.profile"])
def test_what_is_no_profile_is_an_error(profile):
    async def open_stream():
        async with streamer.connect("ws://127.0.0.1:1", sample_rate=16_000, profile=profile):
            pass

    with pytest.raises(ValueError, match=r"a Profile, which Profile\.load\(path\) reads"):
        asyncio.run(open_stream())
