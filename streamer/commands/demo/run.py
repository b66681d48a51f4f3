"""Runs ``ser-live demo``."""

from __future__ import annotations

import argparse
import sys

from streamer.commands.choices import say
from streamer.commands.demo.parts import Guide
from streamer.commands.display import Display
from streamer.commands.replay.run import run as run_replay
from streamer.session.interrupts import Interrupted, Interrupts

#: Lines that follow the demo on a terminal.
WHAT_NEXT = (
    "a label weighs the last 1.5 s of sound: it follows a change late, and errs more while it has "
    "heard little",
    "a verdict names one emotion for a whole recording; this one has four, so its parts say more",
    "one actor and one sentence are a demonstration, not a measurement",
    "next: ser-live listens to your microphone, ser-live replay FILE takes your recording",
    "to keep and draw the results: ser-live replay FILE -o session.jsonl && ser-live report "
    "session.jsonl -o report.html",
)


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Replay the shipped recording; on a terminal, say what it was and what to try next.

    Raises:
        SerLiveError, RunFailure, Interrupted: as in ``replay``.
    """
    guides: list[Guide] = []

    def guide(display: Display) -> Guide:
        guides.append(Guide(display.announce))
        return guides[0]

    try:
        code = run_replay(options, interrupts, guide)
    except Interrupted as interrupted:
        if interrupted.number == 0:  # the user pressed q
            _say_after(guides)
        raise
    if code == 0:
        _say_after(guides)
    return code


def _say_after(guides: list[Guide]) -> None:
    """Say it to a person: a program that reads the results has no use for it."""
    if sys.stderr.isatty():
        for line in (*(line for guide in guides for line in guide.lines()), *WHAT_NEXT):
            say(line)
