"""What each command of ``ser-live`` does; the options are those of ``arguments.py``."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from streamer.bundled import bundled
from streamer.commands.arguments import SPEEDS
from streamer.commands.display import Display, open_display
from streamer.errors import RunFailure, SerLiveError, told
from streamer.formats import suffix_format
from streamer.modelfile.metadata import ModelMetadata
from streamer.outputs import (
    Output,
    OutputFile,
    check_apart,
    check_output,
    say_on_stderr,
    write_line,
)
from streamer.recognition.frontend import TIMESTEP_S
from streamer.recognition.prior import BALANCED, EVERYDAY
from streamer.recognition.profile import Adaptation
from streamer.recognition.recognizer import Recognizer, model_path
from streamer.session.interrupts import Interrupts
from streamer.session.run import Clock, Pace, run_session
from streamer.sound.channels import CHANNELS, MIX, Channels
from streamer.sound.files.recording import Recording
from streamer.sound.pcm import RawPcm
from streamer.sound.pipe import LivePipe
from streamer.sound.recorder import Recorder
from streamer.sound.source import BLOCK_MS


def _stdout() -> TextIO:
    if sys.stdout is None:
        raise SerLiveError("standard output is closed")
    return sys.stdout


def _out(options: argparse.Namespace, stack: ExitStack, inputs: Sequence[Path]) -> Output:
    """Standard output, or the file that is named instead; closed with the stack."""
    if options.output is None:
        return _stdout()
    return stack.enter_context(OutputFile(options.output, options.force, inputs))


def _say(line: str) -> None:
    say_on_stderr(told(line))


def _display(
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
    # Said before anything is written; a format that is named goes before the suffix.
    beside = "jsonl" if options.format not in (None, "tui") else suffix_format(options.output)
    out = _out(options, stack, [*_read(options), *inputs])
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


def _recognizer(options: argparse.Namespace) -> Recognizer:
    """The model that is named, under the prior that is named, else the balanced one."""
    return Recognizer.load(options.model, options.prior or BALANCED)


def _recognizer_at_a_laptop(options: argparse.Namespace) -> Recognizer:
    """The same, but for the default: what is said near a microphone is mostly neutral."""
    recognizer = _recognizer(options)
    if options.prior is None and recognizer.metadata.everyday_prior:
        return recognizer.with_prior(EVERYDAY)
    return recognizer


def _adaptation(
    options: argparse.Namespace, recognizer: Recognizer, *wanted: Channels
) -> Adaptation:
    """How the streams are to go about the voice that they hear.

    Raises:
        SerLiveError: the profile cannot be read or is not of the model, or is given to several
            channels.
    """
    _check_one_voice(options, *wanted)
    profile = None if options.profile is None else recognizer.load_profile(options.profile)
    return Adaptation(profile, options.adapts)


def _check_one_voice(options: argparse.Namespace, *wanted: Channels) -> None:
    if options.profile is not None and any(one.is_split for one in wanted):
        raise SerLiveError(
            "--profile is of one voice, and --channels split hears several: name the channel of "
            "that voice, as --channels 1"
        )


def _read(options: argparse.Namespace) -> list[Path]:
    """Files that a recognizer is made of, which nothing may be written over."""
    return [model_path(options.model), *([] if options.profile is None else [options.profile])]


def _listen(options: argparse.Namespace, interrupts: Interrupts) -> int:
    # A user may lack PortAudio; everything else works without it.
    from streamer.commands.listen import listen

    duration_s: float | None = options.duration
    if duration_s is not None and not (duration_s > 0 and math.isfinite(duration_s)):
        raise SerLiveError("--duration must be more than 0 seconds")
    if options.output and options.record:
        check_apart(options.output, options.record)
    if options.record and options.record.suffix.lower() != ".wav":
        raise SerLiveError(f"{options.record}: a recording is a .wav file")
    for path in filter(None, (options.output, options.record)):  # before anything is opened
        check_output(path, options.force, _read(options))
    wanted = MIX if options.channels is None else Channels.parse(options.channels)
    if wanted.is_split and options.record is not None:
        raise SerLiveError("--record keeps one channel: --channels 1 records the first")
    if options.output is None:
        _stdout()
    with interrupts.shielded():
        recognizer = _recognizer_at_a_laptop(options)
    adaptation = _adaptation(options, recognizer, wanted)
    with ExitStack() as stack:
        listen(
            recognizer,
            lambda recorder: _display(
                options, stack, interrupts, recorder=recorder, is_split=wanted.is_split
            ),
            stack,
            device=options.device,
            duration_s=duration_s,
            reconnects=not options.no_reconnect,
            record=options.record,
            force=options.force,
            interrupts=interrupts,
            wanted=wanted,
            adaptation=adaptation,
        )
    return 0


def _devices(_options: argparse.Namespace, _interrupts: Interrupts) -> int:
    from streamer.commands.listen import list_devices

    for line in list_devices():
        write_line(_stdout(), line)
    return 0


def _replay(options: argparse.Namespace, interrupts: Interrupts) -> int:
    files: list[str] = options.files
    if options.block_ms not in BLOCK_MS:
        raise SerLiveError(f"--block-ms must lie in {BLOCK_MS[0]}..{BLOCK_MS[-1]}")
    if files.count("-") > 1:
        raise SerLiveError("standard input can be read only once")
    if "-" in files and options.rate is None:
        raise SerLiveError("raw PCM has no header: say its --rate, --channels and --sample-format")
    if "-" not in files and (options.rate or options.sample_format or options.live):
        raise SerLiveError(
            "--rate, --sample-format and --live are of raw PCM on standard input (FILE -)"
        )
    if options.live and options.speed != "1":
        raise SerLiveError("--live hears standard input as it comes: no other --speed")
    count, wanted_of_pipe, wanted = _channels(options.channels, files)
    if "-" in files and sys.stdin is None:
        raise SerLiveError("standard input is closed")
    if "-" in files and hasattr(os, "set_blocking"):  # some programs hand over one that is not
        with suppress(OSError, ValueError):
            os.set_blocking(sys.stdin.fileno(), True)
    speed = SPEEDS[options.speed]
    worst = 0
    with interrupts.shielded():
        recognizer = _recognizer(options)
    adaptation = _adaptation(options, recognizer, wanted, wanted_of_pipe)
    with ExitStack() as stack:
        inputs = [Path(name) for name in files]
        display = _display(
            options,
            stack,
            interrupts,
            is_paced=speed is not None,
            inputs=inputs,
            is_split=wanted.is_split or wanted_of_pipe.is_split,
        )

        def say(line: str) -> None:
            display.say(told(line))

        def piped(stream: BinaryIO) -> RawPcm:
            encoding = options.sample_format or "s16le"
            return RawPcm(stream, options.rate, count, encoding, wanted=wanted_of_pipe, say=say)

        for name in files:
            try:
                with ExitStack() as one:
                    source: LivePipe | RawPcm | Recording
                    clock: Clock = Pace(speed)
                    if name != "-":
                        source = one.enter_context(Recording(Path(name), wanted, say))
                    elif speed is None:
                        source = piped(sys.stdin.buffer)
                    else:
                        source = clock = LivePipe(
                            sys.stdin.buffer, piped, speed=speed, is_live=options.live, say=say
                        )
                    run_session(
                        source,
                        recognizer,
                        display.sinks,
                        clock=clock,
                        block_ms=options.block_ms,
                        interrupts=interrupts,
                        listeners=display.listeners,
                        streams=source.streams,
                        adaptation=adaptation,
                    )
            except RunFailure:
                raise
            except SerLiveError as error:
                display.say(told(error))
                worst = error.exit_code
    return worst


def _channels(text: str | None, files: Sequence[str]) -> tuple[int, Channels, Channels]:
    """Channels of standard input, what is heard of them, and what is heard of recordings.

    Raises:
        SerLiveError: the option says none of it.
    """
    if text is None:
        return 1, MIX, MIX
    if "-" in files:
        count, _, which = text.partition(",")
        if not count.isdecimal() or len(count) > len(str(CHANNELS[-1])):
            raise SerLiveError(
                "--channels says how many channels of raw PCM there are, and after a comma which "
                f"is heard: 2 or 2,1; is {text!r}"
            )
        return int(count), Channels.parse(which) if which else MIX, MIX
    return 1, MIX, Channels.parse(text)


def _enrol(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from streamer.commands.enrol import Plan, enrol

    plan = Plan(
        options.profile,
        tuple(options.files),
        device=options.device,
        wanted=MIX if options.channels is None else Channels.parse(options.channels),
        force=options.force,
    )
    plan.check([model_path(options.model)])
    with interrupts.shielded():
        recognizer = Recognizer.load(options.model)
    enrol(plan, recognizer, interrupts)
    return 0


def _picture(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from streamer.screen.picture import draw_recording, size_of

    size = size_of(options.size)
    if not options.at >= 0:
        raise SerLiveError("--at must be 0 or more seconds")
    if options.output is not None and options.output.suffix.lower() != ".svg":
        raise SerLiveError(f"{options.output}: a picture of the screen is a .svg file")
    with ExitStack() as stack:
        out = _out(options, stack, [options.file, *_read(options)])
        recognizer = _recognizer(options)
        draw_recording(
            options.file,
            recognizer,
            out,
            interrupts,
            at_s=options.at,
            size=size,
            speed=SPEEDS[options.speed],
            adaptation=_adaptation(options, recognizer),
        )
    return 0


def _info(options: argparse.Namespace, _interrupts: Interrupts) -> int:
    metadata = Recognizer.load(options.model).metadata
    facts = {
        "model": metadata.name,
        "labels": ", ".join(metadata.labels),
        "look-ahead": f"{metadata.look_ahead_ms:g} ms, plus the resampler's at other rates "
        "than 16 kHz",
        "rolling window": f"{metadata.window_timesteps * TIMESTEP_S:g} s",
        "temperature": f"{metadata.temperature:.3f}",
        "everyday prior": _shares(metadata) or "not known",
        "voices": "gets to know them, and takes a profile; see ser-live enrol"
        if metadata.knows_voices
        else "does not get to know them, and takes no profile",
        **metadata.lineage.facts,
        **metadata.training,
    }
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        write_line(_stdout(), f"{name:<{width}}  {value}")
    return 0


def _shares(metadata: ModelMetadata) -> str:
    """How often each label is met in everyday life; empty where the model does not know."""
    pairs = zip(metadata.labels, metadata.everyday_prior, strict=False)
    return ", ".join(f"{label} {100 * share:.3g} %" for label, share in pairs)


def _latency(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from streamer.commands.latency.command import Findings, Plan, measure, measure_round_trips

    if options.server is not None:
        return _latency_of_server(options)
    out = _stdout()
    named = {
        name: getattr(options, name)
        for name in ("recording", "source", "seconds", "streams", "model", "prior", "plot")
        if getattr(options, name) is not None
    }
    if options.loopback is not None and named:
        raise SerLiveError("--loopback goes with --device, --output-device and --json only")
    if options.loopback is None and options.output_device is not None:
        raise SerLiveError("--output-device plays the chirps of --loopback")
    plan = None if options.loopback is not None else Plan(**named, device=options.device)
    inputs = [options.recording or bundled("demo.flac"), model_path(options.model)]
    if options.plot is not None and options.json is not None:
        check_apart(options.plot, options.json)
    if options.plot is not None:
        check_output(options.plot, options.force, inputs)
    with ExitStack() as stack:
        keep = None
        if options.json is not None:
            keep = stack.enter_context(OutputFile(options.json, options.force, inputs))
        findings = Findings(lambda text: write_line(out, text), keep)
        stack.callback(findings.close)
        if plan is not None:
            measure(plan, findings, interrupts)
        else:
            measure_round_trips(options.loopback, options.device, options.output_device, findings)
    return 0


def _latency_of_server(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from streamer.commands.latency.command import Findings
    from streamer.commands.latency.server import Load, measure_server, server_text

    others = ("source", "model", "prior", "plot", "loopback", "device", "output_device")
    if any(getattr(options, name) is not None for name in others):
        raise SerLiveError("--server goes with FILE, --streams, --seconds and --json only")
    asked = {name: getattr(options, name) for name in ("streams", "seconds", "recording")}
    load = Load(
        options.server,
        token=os.environ.get("SER_LIVE_TOKEN") or None,
        **{name: value for name, value in asked.items() if value is not None},
    )
    out = _stdout()
    with ExitStack() as stack:
        keep = None
        if options.json is not None:
            keep = stack.enter_context(OutputFile(options.json, options.force))
        findings = Findings(lambda text: write_line(out, text), keep)
        stack.callback(findings.close)
        cost = measure_server(load)
        findings.add(server_text(cost), server=asdict(cost))
    return 0


def _convert(options: argparse.Namespace, _interrupts: Interrupts) -> int:
    from streamer.commands.convert import convert, format_of

    name = format_of(options.output, options.format)
    with ExitStack() as stack:
        out = _out(options, stack, [options.session])
        convert(options.session, name, out, _say)
    return 0


def _report(options: argparse.Namespace, _interrupts: Interrupts) -> int:
    from streamer.commands.report.command import write_report

    write_report(options.sessions, options.output, options.force, _say, options.sound or ())
    return 0


def _score(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from streamer.commands.score.command import Plan, score

    wanted = MIX if options.channels is None else Channels.parse(options.channels)
    _check_one_voice(options, wanted)
    plan = Plan(
        tuple(options.paths),
        output=options.output,
        timeline=options.timeline,
        workers=options.workers,
        labels=options.labels,
        model=options.model,
        prior=options.prior or BALANCED,
        profile=options.profile,
        adapts=options.adapts,
        force=options.force,
        wanted=wanted,
        names_passed_over=options.passed_over,
    )
    return score(plan, interrupts)


def _serve(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from streamer.serve.command import serve
    from streamer.serve.config import Limits, ServerConfig

    named = {
        "streams": options.max_streams,
        "idle_s": options.max_idle,
        "longest_s": options.max_seconds,
    }
    config = ServerConfig(
        host=options.host,
        port=options.port,
        token=options.token or os.environ.get("SER_LIVE_TOKEN") or None,
        allow_origins=tuple(options.allow_origin),
        certfile=options.certfile,
        keyfile=options.keyfile,
        model=options.model,
        also=tuple(options.also_model),
        prior=options.prior or BALANCED,
        adapts=options.adapts,
        logs_addresses=options.log_addresses,
        limits=Limits(**{name: value for name, value in named.items() if value is not None}),
    )
    serve(config, interrupts)
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace, Interrupts], int]] = {
    "listen": _listen,
    "devices": _devices,
    "replay": _replay,
    "enrol": _enrol,
    "picture": _picture,
    "info": _info,
    "latency": _latency,
    "convert": _convert,
    "report": _report,
    "score": _score,
    "serve": _serve,
}
