"""Clients that mean no good, drawn at random."""

from __future__ import annotations

import asyncio
import json
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np

_TEXT, _BINARY, _CLOSE, _PING = 1, 2, 8, 9
#: Connections at once.
AT_ONCE = 24
#: A server may take so long to end a connection; who is silent is ended by the idle time.
PATIENCE_S = 20.0
END = '{"type":"end"}'
_OTHER_TOKEN = "another-token-of-somebody"

#: What is sent, in pieces; None is a pause.
Pieces = Iterator[bytes | None]
Kind = Callable[[np.random.Generator], Pieces]


def request(token: str | None, origin: str | None = None) -> bytes:
    """Return a client's request for a stream."""
    lines = [
        f"GET /v1/stream{'' if token is None else f'?token={token}'} HTTP/1.1",
        *("Host: localhost", "Upgrade: websocket", "Connection: Upgrade"),
        *("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
        *([] if origin is None else [f"Origin: {origin}"]),
    ]
    return "\r\n".join([*lines, "\r\n"]).encode()


def start(sample_rate: int = 16_000, **fields: object) -> str:
    """Return a start message."""
    return json.dumps({"type": "start", "sample_rate": sample_rate, **fields})


def frame(data: bytes, opcode: int = _BINARY, is_last: bool = True) -> bytes:
    """Return a frame with a mask of zeros."""
    head = (0x80 if is_last else 0) | opcode
    if len(data) < 126:
        return struct.pack("!BB", head, 0x80 | len(data)) + bytes(4) + data
    return struct.pack("!BBQ", head, 0x80 | 127, len(data)) + bytes(4) + data


def text(message: str) -> bytes:
    """Return a frame of text."""
    return frame(message.encode(), _TEXT)


def audio(generator: np.random.Generator, seconds: float = 0.5) -> bytes:
    """Return noise."""
    return generator.integers(-9_000, 9_000, int(16_000 * seconds)).astype("<i2").tobytes()


# After a handshake like anybody's.


def _floods(generator: np.random.Generator) -> Pieces:
    yield text(start())
    for _ in range(40):
        yield frame(audio(generator))


def _says_nothing(_: np.random.Generator) -> Pieces:
    yield None


def _starts_and_says_nothing(_: np.random.Generator) -> Pieces:
    yield text(start())
    yield None


def _garbage(generator: np.random.Generator) -> Pieces:
    yield generator.bytes(int(generator.integers(1, 5_000)))


def _garbage_after_the_start(generator: np.random.Generator) -> Pieces:
    yield text(start()) + generator.bytes(int(generator.integers(1, 5_000)))


def _nan(generator: np.random.Generator) -> Pieces:
    samples = generator.normal(0, 0.1, 8_000).astype("<f4")
    samples[generator.integers(8_000)] = generator.choice([np.nan, np.inf, -np.inf, 1e30])
    yield text(start(sample_format="f32le")) + frame(samples.tobytes())


def _half_frames(generator: np.random.Generator) -> Pieces:
    yield text(start(channels=2)) + frame(audio(generator)[:-1]) + text(END)


def _wrong_rate(generator: np.random.Generator) -> Pieces:
    yield text(start(int(generator.choice([0, -1, 999, 768_001, 10**12]))))


def _any_rate(generator: np.random.Generator) -> Pieces:
    yield text(start(int(generator.integers(1_000, 768_000)))) + frame(audio(generator)) + text(END)


def _wrong_text(generator: np.random.Generator) -> Pieces:
    yield text(start()) + frame(generator.bytes(99), _TEXT)


def _never_reads(generator: np.random.Generator) -> Pieces:
    yield text(start())
    for _ in range(20):
        yield frame(audio(generator, 2.0))


def _tiny_frames(generator: np.random.Generator) -> Pieces:
    yield text(start()) + frame(b"\0") * int(generator.integers(1, 20_000))


def _pings(generator: np.random.Generator) -> Pieces:
    yield text(start()) + frame(bytes(100), _PING) * int(generator.integers(1, 20_000))


def _endless_message(generator: np.random.Generator) -> Pieces:
    yield text(start()) + frame(bytes(1_000), _BINARY, is_last=False)
    for _ in range(int(generator.integers(1, 2_000))):
        yield frame(bytes(1_000), 0, is_last=False)


def _huge_message(_: np.random.Generator) -> Pieces:
    yield text(start()) + struct.pack("!BBQ", 0x82, 0xFF, 2**40) + bytes(4)


def _closes_and_goes_on(generator: np.random.Generator) -> Pieces:
    yield text(start()) + frame(struct.pack("!H", 1000), _CLOSE) + frame(audio(generator))


def _huge_start(generator: np.random.Generator) -> Pieces:
    size = int(generator.integers(10_000, 900_000))
    yield text(start(source="a" * size))


def _wild_profile(generator: np.random.Generator) -> Pieces:
    mean = [float(generator.choice([1e6, -1e6, 1e300, 0.0])) for _ in range(512)]
    values = {"type": "profile", "schema": 1, "model": "m", "digest": "0" * 64, "mean": mean}
    yield text(start(profile=values | {"made": "2026-01-01T00:00:00+00:00", "timesteps": 1e-300}))


def _deep_start(_: np.random.Generator) -> Pieces:
    yield text('{"type":"start","profile":' + "[" * 60_000)


def _goes_in_the_middle(generator: np.random.Generator) -> Pieces:
    whole = text(start()) + frame(audio(generator))
    yield whole[: int(generator.integers(1, len(whole)))]


#: What is sent after the handshake, by name.
AFTER: tuple[Kind, ...] = (
    *(_floods, _says_nothing, _starts_and_says_nothing, _garbage, _garbage_after_the_start, _nan),
    *(_half_frames, _wrong_rate, _any_rate, _wrong_text, _never_reads, _tiny_frames, _pings),
    *(_endless_message, _huge_message, _closes_and_goes_on, _goes_in_the_middle),
    *(_huge_start, _wild_profile, _deep_start),
)


# Instead of such a handshake.


def _opens_only(_: np.random.Generator, __: str | None) -> Pieces:
    yield None


def _slow_handshake(generator: np.random.Generator, token: str | None) -> Pieces:
    whole = request(token)
    for at in range(0, int(generator.integers(1, len(whole))), 16):
        yield whole[at : at + 16]
        yield None


def _wrong_token(_: np.random.Generator, __: str | None) -> Pieces:
    yield request(_OTHER_TOKEN)


def _wrong_origin(_: np.random.Generator, token: str | None) -> Pieces:
    yield request(token, "https://evil.example")


def _no_http(generator: np.random.Generator, _: str | None) -> Pieces:
    yield generator.bytes(int(generator.integers(1, 5_000)))


def _endless_header(generator: np.random.Generator, _: str | None) -> Pieces:
    yield b"GET / HTTP/1.1\r\n"
    for number in range(int(generator.integers(1, 200))):
        yield f"X-{number}: {'a' * 900}\r\n".encode()


INSTEAD: tuple[Callable[[np.random.Generator, str | None], Pieces], ...] = (
    *(_opens_only, _slow_handshake, _wrong_token, _wrong_origin, _no_http, _endless_header),
)
#: Names of all kinds.
KINDS = tuple(one.__name__.strip("_") for one in (*AFTER, *INSTEAD))


async def one(port: int, seed: int, token: str | None = None) -> str:
    """Be one hostile connection, and return of what kind.

    Raises:
        OSError: nobody listens there.
    """
    generator = np.random.default_rng(seed)
    number = int(generator.integers(len(KINDS)))
    kind = KINDS[number]
    is_after = number < len(AFTER)
    if is_after:
        pieces = AFTER[number](generator)
    else:
        pieces = INSTEAD[number - len(AFTER)](generator, token)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4_096)
    reading = None
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(PATIENCE_S):
            if is_after:
                writer.write(request(token))
                await reader.readuntil(b"\r\n\r\n")
            if kind != "never_reads":
                reading = asyncio.create_task(_read_all(reader))
            for piece in pieces:
                if piece is None:
                    await asyncio.sleep(float(generator.random()))
                else:
                    writer.write(piece)
                    await writer.drain()
            if reading is not None and kind != "goes_in_the_middle" and generator.random() < 0.5:
                await reading
    if reading is not None:
        reading.cancel()
    writer.transport.abort()
    return kind


async def _read_all(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(1 << 16):
            pass


async def many(
    port: int,
    connections: int,
    seed: int = 0,
    token: str | None = None,
    at_once: int = AT_ONCE,
) -> Counter[str]:
    """Be so many, some at once; return how many of each kind there were."""
    gate = asyncio.Semaphore(at_once)

    async def guarded(number: int) -> str:
        async with gate:
            return await one(port, seed + number, token)

    return Counter(await asyncio.gather(*map(guarded, range(connections))))
