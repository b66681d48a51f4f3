"""Runs ``ser-live replay``: from recordings or a pipe to the sinks."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

from streamer.commands.choices import display_of, load_adaptation, load_recognizer, with_origin
from streamer.commands.display import Display
from streamer.commands.options import SPEEDS
from streamer.commands.replay.progress import Progress
from streamer.errors import RunFailure, SerLiveError, told
from streamer.session.clock import Clock, Pace
from streamer.session.events import Sink
from streamer.session.interrupts import Interrupts
from streamer.session.run import run_session
from streamer.signal import MANY_AT_ONCE
from streamer.sound.channels import CHANNELS, MIX, Channels
from streamer.sound.files.recording import Recording
from streamer.sound.pcm import RawPcm
from streamer.sound.pipe import LivePipe


def run(
    options: argparse.Namespace,
    interrupts: Interrupts,
    companion: Callable[[Display], Sink] | None = None,
) -> int:
    """Process every file to its end; an unreadable file does not stop the others.

    Args:
        options: those of the command.
        interrupts: signals.
        companion: makes one more sink, once the display is open.

    Returns:
        the exit code: that of the last file that could not be read to its end, or 0.

    Raises:
        SerLiveError: wrong usage, or the model or an output is not available.
        RunFailure: a sink failed.
        Interrupted: a signal came; raised after the last event.
    """
    files: list[str] = options.files
    _check(options, files)
    count, wanted_of_pipe, wanted = _channels(options.channels, files)
    _make_stdin_block(files)
    speed = SPEEDS[options.speed]
    exit_code = 0
    recognizer = load_recognizer(options)
    adaptation = load_adaptation(options, recognizer, wanted, wanted_of_pipe)
    progress = Progress(options.output)
    with ExitStack() as stack:
        stack.enter_context(progress.told_if_stopped())
        display = display_of(
            options,
            stack,
            interrupts,
            is_paced=speed is not None,
            inputs=[Path(name) for name in files],
            is_split=wanted.is_split or wanted_of_pipe.is_split,
        )

        also = () if companion is None else (companion(display),)

        def say(line: str) -> None:
            display.say(told(line))

        def piped(stream: BinaryIO) -> RawPcm:
            encoding = options.sample_format or "s16le"
            return RawPcm(
                stream,
                options.rate,
                count,
                encoding,
                wanted=wanted_of_pipe,
                say=say,
                signals=interrupts,
            )

        for name in files:
            progress.begin(name, len(files))
            try:
                with ExitStack() as one:
                    source: LivePipe | RawPcm | Recording
                    clock: Clock = Pace(speed, interrupts)
                    if name != "-":
                        source = one.enter_context(Recording(Path(name), wanted, say))
                    elif speed is None:
                        source = piped(sys.stdin.buffer)
                    else:
                        source = clock = LivePipe(
                            sys.stdin.buffer,
                            piped,
                            speed=speed,
                            is_live=options.live,
                            say=say,
                            signals=interrupts,
                        )
                    run_session(
                        source,
                        recognizer,
                        (*display.sinks, *also, progress),
                        clock=clock,
                        block_ms=options.block_ms,
                        interrupts=interrupts,
                        listeners=display.listeners,
                        streams=source.streams,
                        adaptation=adaptation,
                        say=say,
                        # Whoever writes into a pipe may wait for every line.
                        at_once=MANY_AT_ONCE if speed is None and name != "-" else 1,
                    )
                progress.check()
            except RunFailure:
                raise
            except SerLiveError as error:
                display.say(with_origin(error, options))
                exit_code = error.exit_code
    return exit_code


def _check(options: argparse.Namespace, files: Sequence[str]) -> None:
    """Check that the options fit together.

    Raises:
        SerLiveError: wrong usage.
    """
    for name in files:
        if "://" in name and not os.path.lexists(name):
            raise SerLiveError(
                f"{name} is an address, and nothing is fetched: download it and name the file"
            )
        if re.search(r"[*?\[]", name) and not os.path.lexists(name):
            raise SerLiveError(
                f"{name}: no such file; a pattern is for the shell, without quotes, or for score"
            )
    if files.count("-") > 1:
        raise SerLiveError("standard input can be read only once")
    if "-" in files and options.rate is None:
        raise SerLiveError(
            "raw PCM has no header: say its --rate (and --channels and --sample-format, if they "
            "are not 1 and s16le)"
        )
    if "-" not in files and (options.rate or options.sample_format or options.live):
        raise SerLiveError(
            "--rate, --sample-format and --live are for raw PCM on standard input (FILE -)"
        )
    if options.live and options.speed != "1":
        raise SerLiveError("--live hears standard input as it comes: leave out --speed")


def _make_stdin_block(files: Sequence[str]) -> None:
    """Make reads of standard input wait for data: some programs pass one that does not block.

    Raises:
        SerLiveError: it is closed.
    """
    if "-" not in files:
        return
    if sys.stdin is None:
        raise SerLiveError("standard input is closed")
    if hasattr(os, "set_blocking"):
        with suppress(OSError, ValueError):
            os.set_blocking(sys.stdin.fileno(), True)


def _channels(text: str | None, files: Sequence[str]) -> tuple[int, Channels, Channels]:
    """Return standard input's channel count, its channels to use, and those of recordings.

    Raises:
        SerLiveError: the option is not valid.
    """
    if text is None:
        return 1, MIX, MIX
    if "-" in files:
        count, _, which = text.partition(",")
        if not count.isdecimal() or len(count) > len(str(CHANNELS[-1])):
            raise SerLiveError(
                "--channels says how many channels of raw PCM there are, and after a comma which "
                f"are heard: 2 or 2,1 or 2,split; not {text!r}"
            )
        return int(count), Channels.parse(which) if which else MIX, MIX
    return 1, MIX, Channels.parse(text)
