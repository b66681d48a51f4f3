"""Devices: lists PortAudio's and finds the one that the user means."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from streamer.counting import counted
from streamer.errors import RunFailure, SerLiveError

COMMON_RATES = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)
#: A microphone has one or two channels. ALSA's plug-ins claim 32 and more and mix them up or down.
MOST_CHANNELS = 2

_SERVER = "sound server"
_PATIENCE_S = 5.0
#: PortAudio's error number.
INVALID_SAMPLE_RATE = -9997

_INSTALL = {
    "linux": "apt install libportaudio2 (Debian, Ubuntu), dnf install portaudio (Fedora)",
    "darwin": "brew install portaudio",
}
_PERMIT = {
    "darwin": "allow it in System Settings > Privacy & Security > Microphone",
    "win32": "allow it in Settings > Privacy & security > Microphone",
}
#: What a command adds to an error, unless it knows better.
_WITHOUT = "ser-live demo needs no microphone"


@dataclass(frozen=True, slots=True)
class Device:
    """An input device, or an output device.

    Attributes:
        index: PortAudio's number, valid until the next rescan.
        name: name of the device.
        host_api: ALSA, Core Audio, Windows WASAPI...
        sample_rate: the device's own, in Hz.
        channels: number of channels to capture or play.
        is_default: whether it is the system's default.
        pulse_source: name of a sound server's source in the server; "" for PortAudio's devices.
    """

    index: int
    name: str
    host_api: str
    sample_rate: int
    channels: int
    is_default: bool
    pulse_source: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.host_api})"


def portaudio() -> ModuleType:
    """Return the sounddevice package, imported only when a microphone is needed.

    Raises:
        RunFailure: PortAudio is not installed or does not start.
    """
    try:
        import sounddevice
    except OSError as error:  # sounddevice raises this without the library
        how = _INSTALL.get(sys.platform, "pip install --force-reinstall sounddevice")
        raise RunFailure(
            f"PortAudio, which opens microphones, is missing: {how}", option=_WITHOUT
        ) from error
    except Exception as error:  # sounddevice's error type is not available if the import fails
        raise RunFailure(f"PortAudio does not start: {error}", option=_WITHOUT) from error
    module: ModuleType = sounddevice
    return module


def rescan() -> None:
    """Make PortAudio look for devices again, which it does only when it starts.

    No stream may be open.
    """
    sounddevice = portaudio()
    while sounddevice._initialized:  # false after a failed start
        sounddevice._terminate()
    sounddevice._initialize()


def input_devices() -> list[Device]:
    """Return all devices for capture.

    Raises:
        RunFailure: PortAudio is missing, or there is none.
    """
    try:
        return _devices("input", "plug a microphone in, or check the system's sound input")
    except RunFailure as error:
        raise RunFailure(str(error), option=_WITHOUT) from error


def sound_server_sources(devices: Sequence[Device]) -> list[Device]:
    """Return the sources of PulseAudio or PipeWire, which PortAudio does not list one by one.

    A source whose name ends in ``.monitor`` captures the computer's output. Sources are captured
    through ALSA's device ``pulse``, which must be among the devices.
    """
    door = next((device for device in devices if device.name == "pulse"), None)
    program = shutil.which("pactl")
    if door is None or program is None:
        return []
    try:
        command = [program, "list", "short", "sources"]
        listed = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            start_new_session=True,  # Ctrl-C is for this program
        )
    except (OSError, subprocess.SubprocessError):
        return []
    found = []
    for line in listed.stdout.splitlines():
        _, name, *rest = [*line.split("\t"), ""]
        if not name:
            continue
        form = re.search(r"(\d+)ch (\d+)Hz", " ".join(rest))
        channels, rate = (int(form[1]), int(form[2])) if form else (door.channels, door.sample_rate)
        found.append(
            Device(door.index, name, _SERVER, rate, min(channels, MOST_CHANNELS), False, name)
        )
    return found


def output_devices() -> list[Device]:
    """Return all devices for playback.

    Raises:
        RunFailure: PortAudio is missing, or there is none.
    """
    return _devices("output", "check the system's sound output")


def _devices(direction: str, advice: str) -> list[Device]:
    sounddevice = portaudio()
    apis: Any = sounddevice.query_hostapis()
    default = sounddevice.default.device[direction]
    channels = f"max_{direction}_channels"
    devices = [
        Device(
            index,
            facts["name"],
            apis[facts["hostapi"]]["name"],
            round(facts["default_samplerate"]),
            min(facts[channels], MOST_CHANNELS),
            index == default,
        )
        for index, facts in enumerate(sounddevice.query_devices())
        if facts[channels] > 0
    ]
    if not devices:
        raise RunFailure(f"no {direction} device: {advice}")
    return devices


def find_device(wanted: str | None, devices: list[Device], direction: str = "input") -> Device:
    """Return the device with a number or with a part of a name, or the default one.

    Args:
        wanted: the user's choice, None for the default.
        devices: devices to choose from.
        direction: their use, ``input`` or ``output``.

    Raises:
        SerLiveError: none or several match.
        RunFailure: the system has no default.
    """
    if wanted is None:
        chosen = [device for device in devices if device.is_default]
        if not chosen:
            raise RunFailure(
                f"the system has no default {direction}; {_choice(direction, devices)}"
            )
        return chosen[0]
    if wanted.isdecimal():
        own = [device for device in devices if not device.pulse_source]
        chosen = [device for device in own if str(device.index) == wanted]
    else:
        part = wanted.casefold()
        chosen = [device for device in devices if part in str(device).casefold()]
        exact = [d for d in chosen if part in (d.name.casefold(), str(d).casefold())]
        if len(exact) == 1:
            chosen = exact
    if not chosen:
        raise SerLiveError(f"no {direction} device {wanted!r}; {_choice(direction, devices)}")
    if len(chosen) > 1:
        raise SerLiveError(
            f"{wanted!r} names several devices; choose a number: {_numbered(chosen)}"
        )
    return chosen[0]


def find_microphone(wanted: str | None) -> Device:
    """Return PortAudio's device, or if none has that name, a sound server's source.

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
            raise SerLiveError(f"{wanted!r} names several sources; choose one: {names}") from error
        raise


def _choice(direction: str, devices: list[Device]) -> str:
    """Return advice on how to list the names."""
    is_input = direction == "input"
    return (
        "ser-live devices lists what --device takes"
        if is_input
        else f"choose one: {_numbered(devices)}"
    )


def _numbered(devices: list[Device]) -> str:
    return ", ".join(f"{device.index}: {device}" for device in devices)


def accepted_rates(device: Device) -> list[int]:
    """Return those of :data:`COMMON_RATES` at which the device can be opened now."""
    sounddevice = portaudio()
    rates = []
    for rate in COMMON_RATES:
        try:
            sounddevice.check_input_settings(
                device.index, device.channels, "float32", samplerate=rate
            )
        except sounddevice.PortAudioError:
            continue  # it cannot be opened at this rate
        rates.append(rate)
    return rates


def cannot_open(device: Device, error: Exception) -> RunFailure:
    """Return the error for a device that did not open, with advice."""
    reason = str(error.args[0]).partition(" [")[0] if error.args else str(error)
    if INVALID_SAMPLE_RATE in error.args:
        return RunFailure(f"cannot open {device}: {reason}; it does not give that rate")
    permit = _PERMIT.get(sys.platform, "check that you may use it (group audio)")
    return RunFailure(
        f"cannot open {device}: {reason}; close other programs that hold it, {permit}, or choose "
        "another: ser-live devices"
    )


def describe(device: Device) -> str:
    """Return a line for ``ser-live devices``; an asterisk marks the default."""
    rates = accepted_rates(device)
    accepts = f"accepts {', '.join(map(str, rates))} Hz" if rates else "cannot be opened now"
    number = "  -" if device.pulse_source else f"{device.index:3}"  # it is chosen only by name
    return (
        f"{'*' if device.is_default else ' '} {number}  {device}: {device.sample_rate} Hz, "
        f"{counted(device.channels, 'channel')}; {accepts}"
    )
