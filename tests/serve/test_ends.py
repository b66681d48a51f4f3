"""The command as a process: what it says, and how it ends."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streamer.errors import SerLiveError
from streamer.serve import host
from streamer.serve.config import ServerConfig
from streamer.serve.door import tls_context
from streamer.session.interrupts import Interrupted, Interrupts
from tests.helpers.command import COMMAND, complaint, ser_live, without
from tests.helpers.places import ROOT
from tests.serve.serving import END, Command, converse, get, start, talk

TOKEN = "0123456789abcdef-a-token"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_every_stream_with_its_verdict(number, code):
    async def until_stopped(server):
        async with connect(server.stream) as one, connect(server.stream) as two:
            for client in (one, two):
                await client.send(start())
                await client.send(bytes(32_000))
                await client.recv()
            server.process.send_signal(number)
            messages = []
            for client in (one, two):
                try:
                    while True:
                        messages.append(json.loads(await client.recv()))
                except ConnectionClosed:
                    assert client.close_code == 1001
                    assert client.close_reason == "the server is shutting down"
            return messages

    with Command() as server:
        messages = asyncio.run(until_stopped(server))
        out, said = server.process.communicate(timeout=60)
    assert (server.process.returncode, out) == (code, "")
    ends = [one for one in messages if one["type"] == "end"]
    assert [(one["duration"], one["estimates"]) for one in ends] == [(1.0, 25)] * 2
    log = [json.loads(line) for line in said.splitlines()]
    assert [one["event"] for one in log] == ["start", "start", "end", "end"]
    assert {one["code"] for one in log if one["event"] == "end"} == {1001}
    assert not any("address" in one for one in log)


def test_a_signal_ends_a_measurement_of_many_streams():
    """Python would keep what a signal raises in one of its tasks, and go on."""
    with Command() as server:
        url = server.stream.removesuffix("/v1/stream")
        load = subprocess.Popen(
            [*COMMAND, "latency", "--server", url, "--streams", "40", "--seconds", "300"],
            cwd=ROOT,
            stderr=subprocess.PIPE,
        )
        while get(f"{server.http}/metrics")[1].count("\nser_live_streams 40\n") != 1:
            assert load.poll() is None
            time.sleep(0.2)
        load.send_signal(signal.SIGTERM)
        _, said = load.communicate(timeout=60)
    assert load.returncode == 143
    assert b"Traceback" not in said


def test_nobody_there_and_it_ends_at_once():
    with Command() as server:
        assert server.first_line.startswith("ser-live: http://127.0.0.1:")
        assert server.end(signal.SIGTERM) == (143, "")


def test_addresses_are_logged_where_they_are_wanted_and_tokens_never():
    with Command("--log-addresses", environment={"SER_LIVE_TOKEN": TOKEN}) as server:
        url = f"{server.stream}?token={TOKEN}"
        heard = asyncio.run(talk(url, [start(source="my secret name"), END]))
        assert heard.code == 1000
        _, said = server.end(signal.SIGTERM)
    log = [json.loads(line) for line in said.splitlines()]
    assert [one["address"] for one in log] == ["127.0.0.1"] * 2
    assert TOKEN not in said
    assert "secret" not in said


def test_it_writes_no_file_and_calls_nobody(tmp_path):
    deeds = tmp_path / "deeds"
    watched = {
        "PYTHONPATH": f"{ROOT / 'tests' / 'hostile' / 'watching'}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DEEDS": str(deeds),
    }
    with Command(environment=watched) as server:
        heard = asyncio.run(talk(server.stream, [start(), bytes(32_000), END]))
        assert heard.code == 1000
        assert get(f"{server.http}/")[0] == 200
        assert server.end(signal.SIGTERM)[0] == 143
    told = [line.split(" ", 1) for line in deeds.read_text().splitlines()]
    # A socket says its family alone; whom it calls is looked up before.
    looked_up = [what for kind, what in told if kind == "socket" and not what.startswith("(2, ")]
    assert all("'127.0.0.1'" in what for what in looked_up)
    written = [what for kind, what in told if kind == "writes"]
    assert [path for path in written if not path.startswith("/dev/")] == []


def test_tls(certificate):
    certificate, key = certificate
    with Command("--certfile", certificate, "--keyfile", key) as server:
        trusting = ssl.create_default_context(cafile=certificate)
        url = server.stream.replace("127.0.0.1", "localhost")
        heard = asyncio.run(talk(url, [start(), bytes(6_400), END], ssl=trusting))
        assert heard.code == 1000
        assert len(heard.estimates) == 5


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["--host", "0.0.0.0"], "say a --token, or set SER_LIVE_TOKEN", 2),
        (["--host", "::"], "say a --token, or set SER_LIVE_TOKEN", 2),
        (["--host", "no.such.host.invalid"], "there is no such address", 2),
        (["--token", "short"], "16 characters or more", 2),
        (["--port", "99999"], "--port: '99999' is not a whole number from 0 to 65535", 2),
        (["--max-streams", "0"], "--max-streams: '0' is not a whole number, 1 or more", 2),
        (["--max-idle", "nan"], "--max-idle: 'nan' is not a number of seconds, more than 0", 2),
        (["--certfile", "no.pem"], "no such file", 2),
        (["--certfile", "README.md"], "README.md holds no certificate in PEM form", 2),
        (["--model", "no.onnx"], "no such file", 2),
    ],
)
def test_wrong_usage_is_one_line(arguments, words, code):
    result = ser_live("serve", "--port", "0", *arguments)
    assert words in complaint(result)
    assert result.returncode == code


def test_what_a_certificate_or_its_key_lacks_is_told(certificate, tmp_path):
    certfile, keyfile = certificate
    encrypted, torn = tmp_path / "encrypted.key", tmp_path / "torn.pem"
    command = ["openssl", "rsa", "-aes128", "-passout", "pass:abcd", "-in", keyfile]
    subprocess.run([*command, "-out", encrypted], check=True, capture_output=True)
    torn.write_bytes(certfile.read_bytes()[:300])
    for key, pem, said in (
        (None, certfile, "holds no private key in PEM form; name the key with --keyfile"),
        (encrypted, certfile, "is encrypted; write it without a passphrase"),
        (keyfile, torn, "the certificate or its key cannot be used"),
    ):
        with pytest.raises(SerLiveError, match=said):
            tls_context(pem, key)


def test_a_stream_of_another_name_is_not_found(server):
    with pytest.raises(InvalidStatus) as refused:
        converse(f"{server.ws}/v1/streams", start())
    assert refused.value.response.status_code == 404
    assert b"/v1/stream is where they begin" in refused.value.response.body


def test_a_port_that_is_taken():
    with Command() as server:
        result = ser_live("serve", "--port", server.port)
        assert "cannot listen at 127.0.0.1, port" in complaint(result)
        assert result.returncode == 1
        assert get(f"{server.http}/healthz")[0] == 200


def test_without_the_extra_a_line_says_what_to_install():
    program = without("starlette", "uvicorn", "websockets")
    result = subprocess.run(
        [sys.executable, "-c", program, "serve", "--port", "0"],
        capture_output=True,
        cwd=ROOT,
        timeout=60,
    )
    assert "pip install 'ser-live[serve]'" in complaint(result)
    assert result.returncode == 1


def test_nothing_else_imports_the_extra():
    program = (
        "import sys, importlib, streamer, streamer.session.run\n"
        "from streamer.commands import COMMANDS\n"
        "for name in COMMANDS:\n"
        "    if name != 'serve':\n"
        "        importlib.import_module(f'streamer.commands.{name}.run')\n"
        "taken = {'starlette', 'uvicorn', 'websockets', 'anyio'} & set(sys.modules)\n"
        "sys.exit(str(taken) if taken else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=60)


def test_a_signal_that_comes_while_it_starts_ends_it(monkeypatch):
    """It was lost once, between the shield and the server's own handlers."""

    def load(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    real = host.Recognizer.load
    monkeypatch.setattr(host.Recognizer, "load", load)
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    interrupts = Interrupts()
    interrupts.install()
    try:
        with pytest.raises(Interrupted) as caught:
            host.serve(ServerConfig(port=0), interrupts)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert caught.value.number == signal.SIGTERM
