"""Evaluates options that several commands share: output files, model, voice."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, TextIO

from streamer.commands.display import Display, open_display
from streamer.errors import SerLiveError, printable, told
from streamer.formats.writers import check_named, suffix_format
from streamer.modelfile.shipped import model_path
from streamer.outputs import Output, OutputFile, say_on_stderr
from streamer.recognition.prior import BALANCED
from streamer.recognition.profile import Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupts
from streamer.sound.channels import MIX, Channels
from streamer.sound.recorder import Recorder


def stdout() -> TextIO:
    """Return standard output.

    Raises:
        SerLiveError: it is closed.
    """
    if sys.stdout is None:
        raise SerLiveError("standard output is closed")
    return sys.stdout


def say(line: str) -> None:
    """Print a line for the user."""
    say_on_stderr(told(line))


def with_origin(error: SerLiveError, options: argparse.Namespace) -> str:
    """Return an error as the program prints it, with the configured options that it is about."""
    line = told(error)
    return f"{line}{printable(options.configuration.origin(line))}"


def session_source(path: Path) -> Path | BinaryIO:
    """Return what a session is read from: the file, or standard input for ``-``.

    Raises:
        SerLiveError: standard input is closed.
    """
    if str(path) != "-":
        return path
    if sys.stdin is None:
        raise SerLiveError("standard input is closed")
    return sys.stdin.buffer


def open_output(options: argparse.Namespace, stack: ExitStack, inputs: Sequence[Path]) -> Output:
    """Return standard output or the named file, closed with the stack.

    Raises:
        SerLiveError: there is no output, or the file is an input or already exists.
    """
    if options.output is None:
        return stdout()
    return stack.enter_context(OutputFile(options.output, options.force, inputs))


def display_of(
    options: argparse.Namespace,
    stack: ExitStack,
    interrupts: Interrupts,
    *,
    is_paced: bool = True,
    inputs: Sequence[Path] = (),
    recorder: Recorder | None = None,
    is_split: bool = False,
) -> Display:
    """Return the display for the results of the inputs, closed with the stack."""
    # Checked before anything is written; a named format takes precedence over the suffix.
    if options.format in (None, "tui"):
        beside = suffix_format(options.output)
    else:
        beside = "jsonl"
        check_named(options.output, options.format, say)
    out = open_output(options, stack, [*model_files(options), *inputs])
    return stack.enter_context(
        open_display(
            options.format,
            None if options.output is None else out,
            interrupts,
            beside=beside,
            is_paced=is_paced,
            names_file=len(inputs) > 1,
            recorder=recorder,
            is_split=is_split,
        )
    )


def model_files(options: argparse.Namespace) -> list[Path]:
    """Return the files that recognition needs, which must not be overwritten."""
    profile = [] if options.profile is None else [options.profile]
    return [model_path(options.model), *profile]


def load_recognizer(options: argparse.Namespace) -> Recognizer:
    """Return the named model, under the named prior or else the balanced one.

    Raises:
        SerLiveError: as in :meth:`Recognizer.load`.
    """
    return Recognizer.load(options.model, options.prior or BALANCED)


def channels_of(options: argparse.Namespace) -> Channels:
    """Return the channels to use.

    Raises:
        SerLiveError: the option is not valid.
    """
    return MIX if options.channels is None else Channels.parse(options.channels)


def check_one_voice(options: argparse.Namespace, *wanted: Channels) -> None:
    """Check that a profile, which describes one voice, is not used for several channels.

    Raises:
        SerLiveError: there is a profile, and channels are split.
    """
    if options.profile is not None and any(one.is_split for one in wanted):
        raise SerLiveError(
            "--profile is of one voice, and --channels split hears several: name the channel of "
            "that voice, as --channels 1"
        )


def load_adaptation(
    options: argparse.Namespace, recognizer: Recognizer, *wanted: Channels
) -> Adaptation:
    """Return how the streams adapt to their voices.

    Raises:
        SerLiveError: the profile cannot be read, belongs to another model, or is given for several
            channels.
    """
    check_one_voice(options, *wanted)
    profile = None if options.profile is None else recognizer.load_profile(options.profile)
    return Adaptation(profile, options.adapts)
