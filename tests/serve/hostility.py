"""Clients that mean no good, drawn at random.

``python -m tests.serve.hostility PORT CONNECTIONS`` sends so many to a server on this machine.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from collections import Counter

import numpy as np

from tests.serve.serving import END, start

_HANDSHAKE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_TEXT, _BINARY, _CLOSE, _PING = 1, 2, 8, 9
AT_ONCE = 24
#: A server may take so long to end a connection; who is silent is ended by the idle time.
PATIENCE_S = 20.0


def frame(data: bytes, opcode: int = _BINARY, is_last: bool = True) -> bytes:
    """A frame with a mask of zeros."""
    head = (0x80 if is_last else 0) | opcode
    if len(data) < 126:
        return struct.pack("!BB", head, 0x80 | len(data)) + bytes(4) + data
    return struct.pack("!BBQ", head, 0x80 | 127, len(data)) + bytes(4) + data


def text(message: str) -> bytes:
    return frame(message.encode(), _TEXT)


def audio(generator: np.random.Generator, seconds: float = 0.5) -> bytes:
    return generator.integers(-9_000, 9_000, int(16_000 * seconds)).astype("<i2").tobytes()


# Each takes a generator and gives what is sent, in pieces; None is a pause.


def floods(generator):
    yield text(start())
    for _ in range(40):
        yield frame(audio(generator))


def says_nothing(_):
    yield None


def starts_and_says_nothing(_):
    yield text(start())
    yield None


def garbage(generator):
    yield generator.bytes(int(generator.integers(1, 5_000)))


def garbage_after_the_start(generator):
    yield text(start()) + generator.bytes(int(generator.integers(1, 5_000)))


def nan(generator):
    samples = generator.normal(0, 0.1, 8_000).astype("<f4")
    samples[generator.integers(8_000)] = generator.choice([np.nan, np.inf, -np.inf, 1e30])
    yield text(start(sample_format="f32le")) + frame(samples.tobytes())


def half_frames(generator):
    yield text(start(channels=2)) + frame(audio(generator)[:-1]) + text(END)


def wrong_rate(generator):
    yield text(start(int(generator.choice([0, -1, 999, 768_001, 10**12]))))


def any_rate(generator):
    yield text(start(int(generator.integers(1_000, 768_000)))) + frame(audio(generator)) + text(END)


def wrong_text(generator):
    yield text(start()) + frame(generator.bytes(99), _TEXT)


def never_reads(generator):
    """The reader below gives up at once for it."""
    yield text(start())
    for _ in range(20):
        yield frame(audio(generator, 2.0))


def tiny_frames(generator):
    yield text(start()) + frame(b"\0") * int(generator.integers(1, 20_000))


def pings(generator):
    yield text(start()) + frame(bytes(100), _PING) * int(generator.integers(1, 20_000))


def endless_message(generator):
    yield text(start()) + frame(bytes(1_000), _BINARY, is_last=False)
    for _ in range(int(generator.integers(1, 2_000))):
        yield frame(bytes(1_000), 0, is_last=False)


def huge_message(_):
    yield text(start()) + struct.pack("!BBQ", 0x82, 0xFF, 2**40) + bytes(4)


def closes_and_goes_on(generator):
    yield text(start()) + frame(struct.pack("!H", 1000), _CLOSE) + frame(audio(generator))


def goes_in_the_middle(generator):
    whole = text(start()) + frame(audio(generator))
    yield whole[: int(generator.integers(1, len(whole)))]


KINDS = (
    *(floods, says_nothing, starts_and_says_nothing, garbage, garbage_after_the_start, nan),
    *(half_frames, wrong_rate, any_rate, wrong_text, never_reads, tiny_frames, pings),
    *(endless_message, huge_message, closes_and_goes_on, goes_in_the_middle),
)


async def one(port: int, seed: int) -> str:
    """One hostile connection; what kind it was."""
    generator = np.random.default_rng(seed)
    kind = KINDS[generator.integers(len(KINDS))]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4_096)
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(_HANDSHAKE)
            await reader.readuntil(b"\r\n\r\n")
            for piece in kind(generator):
                if piece is None:
                    await asyncio.sleep(float(generator.random()))
                    continue
                writer.write(piece)
                if kind is never_reads:
                    await writer.drain()
                else:
                    await asyncio.gather(writer.drain(), reader.read(1 << 16))
            if kind not in (never_reads, goes_in_the_middle) and generator.random() < 0.5:
                while await reader.read(1 << 16):
                    pass
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.transport.abort()
    return kind.__name__


async def many(port: int, connections: int, seed: int = 0) -> Counter[str]:
    """So many, some at once; how many of each kind there were."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def guarded(number: int) -> str:
        async with gate:
            return await one(port, seed + number)

    return Counter(await asyncio.gather(*map(guarded, range(connections))))


if __name__ == "__main__":
    began_s = time.monotonic()
    for name, count in sorted(asyncio.run(many(int(sys.argv[1]), int(sys.argv[2]))).items()):
        print(f"{name:<26}{count:>6}")
    print(f"{time.monotonic() - began_s:.0f} s")
