"""The command ``ser-live``. Data goes to stdout, everything for people to stderr."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from streamer.arguments import SPEEDS, parse
from streamer.errors import RunFailure, SerLiveError

if TYPE_CHECKING:
    import argparse

    from streamer.audio import Source
    from streamer.events import Sink
    from streamer.recognizer import Recognizer
    from streamer.session import Interrupts

#: 128 + SIGINT, as shells count.
EXIT_SIGNAL = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    # Imported here: --help needs no audio library.
    from streamer.session import Interrupted, Interrupts

    interrupts = Interrupts()
    interrupts.install()
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        match options.command:
            case "info":
                return _info(options)
            case "latency":
                return _latency(options)
            case "devices":
                return _devices()
            case "replay":
                return _replay(options, interrupts)
            case _:
                return _listen(options, interrupts)
    except SerLiveError as error:
        _say(error)
        return error.exit_code
    except Interrupted as interrupted:
        return EXIT_SIGNAL + interrupted.number


def _say(line: object) -> None:
    """One line for the person."""
    print(f"ser-live: {line}", file=sys.stderr, flush=True)


@contextmanager
def output_file(path: Path, force: bool) -> Iterator[TextIO]:
    """A new text file, closed at the end; an existing one only where the person said so.

    Raises:
        SerLiveError: it exists, or its folder does not or may not be written to.
        RunFailure: what was written last could not be stored.
    """
    try:
        opened = path.open("w" if force else "x", encoding="utf-8", errors="backslashreplace")
        file = cast(TextIO, opened)  # typeshed knows the type for literal modes only
    except FileExistsError as error:
        raise SerLiveError(f"{path} exists; --force overwrites it") from error
    except OSError as error:
        raise SerLiveError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield file
    except BaseException:
        with suppress(OSError):  # what went wrong first is what is told
            file.close()
        raise
    try:
        file.close()
    except OSError as error:
        raise RunFailure(f"cannot write {path}: {error.strerror}") from error


def _sinks(options: argparse.Namespace, stack: ExitStack, names_file: bool) -> list[Sink]:
    """Where the events go; files are closed with the stack."""
    from streamer.formats import JsonLines, Plain

    if options.output is None and sys.stdout is None:
        raise SerLiveError("standard output is closed; name an --output")
    out: TextIO = sys.stdout
    if options.output is not None:
        out = stack.enter_context(output_file(options.output, options.force))
    return [JsonLines(out, names_file) if options.format == "jsonl" else Plain(out)]


def _listen(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from streamer.listening import listen
    from streamer.recognizer import Recognizer

    duration_s: float | None = options.duration
    if duration_s is not None and not (duration_s > 0 and math.isfinite(duration_s)):
        raise SerLiveError("--duration must be more than 0 seconds")
    if options.output and options.record and options.output.resolve() == options.record.resolve():
        raise SerLiveError(f"{options.output} is to be the recording; name another --output")
    with ExitStack() as stack:
        listen(
            Recognizer.load(options.model),
            lambda: _sinks(options, stack, names_file=False),
            device=options.device,
            duration_s=duration_s,
            reconnects=not options.no_reconnect,
            record=options.record,
            force=options.force,
            say=_say,
            interrupts=interrupts,
        )
    return 0


def _devices() -> int:
    from streamer.listening import list_devices

    list_devices(sys.stdout)
    return 0


def _replay(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from streamer.audio import BLOCK_MS, RawPcm, Recording
    from streamer.recognizer import Recognizer

    files: list[str] = options.files
    if options.block_ms not in BLOCK_MS:
        raise SerLiveError(f"--block-ms must lie in {BLOCK_MS[0]}..{BLOCK_MS[-1]}")
    if files.count("-") > 1:
        raise SerLiveError("standard input can be read only once")
    if "-" in files and options.rate is None:
        raise SerLiveError("raw PCM has no header: say its --rate, --channels and --sample-format")
    if "-" in files and sys.stdin is None:
        raise SerLiveError("standard input is closed")
    read = {Path(name).resolve() for name in files}
    if options.output is not None and options.output.resolve() in read:
        raise SerLiveError(f"{options.output} is to be read; name another --output")
    recognizer = Recognizer.load(options.model)
    worst = 0
    with ExitStack() as stack:
        sinks = _sinks(options, stack, names_file=len(files) > 1)
        for name in files:
            source: Source
            try:
                if name == "-":
                    source = RawPcm(
                        sys.stdin.buffer, options.rate, options.channels, options.sample_format
                    )
                    _run(source, recognizer, sinks, options, interrupts)
                else:
                    with Recording(Path(name)) as source:
                        _run(source, recognizer, sinks, options, interrupts)
            except RunFailure:
                raise
            except SerLiveError as error:
                _say(error)
                worst = error.exit_code
    return worst


def _run(
    source: Source,
    recognizer: Recognizer,
    sinks: Sequence[Sink],
    options: argparse.Namespace,
    interrupts: Interrupts,
) -> None:
    from streamer.session import Pace, run_session

    run_session(
        source,
        recognizer,
        sinks,
        clock=Pace(SPEEDS[options.speed]),
        block_ms=options.block_ms,
        interrupts=interrupts,
    )


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
            out = stack.enter_context(output_file(options.json, options.force))
        cost = measure(options.model, options.file or bundled("demo.flac"), options.seconds)
        write_table(cost, sys.stdout)
        if out is not None:
            write_json(cost, out)
    return 0


def run() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name that the terminal cannot show is no error
            stream.reconfigure(errors="backslashreplace")
    code = main()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # The reader is gone; leave nothing behind for the interpreter to flush and complain about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
