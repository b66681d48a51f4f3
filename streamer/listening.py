"""``ser-live listen`` and ``ser-live devices``: a microphone to the sinks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from streamer.audio import Source
from streamer.devices import describe, find_device, input_devices
from streamer.events import Sink
from streamer.microphone import Microphone
from streamer.recognizer import Recognizer
from streamer.recorder import Recorded, WavWriter
from streamer.session import Interrupts, run_session

#: Handed over at a time; a timestep is 40 ms, so more would only add to the latency.
BLOCK_MS = 10


@contextmanager
def own_stderr() -> Iterator[None]:
    """Keep ALSA's and PortAudio's chatter, which they print unasked, off the person's stderr.

    They write to file descriptor 2; ``sys.stderr`` gets another one meanwhile.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed: nothing to keep clean
        yield
        return
    ours, theirs = os.fdopen(kept, "w", buffering=1, errors="backslashreplace"), sys.stderr
    with ours:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = ours
        try:
            yield
        finally:
            sys.stderr = theirs
            os.dup2(kept, 2)


def listen(
    recognizer: Recognizer,
    open_sinks: Callable[[], Sequence[Sink]],
    *,
    device: str | None,
    duration_s: float | None,
    reconnects: bool,
    record: Path | None,
    force: bool,
    say: Callable[[str], None],
    interrupts: Interrupts,
) -> None:
    """Listen until the duration is over, a signal comes, or the device is lost for good.

    Args:
        recognizer: makes the stream.
        open_sinks: called once the device is open, so that a failure leaves no empty file.
        device: number or part of a name, None for the default.
        duration_s: stream time, None for no end.
        reconnects: wait for a device that is gone.
        record: wav file of what is heard.
        force: overwrite it.
        say: takes a line for the person.
        interrupts: signals.

    Raises:
        SerLiveError: no such device, or the file cannot be made.
        RunFailure: the device cannot be opened or is gone; a file or sink failed.
        Interrupted: a signal came; after the last event.
    """
    with ExitStack() as stack:
        stack.enter_context(own_stderr())
        chosen = find_device(device, input_devices())
        microphone = Microphone(chosen, say, duration_s=duration_s, reconnects=reconnects)
        stack.enter_context(microphone)
        sinks = open_sinks()
        source: Source = microphone
        if record is not None:
            writer = stack.enter_context(WavWriter(record, microphone.sample_rate, force))
            source = Recorded(microphone, writer, say)
        run_session(
            source, recognizer, sinks, clock=microphone, block_ms=BLOCK_MS, interrupts=interrupts
        )


def list_devices(out: TextIO) -> None:
    """Write a line for each input device.

    Raises:
        RunFailure: PortAudio is missing, or there is none.
    """
    with own_stderr():
        lines = [describe(device) for device in input_devices()]
    print("\n".join(lines), file=out)
