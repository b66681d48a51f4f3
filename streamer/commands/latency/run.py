"""Runs ``ser-live latency``: chooses the measurements and their output."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from streamer.bundled import bundled
from streamer.commands.choices import stdout
from streamer.commands.latency.measure import (
    Findings,
    LatencyPlan,
    measure,
    measure_round_trips,
)
from streamer.commands.latency.server import Load, measure_server, server_text
from streamer.errors import SerLiveError
from streamer.formats.writers import check_replaceable
from streamer.modelfile.shipped import model_path
from streamer.outputs import OutputFile, check_apart, check_output, write_line
from streamer.session.interrupts import Interrupts


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Make the requested measurements.

    Raises:
        SerLiveError: wrong usage, a file cannot be read, or there is no such device or server.
        RunFailure: a device or server is gone, or the output cannot be written.
        Interrupted: a signal came. Earlier measurements have been shown in each of these cases.
    """
    stdout()  # before anything is measured
    if options.server is not None:
        _measure_server(options, interrupts)
    elif options.loopback is not None:
        _measure_loopback(options, interrupts)
    else:
        _measure_here(options, interrupts)
    return 0


def _measure_here(options: argparse.Namespace, interrupts: Interrupts) -> None:
    if options.output_device is not None:
        raise SerLiveError("--output-device plays the chirps of --loopback")
    names = ("recording", "source", "seconds", "streams", "model", "prior", "plot")
    plan = LatencyPlan(**_named(options, names), device=options.device)
    inputs = [options.recording or bundled("demo.flac"), model_path(options.model)]
    if options.plot is not None:
        if options.json is not None:
            check_apart(options.plot, options.json)
        check_output(options.plot, options.force, inputs)
    with _findings(options, inputs, interrupts) as findings:
        measure(plan, findings, interrupts)


def _measure_loopback(options: argparse.Namespace, interrupts: Interrupts) -> None:
    others = ("recording", "source", "seconds", "streams", "model", "prior", "plot")
    if _named(options, others):
        raise SerLiveError("--loopback goes with --device, --output-device and --json only")
    inputs = [bundled("demo.flac"), model_path(None)]
    with _findings(options, inputs, interrupts) as findings:
        measure_round_trips(options.loopback, options.device, options.output_device, findings)


def _measure_server(options: argparse.Namespace, interrupts: Interrupts) -> None:
    others = ("source", "model", "prior", "plot", "loopback", "device", "output_device")
    if _named(options, others):
        raise SerLiveError("--server goes with FILE, --streams, --seconds and --json only")
    load = Load(
        options.server,
        token=os.environ.get("SER_LIVE_TOKEN") or None,
        **_named(options, ("streams", "seconds", "recording")),
    )
    inputs = [options.recording or bundled("demo.flac")]
    with _findings(options, inputs, interrupts) as findings:
        cost = measure_server(load, interrupts)
        findings.add(server_text(cost), server=asdict(cost))


def _named(options: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """Return those of the options that are given."""
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


@contextmanager
def _findings(
    options: argparse.Namespace, inputs: Sequence[Path], interrupts: Interrupts
) -> Iterator[Findings]:
    """Open the findings: shown, and kept in the file for ``--json``."""
    out = stdout()
    with ExitStack() as stack:
        keep = None
        if options.json is not None:
            check_replaceable(options.json, "--json takes figures")
            keep = stack.enter_context(OutputFile(options.json, options.force, inputs))
        findings = Findings(lambda text: write_line(out, text), keep, interrupts)
        stack.callback(findings.close)
        yield findings
