"""Runs ``ser-live devices``."""

from __future__ import annotations

import argparse

from streamer.commands.choices import stdout
from streamer.outputs import write_line
from streamer.session.interrupts import Interrupts
from streamer.sound.capture.devices import describe, input_devices, sound_server_sources


def run(_options: argparse.Namespace, _interrupts: Interrupts) -> int:
    """Write a line for each input device.

    Raises:
        RunFailure: PortAudio is missing, or there is no device.
    """
    devices = input_devices()
    for device in (*devices, *sound_server_sources(devices)):
        write_line(stdout(), describe(device))
    return 0
