"""Runs ``ser-live picture``: draws the screen at one moment of a recording, or as it moves."""

from __future__ import annotations

import argparse
import math
import re
from collections import deque
from contextlib import ExitStack
from pathlib import Path

from streamer.commands.choices import (
    load_adaptation,
    load_recognizer,
    model_files,
    open_output,
    say,
)
from streamer.commands.options import SPEEDS
from streamer.errors import RunFailure, SerLiveError
from streamer.outputs import Output, write_line
from streamer.recognition.profile import UNKNOWN_VOICE, Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.screen.drawing.svg import moving_svg, still_svg
from streamer.screen.keys import View
from streamer.screen.monitor import Monitor, Snapshot
from streamer.session.clock import Pace
from streamer.session.events import TOO_SHORT, Event
from streamer.session.interrupts import Interrupts
from streamer.session.run import run_session
from streamer.signal import TIMESTEP_S
from streamer.sound.files.recording import Recording

COLUMNS = range(20, 401)
ROWS = range(5, 201)
_BLOCK_MS = 10
#: Of a moving picture: timesteps per frame, and how long the last frame stays.
_FRAME_TIMESTEPS, _HOLD_S = 3, 2.0


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Draw the requested picture.

    Raises:
        SerLiveError: wrong usage, or the recording or the model cannot be read.
        RunFailure: the picture cannot be written.
        Interrupted: a signal came.
    """
    size = size_of(options.size)
    if options.output is not None and options.output.suffix.lower() != ".svg":
        raise SerLiveError(f"{options.output}: a picture of the screen is a .svg file")
    with ExitStack() as stack:
        out = open_output(options, stack, [options.file, *model_files(options)])
        recognizer = load_recognizer(options)
        draw_recording(
            options.file,
            recognizer,
            out,
            interrupts,
            at_s=options.at,
            moving_s=options.moving,
            size=size,
            speed=SPEEDS[options.speed],
            adaptation=load_adaptation(options, recognizer),
        )
    return 0


class _Frames:
    """Keeps a monitor's snapshots before one moment, or before the end if that comes first."""

    def __init__(self, monitor: Monitor, at_s: float, span_s: float) -> None:
        """Keep the snapshots of the last ``span_s`` seconds, and at least one."""
        frame_s = _FRAME_TIMESTEPS * TIMESTEP_S
        self._kept: deque[Snapshot] = deque(maxlen=max(1, math.ceil(span_s / frame_s)))
        self._newest = Snapshot()
        self._monitor = monitor
        self._at_s = at_s

    def take(self, event: Event) -> None:
        self._monitor.take(event)
        snapshot = self._monitor.snapshot
        if snapshot.time > self._at_s:
            return
        is_next = snapshot.timesteps > self._newest.timesteps
        if is_next and self._newest.timesteps % _FRAME_TIMESTEPS == 0:
            self._kept.append(self._newest)
        self._newest = snapshot

    @property
    def snapshots(self) -> list[Snapshot]:
        """The kept ones, oldest first; at least one."""
        return [*self._kept, self._newest][-(self._kept.maxlen or 1) :]


def size_of(text: str) -> tuple[int, int]:
    """Parse columns and rows from a text like ``120x40``.

    Raises:
        SerLiveError: it is not of that form, or impossible.
    """
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    columns, rows = map(int, match.groups()) if match else (0, 0)
    if columns not in COLUMNS or rows not in ROWS:
        raise SerLiveError(
            f"--size must be COLUMNSxROWS, {COLUMNS[0]}x{ROWS[0]} to {COLUMNS[-1]}x{ROWS[-1]}"
        )
    return columns, rows


def draw_recording(
    path: Path,
    recognizer: Recognizer,
    out: Output,
    interrupts: Interrupts,
    *,
    at_s: float,
    moving_s: float | None,
    size: tuple[int, int],
    speed: float | None,
    adaptation: Adaptation = UNKNOWN_VOICE,
) -> None:
    """Replay a recording and write the screen as it was at ``at_s`` seconds.

    Args:
        path: any sound file.
        recognizer: makes the stream.
        out: takes the SVG.
        interrupts: signals.
        at_s: stream time; infinite for the end.
        moving_s: seconds before it that the picture moves through; None for one that stands still.
        size: columns and rows.
        speed: as in a replay; only a paced one has a latency to show.
        adaptation: how the stream adapts to its voice.

    Raises:
        SerLiveError: the recording cannot be read to its end; what was heard of it is drawn.
        RunFailure: the picture cannot be written.
        Interrupted: a signal came.
    """
    monitor = Monitor()
    frames = _Frames(monitor, at_s, moving_s or 0.0)
    try:
        with Recording(path, say=say) as source:
            run_session(
                source,
                recognizer,
                [frames],
                clock=Pace(speed, interrupts),
                block_ms=_BLOCK_MS,
                interrupts=interrupts,
                listeners=[monitor],
                adaptation=adaptation,
                say=say,
            )
    except RunFailure:
        raise
    except SerLiveError:
        if monitor.snapshot.time > 0:  # of a damaged recording, what was heard before
            write_line(out, _drawn(frames.snapshots, size, moving_s))
        raise
    end_s = monitor.snapshot.time
    if not end_s:
        raise SerLiveError(f"{path}: {TOO_SHORT}")
    if end_s + TIMESTEP_S < at_s < math.inf:
        say(f"{path}: ends after {end_s:.2f} s, before --at {at_s:g}; the picture shows its end")
    write_line(out, _drawn(frames.snapshots, size, moving_s))


def _drawn(snapshots: list[Snapshot], size: tuple[int, int], moving_s: float | None) -> str:
    if moving_s is None:
        return still_svg(snapshots[-1], View(), *size)
    frame_s = _FRAME_TIMESTEPS * TIMESTEP_S
    return moving_svg(snapshots, *size, frame_s=frame_s, hold_s=_HOLD_S)
