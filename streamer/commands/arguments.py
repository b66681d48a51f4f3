"""What can be said on the command line of ``ser-live``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from streamer.errors import SerLiveError
from streamer.formats.names import TIMELINES
from streamer.outputs import write_line
from streamer.recognition.prior import BALANCED, PRIORS

SPEEDS = {"1": 1.0, "2": 2.0, "max": None}
_CHANNELS = (
    "mix (default): their mean, or what is left where they cancel each other; split: each is a "
    "stream of its own; a number, from 1: that one alone"
)
#: Of ``ser-live latency``; ``stopped`` leaves the paced session out.
LATENCY_SOURCES = ("replay", "mic", "stopped")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; no arguments at all mean ``listen``.

    Raises:
        SerLiveError: wrong usage.
    """
    arguments = list(arguments) or ["listen"]
    first = Path(arguments[0])
    if first.suffix and os.path.lexists(first):
        raise SerLiveError(f"{first} is a file: ser-live replay FILE hears it")
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        raise SerLiveError(
            f"unrecognized arguments: {' '.join(unknown)}; see ser-live {options.command} --help"
        )
    return options


class _Parser(argparse.ArgumentParser):
    """Wrong usage as one line, with the exit code of the contract."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise SerLiveError(f"{message}; see {self.prog} --help")

    def print_help(self, file: Any = None) -> None:
        """Like argparse's, which keeps it to itself when nothing can be written."""
        _show(self.format_help().rstrip(), file)


def _show(text: str, file: Any = None) -> None:
    out = file or sys.stdout
    if out is None:
        raise SerLiveError("standard output is closed")
    write_line(out, text)


class _Version(argparse.Action):
    """Looked up only when asked for: it takes a while, and a bare checkout has none."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        _show(f"ser-live {version('ser-live')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ser-live", description="Speech emotion, live: an estimate every 40 ms.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
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
    listen.add_argument("--channels", metavar="C", help=_CHANNELS)
    listen.add_argument(
        "--no-reconnect", action="store_true", help="end when the device is unplugged"
    )
    _add_output(listen)
    _add_prior(listen, "everyday where the model knows it")
    _add_adaptation(listen)

    commands.add_parser(
        "devices",
        help="input devices",
        description="Input devices with their own rate and others they accept; * is the default.",
    )

    replay = commands.add_parser(
        "replay",
        help="recordings or a pipe, as if they were arriving live",
        description="Replay recordings (wav, flac, ogg, opus, mp3; with the extra media also m4a, "
        "webm, wma, amr and video) or raw PCM from standard input (FILE -) exactly as if they were "
        "arriving live.",
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
        "--channels",
        metavar="C",
        help=f"{_CHANNELS}; of standard input how many there are, and after a comma the same "
        "(2,split)",
    )
    _add_output(replay)
    _add_prior(replay)
    _add_adaptation(replay)
    pcm = replay.add_argument_group("standard input")
    pcm.add_argument("--rate", type=int, metavar="HZ", help="sample rate of the raw PCM")
    pcm.add_argument(
        "--live",
        action="store_true",
        help="hear it as it comes; where more than 1 s waits the oldest is dropped, with a gap",
    )
    pcm.add_argument(
        "--sample-format",
        metavar="F",
        help="by ffmpeg's or ALSA's name: u8, s8, s16le, s24le (three bytes), s24_32le (ALSA's "
        "S24_LE, four), s32le, f32le, f64le, the same with be, mulaw, alaw (default: s16le)",
    )

    enrol = commands.add_parser(
        "enrol",
        help="a voice that will be heard, from 20 s of ordinary speech",
        description="Make a profile of a voice, for --profile: from recordings of it, or from a "
        "microphone until 20 s of speech were heard. Speak as you usually do. What is kept are "
        "numbers, no audio; they tell that voice from others, so keep them as you would a picture "
        "of a face. They are of one model.",
    )
    enrol.add_argument("profile", type=Path, metavar="NAME.profile", help="written here")
    enrol.add_argument(
        "files",
        nargs="*",
        default=[],  # or argparse calls them required
        type=Path,
        metavar="FILE",
        help="recording of that voice alone; none: a microphone",
    )
    enrol.add_argument("--device", metavar="NAME|N", help="microphone; see ser-live devices")
    enrol.add_argument(
        "--channels",
        metavar="C",
        help="mix (default): the mean of the channels; a number, from 1: that one alone",
    )
    enrol.add_argument("--force", action="store_true", help="overwrite an older profile")
    _add_model(enrol)

    picture = commands.add_parser(
        "picture",
        help="the screen at one moment of a recording, as SVG",
        description="Replay a recording and write the terminal UI at one moment of it as SVG.",
    )
    picture.add_argument("file", type=Path, metavar="FILE", help="recording")
    _add_file(picture)
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
    _add_model(picture)
    _add_prior(picture)
    _add_adaptation(picture)

    info = commands.add_parser(
        "info",
        help="what a model knows, was trained on and scored",
        description="Labels, look-ahead, training corpora, licence and measured accuracy.",
    )
    _add_model(info)

    _add_latency(commands.add_parser)
    _add_convert(commands.add_parser)
    _add_report(commands.add_parser)
    _add_score(commands.add_parser)
    _add_serve(commands.add_parser)
    return parser


def _add_latency(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    latency = add_parser(
        "latency",
        help="how late a label is, and where the time goes",
        description="Measure every term between a sound and its label: at the pace of the clock, "
        "then with the clock stopped while computing. Ctrl-C ends the paced part, and shows what "
        "was measured of it.",
    )
    latency.add_argument(
        "recording", nargs="?", type=Path, metavar="FILE", help="recording (default: the demo)"
    )
    latency.add_argument(
        "--source",
        choices=LATENCY_SOURCES,
        help="a recording paced by the clock, a microphone from its capture time on, or neither: "
        "the clock stopped only (default: replay)",
    )
    latency.add_argument(
        "--seconds", type=float, metavar="S", help="audio of each measurement (default: 30)"
    )
    latency.add_argument(
        "--streams", type=int, metavar="N", help="also so many streams at once, on one core"
    )
    latency.add_argument(
        "--loopback",
        nargs="?",
        type=int,
        const=10,
        metavar="N",
        help="instead: play N chirps (10) and find them in the microphone's signal",
    )
    latency.add_argument(
        "--server",
        metavar="URL",
        help="instead: play --streams paced streams to a server (ser-live serve), from another "
        "process or machine; its token is taken from SER_LIVE_TOKEN",
    )
    latency.add_argument("--device", metavar="NAME|N", help="microphone; see ser-live devices")
    latency.add_argument("--output-device", metavar="NAME|N", help="speaker for --loopback")
    _add_model(latency)
    _add_prior(latency)
    latency.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    latency.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw histogram and timeline (matplotlib)"
    )
    latency.add_argument("--force", action="store_true", help="overwrite these files")


def _add_convert(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    convert = add_parser(
        "convert",
        help="a session of JSON lines as table, label track, TextGrid or subtitles",
        description="Convert a session that was written with --format jsonl. A stretch of one "
        "label becomes an interval; gaps and marks are kept by audacity and textgrid.",
    )
    convert.add_argument("session", type=Path, metavar="SESSION.jsonl", help="what was written")
    convert.add_argument(
        "--format",
        choices=TIMELINES,
        help="default: by the output's suffix, one of .csv .txt (audacity) .TextGrid .srt .vtt",
    )
    _add_file(convert)


def _add_report(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    report = add_parser(
        "report",
        help="sessions as a picture or a page",
        description="Draw what --format jsonl wrote: a sentence of summary, labels, probabilities, "
        "speech, gaps and marks over time, shares of the speech, and latencies; several recordings "
        "over one axis of time, with one table.",
    )
    report.add_argument(
        "sessions", nargs="+", type=Path, metavar="SESSION.jsonl", help="what was recorded"
    )
    report.add_argument(
        "-o",
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help=".html to zoom and to point at, .svg, or .png and .pdf (matplotlib)",
    )
    report.add_argument(
        "--sound",
        nargs="?",
        action="append",
        metavar="FILE",
        help="draw the sound too, and play it in an .html, which then holds it; once for each "
        "recording in turn, or alone, without FILE, for the files that were replayed",
    )
    report.add_argument("--force", action="store_true", help="overwrite the output file")


def _add_score(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    score = add_parser(
        "score",
        help="many recordings, a row of results each",
        description="Score recordings, and those in folders, in parallel: speech time, verdict, "
        "probabilities, and the share of each label. A run that was stopped goes on where the same "
        "command is given again, without --force. Exit code 2 where a recording had an error, "
        "which its row says: it is tried again too, and its new row comes last.",
    )
    score.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="recording, or folder of recordings"
    )
    score.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=".csv, .jsonl or .parquet; what is in it without an error is not scored again "
        "(default: CSV to stdout)",
    )
    score.add_argument(
        "--timeline",
        type=Path,
        metavar="DIR",
        help="also every estimate, as JSON lines in DIR/PATH.jsonl",
    )
    score.add_argument("--channels", metavar="C", help=_CHANNELS)
    score.add_argument(
        "--passed-over",
        action="store_true",
        help="name the files in folders that are no recordings by their ending; they are counted "
        "in any case",
    )
    score.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    score.add_argument(
        "--labels",
        type=Path,
        metavar="FILE.csv",
        help="columns file and label: show UAR, WA, macro F1, recalls and the confusion matrix",
    )
    score.add_argument(
        "--force", action="store_true", help="begin anew: overwrite output and timelines"
    )
    _add_model(score)
    _add_prior(score)
    _add_adaptation(score)


def _add_serve(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    serve = add_parser(
        "serve",
        help="a WebSocket for other programs, and a page in the browser",
        description="Serve streams at /v1/stream (WebSocket; its protocol is at "
        "/v1/asyncapi.json) and a page at / that listens to the browser's microphone; /healthz and "
        "/metrics say how it is doing. Without a token only this machine can connect. Ctrl-C or "
        "SIGTERM ends every stream with its verdict.",
    )
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="H",
        help="address to listen at (default: %(default)s)",
    )
    serve.add_argument(
        "--port", type=int, default=8765, metavar="P", help="0: any (default: %(default)s)"
    )
    serve.add_argument(
        "--token",
        metavar="T",
        help="that clients must show, of 16 characters or more; safer in the environment, as "
        "SER_LIVE_TOKEN, where no list of processes shows it",
    )
    serve.add_argument(
        "--max-streams", type=int, metavar="N", help="streams at once (default: 200)"
    )
    serve.add_argument(
        "--max-idle", type=float, metavar="S", help="end a stream that sends nothing so long (60)"
    )
    serve.add_argument(
        "--max-seconds", type=float, metavar="S", help="end a stream after so long (14400)"
    )
    serve.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="another server whose pages may connect, as https://example.org; may be repeated",
    )
    serve.add_argument("--certfile", type=Path, metavar="FILE.pem", help="certificate: TLS only")
    serve.add_argument("--keyfile", type=Path, metavar="FILE.pem", help="its private key")
    serve.add_argument(
        "--log-addresses", action="store_true", help="name each client's address in the log"
    )
    _add_model(serve)
    serve.add_argument(
        "--also-model",
        type=Path,
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="one more, that a client may ask for by its name; may be repeated",
    )
    _add_prior(serve)
    _add_no_adaptation(serve, "; a client may ask for the other with adapts")


def _add_file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write here, not to stdout"
    )
    command.add_argument("--force", action="store_true", help="overwrite the output file")


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--format",
        choices=("tui", "plain", "changes", "jsonl", *TIMELINES),
        help="tui needs a terminal with colours and is plain elsewhere; plain has a line for every "
        "estimate, changes one where the label changes; audacity (label track), "
        "textgrid (Praat), srt and vtt have an entry for each stretch of one label (default: tui "
        "where it can be shown at a pace to follow, else plain; with --output what its suffix "
        "names, else jsonl)",
    )
    command.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write here, not to stdout; beside the tui it gets the timeline that its suffix "
        "names (.csv, .TextGrid, .srt, .vtt), else the jsonl",
    )
    command.add_argument("--force", action="store_true", help="overwrite existing files")
    _add_model(command)


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        type=Path,
        metavar="NAME|FILE",
        help="another model than the default: research, or a file",
    )


def _add_prior(command: argparse.ArgumentParser, default: str = BALANCED) -> None:
    command.add_argument(
        "--prior",
        choices=PRIORS,
        help="everyday: most speech is taken to be neutral, as in ordinary life; balanced: every "
        f"emotion is taken to be as common as the others (default: {default})",
    )


def _add_adaptation(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--profile",
        type=Path,
        metavar="FILE",
        help="whose voice it is, as ser-live enrol made it with the same model; all that is heard "
        "is taken for that voice",
    )
    _add_no_adaptation(command, "; a --profile stays as it is")


def _add_no_adaptation(command: argparse.ArgumentParser, more: str) -> None:
    command.add_argument(
        "--no-adaptation",
        dest="adapts",
        action="store_false",
        help="do not get to know the voice while it is heard, if the model can at all: a moment is "
        f"judged without the minutes before it{more}",
    )
