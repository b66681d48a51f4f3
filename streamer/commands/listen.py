"""``ser-live listen`` and ``ser-live devices``: a microphone to the sinks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from streamer.commands.display import Display
from streamer.errors import SerLiveError, told
from streamer.outputs import say_on_stderr
from streamer.recognition.profile import UNKNOWN_VOICE, Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupts
from streamer.session.run import run_session
from streamer.sound.capture.devices import (
    Device,
    describe,
    find_device,
    input_devices,
    sound_server_sources,
)
from streamer.sound.capture.microphone import Microphone
from streamer.sound.channels import MIX, Channels
from streamer.sound.recorder import Recorder

#: Handed over at a time; a timestep is 40 ms, so more would only add to the latency.
BLOCK_MS = 10


def listen(
    recognizer: Recognizer,
    open_display: Callable[[Recorder], Display],
    stack: ExitStack,
    *,
    device: str | None,
    duration_s: float | None,
    reconnects: bool,
    record: Path | None,
    force: bool,
    interrupts: Interrupts,
    wanted: Channels = MIX,
    adaptation: Adaptation = UNKNOWN_VOICE,
) -> None:
    """Listen until the duration is over, a signal comes, or the device is lost for good.

    Args:
        recognizer: makes the stream.
        open_display: called once the device is open, with what the key r switches.
        stack: closes what was opened, last things first.
        device: number or part of a name, None for the default.
        duration_s: stream time, None for no end.
        reconnects: wait for a device that is gone.
        record: wav file of what is heard.
        force: overwrite it.
        interrupts: signals.
        wanted: what is heard of the channels.
        adaptation: how each stream goes about its voice.

    Raises:
        SerLiveError: no such device or channel, or the file cannot be made.
        RunFailure: the device cannot be opened or is gone; a file or sink failed.
        Interrupted: a signal came; after the last event.
    """
    voice = _Voice()
    chosen = find_microphone(device)
    microphone = Microphone(
        chosen, voice.say, duration_s=duration_s, reconnects=reconnects, wanted=wanted
    )
    stack.enter_context(microphone)
    recorder = stack.enter_context(Recorder(microphone, voice.say, record, force))
    display = open_display(recorder)
    voice.display = display
    run_session(
        recorder,
        recognizer,
        display.sinks,
        clock=microphone,
        block_ms=BLOCK_MS,
        interrupts=interrupts,
        listeners=display.listeners,
        streams=microphone.streams,
        adaptation=adaptation,
    )


def find_microphone(wanted: str | None) -> Device:
    """PortAudio's device, or where it has none of that name a sound server's source.

    Raises:
        SerLiveError: there is no such device, or several.
        RunFailure: PortAudio is missing, or there is no device at all.
    """
    devices = input_devices()
    try:
        return find_device(wanted, devices)
    except SerLiveError as error:
        sources = sound_server_sources(devices) if wanted is not None else []
        named = [one for one in sources if str(wanted).casefold() in one.name.casefold()]
        exact = [one for one in named if one.name.casefold() == str(wanted).casefold()]
        if len(named) == 1 or exact:
            return (exact or named)[0]
        if named:
            names = ", ".join(one.name for one in named)
            raise SerLiveError(f"{wanted!r} is several sources: {names}") from error
        raise


class _Voice:
    """Tells the person a line: on stderr, and on the screen once there is one."""

    def __init__(self) -> None:
        self.display: Display | None = None

    def say(self, line: str) -> None:
        say = say_on_stderr if self.display is None else self.display.say
        say(told(line))


def list_devices() -> list[str]:
    """A line for each input device.

    Raises:
        RunFailure: PortAudio is missing, or there is none.
    """
    devices = input_devices()
    return [describe(device) for device in (*devices, *sound_server_sources(devices))]
