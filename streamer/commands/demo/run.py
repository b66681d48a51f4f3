"""Runs ``ser-live demo``."""

from __future__ import annotations

import argparse
import sys

from streamer.commands.choices import say
from streamer.commands.replay.run import run as run_replay
from streamer.session.interrupts import Interrupted, Interrupts

#: Lines that follow the demo on a terminal.
WHAT_NEXT = (
    "that was one actor and one sentence, spoken neutral, angry, sad and happy; a demonstration, "
    "not a measurement",
    "next: ser-live listens to your microphone, ser-live replay FILE takes your recording",
    "to keep and draw the results: ser-live replay FILE -o session.jsonl && ser-live report "
    "session.jsonl -o report.html",
)


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Replay the shipped recording; on a terminal, say what to try next.

    Raises:
        SerLiveError, RunFailure, Interrupted: as in ``replay``.
    """
    try:
        code = run_replay(options, interrupts)
    except Interrupted as interrupted:
        if interrupted.number == 0:  # the user pressed q
            _say_next()
        raise
    if code == 0:
        _say_next()
    return code


def _say_next() -> None:
    """Say it to a person: a program that reads the results has no use for it."""
    if sys.stderr.isatty():
        for line in WHAT_NEXT:
            say(line)
