"""What options that several commands share stand for: files to write, a model, a voice."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from streamer.commands.display import Display, open_display
from streamer.errors import SerLiveError, told
from streamer.formats.writers import suffix_format
from streamer.modelfile.shipped import model_path
from streamer.outputs import Output, OutputFile, say_on_stderr
from streamer.recognition.prior import BALANCED
from streamer.recognition.profile import Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupts
from streamer.sound.channels import MIX, Channels
from streamer.sound.recorder import Recorder


def stdout() -> TextIO:
    """Standard output.

    Raises:
        SerLiveError: it is closed.
    """
    if sys.stdout is None:
        raise SerLiveError("standard output is closed")
    return sys.stdout


def say(line: str) -> None:
    """Tell the person a line."""
    say_on_stderr(told(line))


def open_output(options: argparse.Namespace, stack: ExitStack, inputs: Sequence[Path]) -> Output:
    """Standard output, or the file that is named instead; closed with the stack.

    Raises:
        SerLiveError: there is none, or the file is one of the inputs, or in the way.
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
    """Where the results of the inputs go; closed with the stack."""
    # Before anything is written; a format that is named counts more than the suffix.
    beside = "jsonl" if options.format not in (None, "tui") else suffix_format(options.output)
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
    """Files that recognition needs, which nothing may be written over."""
    profile = [] if options.profile is None else [options.profile]
    return [model_path(options.model), *profile]


def load_recognizer(options: argparse.Namespace, interrupts: Interrupts) -> Recognizer:
    """The model that is named, under the prior that is named, else the balanced one.

    No signal comes while native libraries start: onnxruntime would call the file damaged.

    Raises:
        SerLiveError: as of :meth:`Recognizer.load`.
    """
    with interrupts.shielded():
        return Recognizer.load(options.model, options.prior or BALANCED)


def channels_of(options: argparse.Namespace) -> Channels:
    """What is heard of the channels.

    Raises:
        SerLiveError: the option says nothing of the kind.
    """
    return MIX if options.channels is None else Channels.parse(options.channels)


def check_one_voice(options: argparse.Namespace, *wanted: Channels) -> None:
    """Refuse a profile, which is of one voice, for several channels.

    Raises:
        SerLiveError: there is one, and channels are split.
    """
    if options.profile is not None and any(one.is_split for one in wanted):
        raise SerLiveError(
            "--profile is of one voice, and --channels split hears several: name the channel of "
            "that voice, as --channels 1"
        )


def load_adaptation(
    options: argparse.Namespace, recognizer: Recognizer, *wanted: Channels
) -> Adaptation:
    """How the streams go about the voice that they hear.

    Raises:
        SerLiveError: the profile cannot be read or is not of the model, or is given to several
            channels.
    """
    check_one_voice(options, *wanted)
    profile = None if options.profile is None else recognizer.load_profile(options.profile)
    return Adaptation(profile, options.adapts)
