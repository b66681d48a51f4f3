"""Hostile connections beside paced streams: what they cost the others, and what stays behind.

``python -m train.endurance.hostile --connections 10000`` starts a server, measures paced streams
at it alone, then beside the hostile connections (of a process with the lowest priority, as they
would come from other machines), then alone again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from streamer.commands.latency.server import Load, ServerCost, measure_server
from streamer.commands.numbers import Whole
from streamer.errors import RunFailure
from streamer.outputs import say_on_stderr
from train.ending import exit_code_of
from train.endurance.command import attack, make_parser
from train.endurance.hostility import many
from train.endurance.served import TOKEN, Footprint, Served, leftovers, table

#: Seconds of one measurement; the storm is covered by one after the other.
ROUND_S = 20.0
#: Rounds alone, before the storm and after it.
ROUNDS_ALONE = 3
#: How many times the p99 of a paced stream alone its p99 in a storm may be.
MOST_TIMES = 1.5
#: Threads that asyncio keeps for blocking work, started when they are first needed.
POOL = min(32, (os.cpu_count() or 1) + 4)


@dataclass(frozen=True)
class Storm:
    """The results.

    Attributes:
        kinds: hostile connections, by kind.
        seconds: duration of the storm.
        rounds: measurements of the paced streams: before, in the storm, and after.
        footprints: what the server held, by moment.
        refused: connections not let in, by reason.
        ended: streams ended, by code.
        faults: what went wrong.
    """

    kinds: Counter[str]
    seconds: float
    rounds: dict[str, list[ServerCost]]
    footprints: dict[str, Footprint]
    refused: dict[str, int]
    ended: dict[str, int]
    faults: list[str]

    @property
    def times(self) -> float:
        """Median p99 of the rounds in the storm, over that of the rounds alone."""
        alone = [one.beyond.p99 for name in ("before", "after") for one in self.rounds[name]]
        return median(one.beyond.p99 for one in self.rounds["in the storm"]) / median(alone)


def storm(connections: int, paced: int, seed: int, at_once: int) -> Storm:
    """Let the connections loose on a server of their own.

    Raises:
        RunFailure: the server or the clients did not start, or a paced stream was lost.
    """
    with Served() as server:
        load = Load(server.url, paced, ROUND_S, token=TOKEN)
        rounds = {"before": _measure(load, ROUNDS_ALONE)}
        footprints = {"before": server.at_rest()}
        began_s = time.monotonic()
        command = (sys.executable, "-m", "train.endurance.hostile", "--attack", str(server.port))
        more = ("--connections", connections, "--seed", seed, "--at-once", at_once)
        attacker = subprocess.Popen([*command, *map(str, more)], stdout=subprocess.PIPE, text=True)
        try:
            rounds["in the storm"] = list(_while_it_blows(load, attacker, server, footprints))
            out, _ = attacker.communicate()
        finally:
            attacker.kill()
            attacker.wait()
        seconds = time.monotonic() - began_s
        if attacker.returncode:
            raise RunFailure(f"the hostile clients failed with code {attacker.returncode}")
        footprints["after"] = server.at_rest()
        rounds["after"] = _measure(load, ROUNDS_ALONE)
        footprints["at the end"] = server.at_rest()
        figures = server.figures()
        complaints = server.complaints()
        code = server.end()
    result = Storm(
        Counter(json.loads(out)),
        seconds,
        rounds,
        footprints,
        _labelled(figures, "refused_total"),
        _labelled(figures, "streams_ended_total"),
        [],
    )
    result.faults.extend(_faults(result, complaints, code))
    return result


def _measure(load: Load, rounds: int) -> list[ServerCost]:
    return [measure_server(load) for _ in range(rounds)]


def _while_it_blows(
    load: Load, attacker: subprocess.Popen[str], server: Served, footprints: dict[str, Footprint]
) -> Iterator[ServerCost]:
    """Measure until the attacker has ended, once at least."""
    while True:
        yield measure_server(load)
        footprints["in the storm"] = server.footprint()
        say_on_stderr(f"in the storm: {footprints['in the storm']}")
        if attacker.poll() is not None:
            return


def _labelled(figures: dict[str, float], name: str) -> dict[str, int]:
    """Return the values of a metric with one label, by that label."""
    return {
        key.split('"')[1]: int(value)
        for key, value in figures.items()
        if key.startswith(f"{name}{{")
    }


def _faults(result: Storm, complaints: list[str], code: int) -> list[str]:
    """Return what went wrong for certain; how much memory is too much, a person decides."""
    before, end = result.footprints["before"], result.footprints["at the end"]
    found = {
        f"{end.threads - before.threads} more threads": end.threads > before.threads + POOL,
        f"the model failed {result.ended.get('1011')} times": "1011" in result.ended,
    }
    return [
        *leftovers(before, end, complaints, code),
        *(fault for fault, is_so in found.items() if is_so),
    ]


def text_of(result: Storm) -> str:
    """Return the results as tables."""
    lines = [f"{result.kinds.total()} hostile connections in {result.seconds:.0f} s"]
    lines += [f"  {kind:<26}{count:>6}" for kind, count in sorted(result.kinds.items())]
    lines += [
        "",
        f"{'paced streams':<22}{'rounds':>11}{'p50/ms':>11}{'p99/ms':>11}{'worst p99':>11}",
    ]
    for name, rounds in result.rounds.items():
        p50, p99, worst = (
            median(one.beyond.p50 for one in rounds),
            median(one.beyond.p99 for one in rounds),
            max(one.beyond.p99 for one in rounds),
        )
        lines.append(f"{name:<22}{len(rounds):>11}{p50:>11.1f}{p99:>11.1f}{worst:>11.1f}")
    verdict = "within" if result.times <= MOST_TIMES else "beyond"
    lines.append(f"p99 in the storm is {result.times:.2f} times that alone, {verdict} {MOST_TIMES}")
    lines += ["", table(result.footprints), ""]
    for name, counts in (("refused", result.refused), ("streams ended", result.ended)):
        lines.append(f"{name}: " + ", ".join(f"{one} {count}" for one, count in counts.items()))
    lines += [f"fault: {one}" for one in result.faults] or ["no faults"]
    return "\n".join(lines)


def main() -> int:
    """Run as the command line says, and return the exit code."""
    return exit_code_of(_run)


def _run() -> int:
    parser = make_parser("hostile", __doc__, attacks=True)
    parser.add_argument("--connections", type=Whole(1), default=10_000, help="(%(default)s)")
    parser.add_argument("--paced", type=Whole(1), default=4, help="streams beside (%(default)s)")
    parser.add_argument("--at-once", type=Whole(1), default=64, help="connections (%(default)s)")
    parser.add_argument("--seed", type=Whole(0), default=0, help="(%(default)s)")
    options = parser.parse_args()
    connections, seed, at_once = options.connections, options.seed, options.at_once
    if options.attack is not None:
        print(json.dumps(attack(many(options.attack, connections, seed, TOKEN, at_once))))
        return 0
    result = storm(connections, options.paced, seed, at_once)
    print(text_of(result))
    return int(bool(result.faults))


if __name__ == "__main__":
    sys.exit(main())
