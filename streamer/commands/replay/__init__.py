"""``ser-live replay``: analyses recordings or a pipe as if they arrived live."""

from __future__ import annotations

import argparse

from streamer.commands.numbers import Whole
from streamer.commands.options import (
    CHANNELS,
    SPEED_HELP,
    SPEEDS,
    add_adaptation,
    add_model,
    add_prior,
    add_results,
)
from streamer.signal import BLOCK_MS, RATES

HELP = "recordings or a pipe, as if they were arriving live"
DESCRIPTION = (
    "Replay recordings (wav, flac, ogg, opus, mp3; with the extra media also m4a, webm, wma, amr "
    "and video) or raw PCM from standard input (FILE -) exactly as if they were arriving live."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="recording, or - for standard input"
    )
    parser.add_argument("--speed", choices=SPEEDS, default="1", help=SPEED_HELP)
    parser.add_argument(
        "--block-ms",
        type=Whole(BLOCK_MS[0], BLOCK_MS[-1]),
        default=10,
        metavar="N",
        help="length of a block of audio, 1 to 10000; changes the latency, never the result "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--channels",
        metavar="C",
        help=f"{CHANNELS}; for standard input, the number of channels, and after a comma one of "
        "these (2,split)",
    )
    add_results(parser)
    add_model(parser)
    add_prior(parser)
    add_adaptation(parser)
    pcm = parser.add_argument_group("standard input")
    pcm.add_argument(
        "--rate",
        type=Whole(RATES[0], RATES[-1]),
        metavar="HZ",
        help="sample rate of the raw PCM",
    )
    pcm.add_argument(
        "--live",
        action="store_true",
        help="hear it in real time; if more than 1 s of audio waits, drop the oldest with a gap",
    )
    pcm.add_argument(
        "--sample-format",
        metavar="F",
        help="by ffmpeg's or ALSA's name: u8, s8, s16le, s24le (three bytes), s24_32le (ALSA's "
        "S24_LE, four), s32le, f32le, f64le, the same with be, mulaw, alaw (default: s16le)",
    )
