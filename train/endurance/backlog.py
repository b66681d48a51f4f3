"""Paced streams beside clients that send recordings as fast as they can.

``python -m train.endurance.backlog --fast 50`` starts a server and measures paced streams at it,
in turns alone and beside the fast clients, which are a process with the lowest priority.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from itertools import repeat
from statistics import median

import numpy as np

from streamer.bundled import bundled
from streamer.client import connect
from streamer.commands.latency import STREAMS
from streamer.commands.latency.server import Load, ServerCost, measure_server, server_text
from streamer.commands.numbers import Number, Whole
from streamer.outputs import say_on_stderr
from streamer.signal import SAMPLE_RATE
from streamer.sound.files.recording import read_recording
from train.ending import exit_code_of
from train.endurance.command import attack, make_parser
from train.endurance.served import TOKEN, Served

#: Measurements of each kind.
TURNS = 3


async def _fast(port: int, clients: int) -> None:
    """Be so many clients at full speed, until the process is killed."""
    samples = read_recording(bundled("demo.flac"))
    blocks = np.array_split(samples, len(samples) // (SAMPLE_RATE // 10))

    async def one() -> None:
        async with connect(f"ws://127.0.0.1:{port}", token=TOKEN) as stream:
            async for _ in stream.hear(block for again in repeat(blocks) for block in again):
                pass

    await asyncio.gather(*(one() for _ in range(clients)))


def measure(load: Load, server: Served, fast: int) -> tuple[list[ServerCost], list[ServerCost]]:
    """Measure in turns; return the paced streams' costs alone, and beside the fast clients.

    Raises:
        RunFailure: the server has gone, or a paced stream was lost.
    """
    alone, beside = [], []
    for turn in range(TURNS):
        alone.append(measure_server(load))
        command = (sys.executable, "-m", "train.endurance.backlog", "--attack", str(server.port))
        clients = subprocess.Popen([*command, "--fast", str(fast)])
        try:
            before = server.figures()["estimates_total"]
            beside.append(measure_server(load))
            heard = server.figures()["estimates_total"] - before
        finally:
            clients.kill()
            clients.wait()
        server.at_rest()
        say_on_stderr(f"turn {turn + 1} of {TURNS}: {heard:.0f} estimates beside the fast clients")
    return alone, beside


def text_of(alone: list[ServerCost], beside: list[ServerCost], fast: int) -> str:
    """Return the costs alone and beside so many fast clients, and how they compare."""
    lines = []
    for name, costs in (("alone", alone), (f"beside {fast} fast clients", beside)):
        middle = sorted(costs, key=lambda one: one.beyond.p99)[len(costs) // 2]
        lines += [f"{name}, the middle of {TURNS} turns", server_text(middle)]
    for share in ("p50", "p99"):
        with_fast, without = (
            median(getattr(one.beyond, share) for one in costs) for costs in (beside, alone)
        )
        lines.append(f"{share} beside them is {with_fast / without:.2f} times that alone")
    return "\n".join(lines)


def main() -> int:
    """Run as the command line says, and return the exit code."""
    return exit_code_of(_run)


def _run() -> int:
    parser = make_parser("backlog", __doc__, attacks=True)
    parser.add_argument("--fast", type=Whole(0), default=50, help="fast clients (%(default)s)")
    parser.add_argument(
        "--streams",
        type=Whole(STREAMS[0], STREAMS[-1]),
        default=4,
        help="paced streams (%(default)s)",
    )
    seconds = Number("seconds", 1.0)
    parser.add_argument("--seconds", type=seconds, default=20.0, help="of a turn (%(default)g)")
    options = parser.parse_args()
    if options.attack is not None:
        attack(_fast(options.attack, options.fast))
        return 0
    with Served() as server:
        load = Load(server.url, options.streams, options.seconds, token=TOKEN)
        print(text_of(*measure(load, server, options.fast), options.fast))
    return 0


if __name__ == "__main__":
    sys.exit(main())
