"""The command ``ser-live``. Data goes to stdout, everything for people to stderr."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from streamer.errors import RunFailure, SerLiveError

if TYPE_CHECKING:
    from streamer.audio import Source
    from streamer.display import Display
    from streamer.recognizer import Recognizer
    from streamer.session import Interrupts

SPEEDS = {"1": 1.0, "2": 2.0, "max": None}
#: 128 + SIGINT, as shells count.
EXIT_SIGNAL = 128


class _Parser(argparse.ArgumentParser):
    """Wrong usage as one line, with the exit code of the contract."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise SerLiveError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ser-live", description="Speech emotion, live: an estimate every 40 ms.")
    parser.add_argument("--version", action="version", version=f"ser-live {version('ser-live')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

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
    replay.add_argument(
        "--format",
        choices=("tui", "plain", "jsonl"),
        help="tui needs a terminal with colours and is plain elsewhere (default: tui at --speed 1 "
        "or 2, plain at max; jsonl with --output)",
    )
    replay.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write here, not to stdout; beside the tui it gets the jsonl",
    )
    replay.add_argument("--force", action="store_true", help="overwrite the output file")
    replay.add_argument("--model", type=Path, metavar="FILE", help="another model than the shipped")
    pcm = replay.add_argument_group("standard input")
    pcm.add_argument("--rate", type=int, metavar="HZ", help="sample rate of the raw PCM")
    pcm.add_argument("--channels", type=int, default=1, metavar="N", help="default: %(default)s")
    pcm.add_argument(
        "--sample-format",
        default="s16le",
        metavar="F",
        help="u8, s16le, s16be, s24le, s32le or f32le (default: %(default)s)",
    )

    picture = commands.add_parser(
        "picture",
        help="the screen at one moment of a recording, as SVG",
        description="Replay a recording and write the terminal UI at one moment of it as SVG.",
    )
    picture.add_argument("file", type=Path, metavar="FILE", help="recording")
    picture.add_argument(
        "--output", type=Path, metavar="FILE.svg", help="write here, not to stdout"
    )
    picture.add_argument("--force", action="store_true", help="overwrite the output file")
    picture.add_argument(
        "--at", type=float, default=float("inf"), metavar="S", help="moment (default: the end)"
    )
    picture.add_argument(
        "--size", default="120x40", metavar="COLUMNSxROWS", help="default: %(default)s"
    )
    picture.add_argument(
        "--speed",
        choices=SPEEDS,
        default="max",
        help="a paced picture shows its latency (default: %(default)s)",
    )
    picture.add_argument(
        "--model", type=Path, metavar="FILE", help="another model than the shipped"
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    # Imported here: --help needs no audio library.
    from streamer.session import Interrupted, Interrupts

    interrupts = Interrupts()
    interrupts.install()
    try:
        options = _parser().parse_args(arguments)
        if options.command == "info":
            return _info(options)
        if options.command == "latency":
            return _latency(options)
        if options.command == "picture":
            return _picture(options, interrupts)
        return _replay(options, interrupts)
    except SerLiveError as error:
        print(_complaint(error), file=sys.stderr, flush=True)
        return error.exit_code
    except Interrupted as interrupted:
        return EXIT_SIGNAL + interrupted.number if interrupted.number else 0


def _complaint(error: SerLiveError) -> str:
    return f"ser-live: {error}"


def open_output(path: Path, force: bool) -> TextIO:
    """A new text file; an existing one only where the person said so.

    Raises:
        SerLiveError: it exists, or its folder does not or may not be written to.
    """
    try:
        return path.open("w" if force else "x", encoding="utf-8")
    except FileExistsError as error:
        raise SerLiveError(f"{path} exists; --force overwrites it") from error
    except OSError as error:
        raise SerLiveError(f"cannot write {path}: {error.strerror}") from error


def _replay(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from streamer.audio import BLOCK_MS, RawPcm, Recording
    from streamer.display import open_display
    from streamer.recognizer import Recognizer

    files: list[str] = options.files
    if options.block_ms not in BLOCK_MS:
        raise SerLiveError(f"--block-ms must lie in {BLOCK_MS[0]}..{BLOCK_MS[-1]}")
    if files.count("-") > 1:
        raise SerLiveError("standard input can be read only once")
    if "-" in files and options.rate is None:
        raise SerLiveError("raw PCM has no header: say its --rate, --channels and --sample-format")
    recognizer = Recognizer.load(options.model)
    worst = 0
    with ExitStack() as stack:
        output = None
        if options.output is not None:
            output = stack.enter_context(open_output(options.output, options.force))
        display = stack.enter_context(
            open_display(
                options.format,
                output,
                interrupts,
                is_paced=SPEEDS[options.speed] is not None,
                names_file=len(files) > 1,
            )
        )
        for name in files:
            source: Source
            try:
                if name == "-":
                    source = RawPcm(
                        sys.stdin.buffer, options.rate, options.channels, options.sample_format
                    )
                    _run(source, recognizer, display, options, interrupts)
                else:
                    with Recording(Path(name)) as source:
                        _run(source, recognizer, display, options, interrupts)
            except RunFailure:
                raise
            except SerLiveError as error:
                display.say(_complaint(error))
                worst = error.exit_code
    return worst


def _run(
    source: Source,
    recognizer: Recognizer,
    display: Display,
    options: argparse.Namespace,
    interrupts: Interrupts,
) -> None:
    from streamer.session import run_session

    run_session(
        source,
        recognizer,
        display.sinks,
        speed=SPEEDS[options.speed],
        block_ms=options.block_ms,
        interrupts=interrupts,
        listeners=display.listeners,
    )


def _picture(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from streamer.picture import draw_recording, size_of
    from streamer.recognizer import Recognizer

    size = size_of(options.size)
    if not options.at >= 0:
        raise SerLiveError("--at must be 0 or more seconds")
    recognizer = Recognizer.load(options.model)
    with ExitStack() as stack:
        out: TextIO = sys.stdout
        if options.output is not None:
            out = stack.enter_context(open_output(options.output, options.force))
        draw_recording(
            options.file,
            recognizer,
            out,
            interrupts,
            at_s=options.at,
            size=size,
            speed=SPEEDS[options.speed],
        )
    return 0


def _info(options: argparse.Namespace) -> int:
    from streamer.recognizer import Recognizer

    metadata = Recognizer.load(options.model).metadata
    facts = {
        "model": metadata.name,
        "labels": ", ".join(metadata.labels),
        "look-ahead": f"{metadata.look_ahead_ms:g} ms, plus the resampler's at other rates "
        "than 16 kHz",
        "rolling window": f"{metadata.window_timesteps * 0.04:g} s",
        "temperature": f"{metadata.temperature:.3f}",
        **metadata.training,
    }
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")
    return 0


def _latency(options: argparse.Namespace) -> int:
    from streamer.bundled import bundled
    from streamer.latency import measure, write_json, write_table

    with ExitStack() as stack:
        out: TextIO | None = None
        if options.json is not None:  # before the measurement, which takes long
            out = stack.enter_context(open_output(options.json, options.force))
        cost = measure(options.model, options.file or bundled("demo.flac"), options.seconds)
        write_table(cost, sys.stdout)
        if out is not None:
            write_json(cost, out)
    return 0


def run() -> None:
    """Entry point of the console script."""
    code = main()
    try:
        sys.stdout.flush()
    except OSError:
        # The reader is gone; leave nothing behind for the interpreter to flush and complain about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
