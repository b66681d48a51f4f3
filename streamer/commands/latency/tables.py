"""Formats the measurements as text, 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from io import StringIO
from statistics import median
from textwrap import fill

from streamer.commands.latency.live import LiveCost
from streamer.commands.latency.loopback import RoundTrips
from streamer.commands.latency.process import Process
from streamer.commands.latency.reactions import Reactions
from streamer.commands.latency.spread import Spread
from streamer.commands.latency.stopped import StepCost
from streamer.commands.latency.streams import StreamsCost
from streamer.counting import counted
from streamer.errors import printable
from streamer.signal import TIMESTEP_S

#: Constant terms; they follow from the model's metadata and the front end.
DERIVED_TERMS = ("framing", "look-ahead")
_WIDTH = 80
_STEP_MS = 1000.0 * TIMESTEP_S


def live_text(cost: LiveCost) -> str:
    """Return every term from the sound to the output, and the session's other figures."""
    terms = list(cost.terms_ms.items())
    totals = [
        ("sum of the terms", cost.sum_ms),
        ("end to end, measured", cost.end_to_end_ms),
        ("the rest, unexplained", cost.rest_ms),
    ]
    load = cost.load
    facts = [
        f"a moment within a timestep waits up to {_STEP_MS:g} ms more for its end, "
        f"{_STEP_MS / 2:g} on average",
        *_resampling(cost),
        *_reactions(cost.reactions),
        f"deadline misses (over {_STEP_MS:g} ms) {load.deadline_misses} of {cost.estimates}, "
        f"overflows {load.overflows}, samples lost {load.lost_samples}",
        f"real-time factor at the pace of the clock {load.real_time_factor:.4f}, "
        f"CPU share {load.cpu_share:.1%} of a core",
    ]
    return _section(
        f"At the pace of the clock: {counted(cost.estimates, 'estimate')} (ms)",
        _table("term", [terms, totals], DERIVED_TERMS),
        [f"{printable(cost.source)}, {cost.sample_rate} Hz", *facts],
    )


def stopped_text(cost: StepCost, look_ahead_ms: float) -> str:
    """Return the lower bound: the cost of a step by itself."""
    median_ms = look_ahead_ms + cost.parts["whole step"].p50
    return _section(
        f"The clock stopped while computing: {counted(cost.steps, 'step')} of {_STEP_MS:g} ms (ms)",
        _table("part", [list(cost.parts.items())]),
        [
            f"framing, look-ahead and the median step: half of all labels take {median_ms:.1f} ms "
            "at least",
            f"real-time factor of steps back to back, clock stopped {cost.real_time_factor:.4f}",
            *_memory(cost.resident_mib),
        ],
    )


def streams_text(cost: StreamsCost) -> str:
    """Return whether so many streams fit on one core."""
    verdict = "fit" if cost.is_punctual else "do not fit"
    return _section(
        f"{counted(cost.streams, 'stream')} at once, one core: {counted(cost.steps, 'step')} "
        "(ms of processor time)",
        _table("part", [[(f"a step of all {cost.streams}", cost.step)]]),
        [
            f"they {verdict}: p99 {cost.step.p99:.1f} of {_STEP_MS:g} ms, "
            f"deadline misses {cost.deadline_misses}",
            f"real-time factor of all {cost.real_time_factor:.4f}",
        ],
    )


def process_text(process: Process) -> str:
    """Return the facts that hold for all measurements."""
    lines = [f"process start to first estimate {process.start_up_ms:.0f} ms (median of 3 starts)"]
    if process.busy_share is not None:
        lines.append(f"processes that wanted a core, last minute: {process.busy_share:.1f} a core")
    lines.append(", ".join(f"{name} {value}" for name, value in process.machine.items()))
    return "\n".join(map(_wrapped, lines))


def loopback_text(trips: RoundTrips) -> str:
    """Return the true latency of the devices next to PortAudio's figures."""
    rows = [
        ("speaker, by its dates", trips.speaker_ms),
        ("microphone, by its dates", trips.microphone_ms),
        ("what neither says", trips.unsaid_ms),
    ]
    return _section(
        f"Speaker to microphone: chirp found {trips.found} of {trips.played} times (ms)",
        _table("latency", [rows, [("round trip, measured", trips.round_trip_ms)]]),
        [
            f"{printable(trips.speaker)} -> {printable(trips.microphone)}",
            f"PortAudio says that it opened them with {trips.speaker_claim_ms:.1f} and "
            f"{trips.microphone_claim_ms:.1f} ms of latency",
            f"output underflows {trips.underflows}",
            "sound takes 2.9 ms a metre through the air",
        ],
    )


def _section(heading: str, table: str, facts: Iterable[str]) -> str:
    return "\n".join([heading, table, *map(_wrapped, facts), ""])


def _wrapped(fact: str) -> str:
    return fill(fact, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _table(
    first: str, groups: Sequence[Sequence[tuple[str, Spread]]], derived: Sequence[str] = ()
) -> str:
    """Return names and spreads, a line between groups, and one value where that is enough."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column(first, min_width=24)
    for column in asdict(groups[0][0][1]):
        table.add_column(column, justify="right", min_width=9)
    for group in groups:
        for name, spread in group:
            values = [f"{value:.3f}" for value in asdict(spread).values()]
            if name in derived:
                table.add_row(f"{name} (derived)", values[0])
            else:
                table.add_row(name, *values)
        table.add_section()
    text = StringIO()
    Console(file=text, width=_WIDTH).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines() if line.strip())


def _resampling(cost: LiveCost) -> list[str]:
    bound_ms = cost.resampler_bound_ms
    return [f"resampling holds back {bound_ms:.0f} ms at most (derived)"] if bound_ms else []


def _reactions(found: Reactions) -> list[str]:
    changes = f"{_middle(found.to_emotion_ms)}, named {len(found.to_emotion_ms)} of {found.changes}"
    return [
        f"first sound of speech to first speech label {_middle(found.to_speech_ms)}",
        "first sound of another emotion to its label "
        + (changes if found.changes else "- (no change is known)"),
    ]


def _middle(values_ms: Sequence[float]) -> str:
    if not values_ms:
        return "-"
    return f"{median(values_ms):.0f} ms (median of {len(values_ms)}, at most {max(values_ms):.0f})"


def _memory(resident_mib: tuple[float, float] | None) -> list[str]:
    if resident_mib is None:
        return []
    before, after = resident_mib
    return [f"resident memory {before:.1f} MiB before, {after:.1f} MiB after"]
