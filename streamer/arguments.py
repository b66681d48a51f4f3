"""What can be said on the command line of ``ser-live``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from streamer.errors import SerLiveError

SPEEDS = {"1": 1.0, "2": 2.0, "max": None}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; no arguments at all mean ``listen``.

    Raises:
        SerLiveError: wrong usage.
    """
    return _parser().parse_args(arguments or ["listen"])


class _Parser(argparse.ArgumentParser):
    """Wrong usage as one line, with the exit code of the contract."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise SerLiveError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ser-live", description="Speech emotion, live: an estimate every 40 ms.")
    parser.add_argument("--version", action="version", version=f"ser-live {version('ser-live')}")
    commands = parser.add_subparsers(
        dest="command",
        required=True,
        metavar="COMMAND",
        help="without one, the default microphone is listened to",
    )

    listen = commands.add_parser(
        "listen",
        help="a microphone, live",
        description="Listen to a microphone until Ctrl-C. Audio that is lost is said, and heard "
        "as silence of at most 3 s.",
    )
    listen.add_argument(
        "--device", metavar="NAME|N", help="number or part of the name; see ser-live devices"
    )
    listen.add_argument("--duration", type=float, metavar="S", help="end after so many seconds")
    listen.add_argument(
        "--record", type=Path, metavar="FILE.wav", help="keep what was heard (float32, mono)"
    )
    listen.add_argument(
        "--no-reconnect", action="store_true", help="end when the device is unplugged"
    )
    _add_output(listen)

    commands.add_parser(
        "devices",
        help="input devices",
        description="Input devices with their own rate and others they accept; * is the default.",
    )

    replay = commands.add_parser(
        "replay",
        help="recordings or a pipe, as if they were arriving live",
        description="Replay recordings (wav, flac, ogg, opus, mp3) or raw PCM from standard input "
        "(FILE -) exactly as if they were arriving live.",
    )
    replay.add_argument(
        "files", nargs="+", metavar="FILE", help="recording, or - for standard input"
    )
    replay.add_argument(
        "--speed", choices=SPEEDS, default="1", help="times real time (default: %(default)s)"
    )
    replay.add_argument(
        "--block-ms",
        type=int,
        default=10,
        metavar="N",
        help="audio handed over at a time, 1 to 10000; changes the latency, never the result "
        "(default: %(default)s)",
    )
    _add_output(replay)
    pcm = replay.add_argument_group("standard input")
    pcm.add_argument("--rate", type=int, metavar="HZ", help="sample rate of the raw PCM")
    pcm.add_argument("--channels", type=int, default=1, metavar="N", help="default: %(default)s")
    pcm.add_argument(
        "--sample-format",
        default="s16le",
        metavar="F",
        help="u8, s16le, s16be, s24le, s32le or f32le (default: %(default)s)",
    )

    info = commands.add_parser(
        "info",
        help="what a model knows, was trained on and scored",
        description="Labels, look-ahead, training corpora, licence and measured accuracy.",
    )
    info.add_argument("--model", type=Path, metavar="FILE", help="another model than the shipped")

    latency = commands.add_parser(
        "latency",
        help="what each part of a 40 ms step costs",
        description="Cost of each part of a 40 ms step on this machine: one stream, one thread, "
        "the clock stopped while computing.",
    )
    latency.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: the demo")
    latency.add_argument(
        "--model", type=Path, metavar="FILE", help="another model than the shipped"
    )
    latency.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="S",
        help="audio to run (default: %(default)g)",
    )
    latency.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    latency.add_argument("--force", action="store_true", help="overwrite that file")
    return parser


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--format", choices=("plain", "jsonl"), default="plain", help="default: %(default)s"
    )
    command.add_argument("--output", type=Path, metavar="FILE", help="write here, not to stdout")
    command.add_argument("--force", action="store_true", help="overwrite existing files")
    command.add_argument(
        "--model", type=Path, metavar="FILE", help="another model than the shipped"
    )
