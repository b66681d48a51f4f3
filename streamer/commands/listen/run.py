"""Runs ``ser-live listen``: from a microphone to the sinks."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

from streamer.commands.choices import (
    channels_of,
    display_of,
    load_adaptation,
    load_recognizer,
    model_files,
    stdout,
)
from streamer.commands.display import Display
from streamer.errors import SerLiveError, told
from streamer.outputs import check_apart, check_output, say_on_stderr
from streamer.recognition.prior import EVERYDAY
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupts
from streamer.session.run import run_session
from streamer.sound.capture.devices import find_microphone
from streamer.sound.capture.microphone import CAPTURE_BLOCK_MS, Microphone
from streamer.sound.recorder import Recorder


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Listen until the duration is over, a signal comes, or the device is lost for good.

    Raises:
        SerLiveError: wrong usage, no such device or channel, or a file cannot be created.
        RunFailure: the device cannot be opened or is gone; a file or sink failed.
        Interrupted: a signal came; raised after the last event.
    """
    duration_s: float | None = options.duration
    record: Path | None = options.record
    if options.output and record:
        check_apart(options.output, record)
    if record and record.suffix.lower() != ".wav":
        raise SerLiveError(f"{record}: a recording is a .wav file")
    for path in filter(None, (options.output, record)):  # before anything is opened
        check_output(path, options.force, model_files(options))
    wanted = channels_of(options)
    if wanted.is_split and record is not None:
        raise SerLiveError("--record keeps one channel: --channels 1 records the first")
    if options.output is None:
        stdout()
    recognizer = _everyday(load_recognizer(options), options)
    adaptation = load_adaptation(options, recognizer, wanted)
    teller = _Teller()
    with ExitStack() as stack:
        microphone = stack.enter_context(
            Microphone(
                find_microphone(options.device),
                teller.say,
                duration_s=duration_s,
                reconnects=not options.no_reconnect,
                wanted=wanted,
                signals=interrupts,
            )
        )
        recorder = stack.enter_context(Recorder(microphone, teller.say, record, options.force))
        display = display_of(
            options, stack, interrupts, recorder=recorder, is_split=wanted.is_split
        )
        teller.display = display
        run_session(
            recorder,
            recognizer,
            display.sinks,
            clock=microphone,
            block_ms=CAPTURE_BLOCK_MS,
            interrupts=interrupts,
            listeners=display.listeners,
            streams=microphone.streams,
            adaptation=adaptation,
            say=teller.say,
        )
    return 0


def _everyday(recognizer: Recognizer, options: argparse.Namespace) -> Recognizer:
    """Use the everyday prior by default: speech near a microphone is mostly neutral.

    A model without everyday frequencies stays balanced.
    """
    if options.prior is None and recognizer.metadata.everyday_prior:
        return recognizer.with_prior(EVERYDAY)
    return recognizer


class _Teller:
    """Prints lines for the user: on stderr, and on the screen once there is one."""

    def __init__(self) -> None:
        self.display: Display | None = None

    def say(self, line: str) -> None:
        say = say_on_stderr if self.display is None else self.display.say
        say(told(line))
