"""Runs the measurements of ``ser-live latency`` in order, and shows each when it is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from streamer.bundled import bundled
from streamer.commands.choices import say
from streamer.commands.latency import CHIRPS, SOURCES, STREAMS
from streamer.commands.latency.live import (
    DatedMicrophone,
    Repeated,
    live_cost,
    microphone_probe,
    replay_probe,
    run_probed,
)
from streamer.commands.latency.loopback import RoundTrips, measure_loopback
from streamer.commands.latency.plot import check_plot, draw
from streamer.commands.latency.probe import SETTLING_S, Probe
from streamer.commands.latency.process import Process, machine
from streamer.commands.latency.reactions import demo_changes
from streamer.commands.latency.server import ServerCost
from streamer.commands.latency.stopped import StepCost, measure_stopped, read_timesteps
from streamer.commands.latency.stopwatch import TimedRecognizer
from streamer.commands.latency.streams import StreamsCost, measure_streams
from streamer.commands.latency.tables import (
    live_text,
    loopback_text,
    process_text,
    stopped_text,
    streams_text,
)
from streamer.errors import RunFailure, SerLiveError
from streamer.outputs import Output, write_line
from streamer.recognition.prior import BALANCED, Prior
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupted, Interrupts
from streamer.sound.capture.devices import find_microphone
from streamer.sound.source import NO_SIGNALS, Signals, Source

SCHEMA = 1
Measured = TypeVar("Measured", RoundTrips, ServerCost, StepCost, StreamsCost, Process)
DEMO = bundled("demo.flac")


@dataclass(frozen=True)
class LatencyPlan:
    """The measurements to make.

    Attributes:
        recording: recording to replay, or to process with the clock stopped; None for the demo.
        source: one of :data:`SOURCES`; ``stopped`` skips the paced session.
        seconds: audio per measurement.
        streams: number of streams at once, None to skip that.
        model: model file, None for the shipped one.
        prior: the assumed frequency of each label.
        device: microphone, None for the default.
        plot: file for a picture of the session, None for none.
    """

    recording: Path | None = None
    source: str = "replay"
    seconds: float = 30.0
    streams: int | None = None
    model: Path | None = None
    prior: Prior = BALANCED
    device: str | None = None
    plot: Path | None = None

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise SerLiveError(f"--source must be one of {', '.join(SOURCES)}")
        if not 1 <= self.seconds <= 86_400:
            raise SerLiveError("--seconds must lie in 1..86400")
        if self.streams is not None and self.streams not in STREAMS:
            raise SerLiveError(f"--streams must lie in {STREAMS[0]}..{STREAMS[-1]}")
        if self.source == "mic" and self.recording is not None:
            raise SerLiveError("FILE is for --source replay; --source mic listens to a microphone")
        if self.source != "mic" and self.device is not None:
            raise SerLiveError("--device names a microphone; say --source mic or --loopback")
        if self.source == "stopped" and self.plot is not None:
            raise SerLiveError("--plot shows a paced session; --source stopped has none")
        if self.plot is not None:
            check_plot(self.plot)

    def is_of_demo(self) -> bool:
        """Return whether the recording is the demo, by any name; it must exist."""
        if self.source != "replay":
            return False
        return self.recording is None or self.recording.samefile(DEMO)


class Findings:
    """Makes measurements, shows each when it is done, and keeps all as one JSON object."""

    def __init__(
        self, show: Callable[[str], None], out: Output | None, signals: Signals = NO_SIGNALS
    ) -> None:
        """Set where the findings go.

        Args:
            show: prints text.
            out: takes the JSON at the end; None for no JSON.
            signals: end a measurement.
        """
        self._show = show
        self._out = out
        self._signals = signals
        self._document: dict[str, Any] = {}

    def make(
        self, name: str, do: Callable[[], Measured], text: Callable[[Measured], str], **also: Any
    ) -> None:
        """Make a measurement and add it.

        Args:
            name: its key in the JSON.
            do: makes it, and returns a dataclass.
            text: turns that into text.
            also: further values for the JSON.
        """
        with self._signals.waiting():
            found = do()
        self.add(text(found), **{name: asdict(found)}, **also)

    def add(self, text: str, **values: Any) -> None:
        self._document |= values
        self._show(text)

    def close(self) -> None:
        """Write the JSON, unless nothing was found."""
        if self._out is not None and self._document:
            write_line(self._out, json.dumps({"schema": SCHEMA} | self._document, indent=2))


def measure(plan: LatencyPlan, findings: Findings, interrupts: Interrupts) -> None:
    """Make the planned measurements.

    Raises:
        SerLiveError: a file cannot be read, or there is no such device.
        RunFailure: the device is gone, or the output cannot be written.
        Interrupted: a signal came. Earlier measurements have been shown in each of these cases.
    """
    recognizer = TimedRecognizer.load(plan.model, plan.prior)
    timesteps = read_timesteps(plan.recording or DEMO, plan.seconds)
    if plan.source != "stopped":
        _measure_live(plan, recognizer, findings, interrupts)
    findings.make(
        "stopped",
        lambda: measure_stopped(recognizer, timesteps, plan.seconds),
        lambda cost: stopped_text(cost, recognizer.metadata.look_ahead_ms),
    )
    if (count := plan.streams) is not None:
        plain = Recognizer.load(plan.model, plan.prior)  # only the streams are timed
        findings.make(
            "streams",
            lambda: measure_streams(plain, timesteps.ravel(), count, plan.seconds),
            streams_text,
        )
    findings.make("process", lambda: Process.measure(plan.model), process_text)


def _measure_live(
    plan: LatencyPlan, recognizer: TimedRecognizer, findings: Findings, interrupts: Interrupts
) -> None:
    duration_s = SETTLING_S + plan.seconds
    with ExitStack() as stack:
        source: Source
        if plan.source == "mic":
            device = find_microphone(plan.device)
            source = microphone = stack.enter_context(
                DatedMicrophone(device, say, duration_s=duration_s, signals=interrupts)
            )
            probe = microphone_probe(recognizer, microphone)
        else:
            source = Repeated(plan.recording or DEMO, duration_s)
            probe = replay_probe(recognizer, interrupts)
        say(
            f"measuring for {plan.seconds:g} s, after {SETTLING_S:g} s to settle; Ctrl-C ends it "
            "and shows what there is"
        )
        try:
            run_probed(source, recognizer, probe, interrupts)
        except (Interrupted, RunFailure) as error:
            if not (isinstance(error, Interrupted) and error.is_impatient):
                _show_live(plan, source, probe, findings)
            raise
        _show_live(plan, source, probe, findings)


def _show_live(plan: LatencyPlan, source: Source, probe: Probe, findings: Findings) -> None:
    changes = demo_changes(SETTLING_S + plan.seconds) if plan.is_of_demo() else []
    cost = live_cost(source, probe, changes)
    if cost is None:
        return
    findings.add(live_text(cost), live=asdict(cost))
    if plan.plot is not None:
        draw(probe.passage(), source.name, plan.plot)


def measure_round_trips(
    chirps: int, device: str | None, output_device: str | None, findings: Findings
) -> None:
    """Measure speaker and microphone instead.

    Raises:
        SerLiveError: the number is impossible, or there is no such device.
        RunFailure: a device cannot be opened, or the chirp is not heard.
        Interrupted: a signal came.
    """
    if chirps not in CHIRPS:
        raise SerLiveError(f"--loopback must lie in {CHIRPS[0]}..{CHIRPS[-1]}")
    findings.make(
        "loopback",
        lambda: measure_loopback(chirps, device, output_device, say),
        loopback_text,
        machine=machine(),
    )
