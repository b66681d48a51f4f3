"""Looks at the terminal and at the devices that can be listened to."""

from __future__ import annotations

import os
import sys

from streamer.commands.doctor.findings import Section
from streamer.errors import RunFailure

#: Variables that decide what a terminal is taken for.
_VARIABLES = ("TERM", "COLORTERM", "NO_COLOR", "TERM_PROGRAM", "WT_SESSION")


def check_terminal(section: Section) -> None:
    """Find what the screen would be shown on, and whether it can."""
    from rich.console import Console

    from streamer.commands.display import can_show_screen

    console = Console()
    section.facts["is_terminal"] = sys.stdout.isatty()
    section.facts["size"] = f"{console.width} x {console.height}"
    section.facts["colours"] = console.color_system or "none"
    section.facts["encoding"] = sys.stdout.encoding
    for name in _VARIABLES:
        if name in os.environ:
            section.facts[name] = os.environ[name]
    section.facts["shows_the_screen"] = can_show_screen(sys.stdout)


def check_microphones(section: Section) -> None:
    """List the devices that can be listened to; without any, recordings can still be heard."""
    from streamer.sound.capture.devices import (
        describe,
        find_device,
        input_devices,
        portaudio,
        sound_server_sources,
    )

    try:
        section.facts["PortAudio"] = portaudio().get_portaudio_version()[1]
        devices = input_devices()
        sources = sound_server_sources(devices)
        section.facts["devices"] = [describe(one).strip() for one in (*devices, *sources)]
        section.facts["default"] = str(find_device(None, devices))
    except RunFailure as error:
        section.add_problem(str(error), is_broken=False)
