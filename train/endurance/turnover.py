"""A day of streams that join and leave a server, at full speed: nothing may stay behind.

``python -m train.endurance.turnover --hours 24`` starts a server and clients of it. Each sends
streams of random length, rate, format and channels, one after the other; some leave without a
word. What the server holds is read at each quarter of the audio, and after the last stream.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import soxr
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streamer.bundled import bundled
from streamer.commands.numbers import Number, Whole
from streamer.counting import counted
from streamer.errors import RunFailure
from streamer.outputs import say_on_stderr
from streamer.signal import SAMPLE_RATE, TIMESTEP_SAMPLES
from streamer.sound.files.recording import read_recording
from train.ending import exit_code_of
from train.endurance.command import make_parser
from train.endurance.served import TOKEN, Footprint, Served, leftovers, table

RATES = (8_000, 16_000, 24_000, 44_100, 48_000)
#: Length of a stream, drawn log-uniformly.
LENGTH_S = (0.1, 600.0)
GAIN_DB = (-40.0, 10.0)
#: Length of the silence after the recording, which a stream repeats.
SILENCE_S = 8.0
#: Most audio in a message.
BLOCK_S = 1.0
#: Shares of streams that end as they should, and that close without an end; the others just go.
ENDS, CLOSES = 0.7, 0.2
#: Shares of streams with two channels, and of those that are split.
STEREO, SPLIT = 0.2, 0.3
#: The day is told in so many parts.
QUARTERS = 4
SHORTEST_H, LONGEST_H = 0.001, 1_000.0
_ESTIMATE = b'"type":"estimate"'
_PCM = 32_767.0


@dataclass
class Turnover:
    """What has happened so far, and the results in the end.

    Attributes:
        hours: hours of audio wanted.
        heard_s: seconds of audio sent to streams that are over.
        streams: streams that are over, by how they ended.
        estimates: estimates that came.
        footprints: what the server held, by moment.
        faults: what went wrong.
        took_s: duration of all.
    """

    hours: float
    heard_s: float = 0.0
    streams: Counter[str] = field(default_factory=Counter)
    estimates: int = 0
    footprints: dict[str, Footprint] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    took_s: float = 0.0


@dataclass(frozen=True)
class _Stream:
    """One stream as it was drawn.

    Attributes:
        rate: in Hz.
        channels: number of channels.
        is_split: whether each is a stream of its own.
        is_float: whether samples are float32; 16-bit integers otherwise.
        seconds: length.
        gain: factor.
        offset: where in the repeated audio it begins, as a share.
        how: how it ends.
    """

    rate: int
    channels: int
    is_split: bool
    is_float: bool
    seconds: float
    gain: float
    offset: float
    how: str

    @classmethod
    def drawn(cls, generator: np.random.Generator) -> _Stream:
        channels = 1 + int(generator.random() < STEREO)
        way = generator.random()
        return cls(
            int(generator.choice(RATES)),
            channels,
            channels > 1 and bool(generator.random() < SPLIT),
            bool(generator.random() < 0.5),
            float(np.exp(generator.uniform(*np.log(LENGTH_S)))),
            float(10.0 ** (generator.uniform(*GAIN_DB) / 20.0)),
            float(generator.random()),
            "ended" if way < ENDS else "closed" if way < ENDS + CLOSES else "gone",
        )

    @property
    def start(self) -> str:
        more = {"channels_wanted": "split"} if self.is_split else {}
        fields = {
            "sample_rate": self.rate,
            "channels": self.channels,
            "sample_format": "f32le" if self.is_float else "s16le",
        }
        return json.dumps({"type": "start", **fields, **more})

    def blocks(self, audio: NDArray[np.float32], generator: np.random.Generator) -> Iterator[bytes]:
        """Yield its audio, cut at random."""
        left = round(self.seconds * self.rate)
        at = int(self.offset * len(audio))
        while left > 0:
            size = min(left, int(generator.integers(1, round(BLOCK_S * self.rate))))
            samples = np.take(audio, range(at, at + size), mode="wrap") * np.float32(self.gain)
            samples = np.repeat(np.clip(samples, -1.0, 1.0), self.channels)
            yield (samples if self.is_float else (samples * _PCM).astype("<i2")).tobytes()
            at, left = at + size, left - size


def _recordings() -> dict[int, NDArray[np.float32]]:
    """Return the demo and a silence, by rate."""
    samples = read_recording(bundled("demo.flac"))
    whole = np.append(samples, np.zeros(round(SILENCE_S * SAMPLE_RATE), np.float32))
    return {rate: soxr.resample(whole, SAMPLE_RATE, rate).astype(np.float32) for rate in RATES}


async def _serve_one(
    server: Served, one: _Stream, audio: NDArray[np.float32], generator: np.random.Generator
) -> tuple[int, str | None]:
    """Be a stream; return how many estimates came, and what went wrong."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with connect(
        f"{server.url}/v1/stream",
        additional_headers=headers,
        compression=None,
        max_queue=None,
        ping_timeout=None,  # as in streamer.client
    ) as client:
        await client.send(one.start)
        sending = asyncio.create_task(_send(client, one, audio, generator))
        estimates, last = 0, b""
        try:
            async for message in client:
                data = message.encode() if isinstance(message, str) else message
                estimates += _ESTIMATE in data
                last = data
        except ConnectionClosed:
            pass
        sent = await asyncio.gather(sending, return_exceptions=True)
        if one.how != "ended":
            return estimates, None
        return estimates, _fault(one, client, last, estimates) or _told(sent[0])


async def _send(
    client: ClientConnection,
    one: _Stream,
    audio: NDArray[np.float32],
    generator: np.random.Generator,
) -> None:
    for block in one.blocks(audio, generator):
        await client.send(block)
    if one.how == "ended":
        await client.send('{"type":"end"}')
    elif one.how == "closed":
        await client.close()
    else:
        client.transport.abort()


def _fault(one: _Stream, client: ClientConnection, last: bytes, estimates: int) -> str | None:
    """Return what is wrong with the end of a stream that was ended."""
    if client.close_code != 1000:
        return f"{one} was closed with {client.close_code}: {client.close_reason}"
    if json.loads(last)["type"] != "end":
        return f"{one} has no end"
    owed = int(one.seconds * one.rate) * SAMPLE_RATE // one.rate // TIMESTEP_SAMPLES
    streams = one.channels if one.is_split else 1
    if not owed - 1 <= estimates / streams <= owed + 1:  # the last one may hang on a rounded sample
        return f"{one} has {estimates} estimates, not {owed * streams}"
    return None


def _told(error: object) -> str | None:
    return f"{type(error).__name__}: {error}" if isinstance(error, Exception) else None


async def _day(server: Served, result: Turnover, clients: int, seed: int) -> None:
    """Let clients come and go until enough was heard."""
    recordings = _recordings()
    wanted_s = 3600.0 * result.hours
    began_s = time.monotonic()

    async def client(number: int) -> None:
        generator = np.random.default_rng((seed, number))
        while result.heard_s < wanted_s:
            one = _Stream.drawn(generator)
            estimates, fault = await _serve_one(server, one, recordings[one.rate], generator)
            result.estimates += estimates
            result.streams[one.how] += 1
            result.heard_s += one.seconds
            if fault is not None:
                result.faults.append(fault)
            await note()

    async def note() -> None:
        share = result.heard_s / wanted_s
        part = len(result.footprints)  # the first is from before
        if part >= QUARTERS or share < part / QUARTERS:
            return
        name = f"{part}/{QUARTERS} of the audio"
        found = result.footprints[name] = await asyncio.to_thread(server.footprint)
        spent_s = time.monotonic() - began_s
        speed = result.heard_s / spent_s
        say_on_stderr(f"{name} after {spent_s:.0f} s, {speed:.0f} times real time: {found}")

    tasks = [asyncio.create_task(client(number)) for number in range(clients)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def turnover(hours: float, clients: int, seed: int) -> Turnover:
    """Run a day of so many hours.

    Raises:
        RunFailure: the server did not start, or has gone.
    """
    result = Turnover(hours)
    with Served() as server:
        before = result.footprints["before"] = server.at_rest()
        began_s = time.monotonic()
        try:
            asyncio.run(_day(server, result, clients, seed))
        except OSError as error:
            raise RunFailure(f"the server has gone: {error}; {server.complaints()}") from error
        result.took_s = time.monotonic() - began_s
        end = result.footprints["after the last"] = server.at_rest()
        complaints = server.complaints()
        code = server.end()
    result.faults += leftovers(before, end, complaints, code)
    return result


def text_of(result: Turnover) -> str:
    """Return the results as a table."""
    ended = ", ".join(f"{count} {how}" for how, count in sorted(result.streams.items()))
    return "\n".join(
        [
            f"{result.heard_s / 3600:.2f} h of audio in {result.took_s:.0f} s, "
            f"{result.heard_s / result.took_s:.0f} times real time",
            f"{counted(result.streams.total(), 'stream')} ({ended}), "
            f"{counted(result.estimates, 'estimate')}",
            "",
            table(result.footprints),
            "",
            *([f"fault: {one}" for one in result.faults] or ["no faults"]),
        ]
    )


def main() -> int:
    """Run as the command line says, and return the exit code."""
    return exit_code_of(_run)


def _run() -> int:
    parser = make_parser("turnover", __doc__)
    hours = Number("hours", SHORTEST_H, LONGEST_H)
    parser.add_argument("--hours", type=hours, default=24.0, help="of audio (%(default)g)")
    parser.add_argument("--clients", type=Whole(1, 100), default=12, help="at once (%(default)s)")
    parser.add_argument("--seed", type=Whole(0), default=0, help="(%(default)s)")
    options = parser.parse_args()
    result = turnover(options.hours, options.clients, options.seed)
    print(text_of(result))
    return int(bool(result.faults))


if __name__ == "__main__":
    sys.exit(main())
