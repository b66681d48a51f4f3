"""A microphone without a sound card: PulseAudio's virtual speaker, heard through its monitor."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

PROGRAMS = {"pulseaudio": "pulseaudio", "pactl": "pulseaudio-utils", "paplay": "pulseaudio-utils"}
ALSA_PLUGIN = "*/alsa-lib/libasound_module_pcm_pulse.so"
ALSA_CONFIGURATION = """\
</usr/share/alsa/alsa.conf>
pcm.!default {type pulse}
ctl.!default {type pulse}
"""


class Pulse:
    """A separate sound server, with one speaker whose output is the default microphone."""

    def __init__(self, folder: Path) -> None:
        self._runtime = folder / "runtime"
        self._runtime.mkdir(mode=0o700)
        alsa = folder / "alsa.conf"
        alsa.write_text(ALSA_CONFIGURATION)
        self.environment = {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(self._runtime),
            "PULSE_RUNTIME_PATH": str(self._runtime),
            "ALSA_CONFIG_PATH": str(alsa),
            "PULSE_LATENCY_MSEC": "20",
        }
        self._run(
            "pulseaudio", "-n", "--daemonize=yes", "--exit-idle-time=-1",
            "-L", "module-native-protocol-unix",
        )  # fmt: skip
        self.plug()

    def plug(self, rate: int = 48_000, channels: int = 2) -> None:
        """Plug a microphone in; does nothing if there is one."""
        if "speaker" not in self._run("pactl", "list", "short", "sinks"):
            form = ["sink_name=speaker", f"rate={rate}", f"channels={channels}"]
            self._run("pactl", "load-module", "module-null-sink", *form)
            self._run("pactl", "set-default-source", "speaker.monitor")

    def unplug(self) -> None:
        self._run("pactl", "unload-module", "module-null-sink")

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Keep the speaker's output from the microphone."""
        self._run("pactl", "set-sink-mute", "speaker", "1")
        try:
            yield
        finally:
            self._run("pactl", "set-sink-mute", "speaker", "0")

    @contextmanager
    def another_microphone(self) -> Iterator[None]:
        """Make a default microphone that does not hear the speaker."""
        number = self._run("pactl", "load-module", "module-null-sink", "sink_name=other").strip()
        self._run("pactl", "set-default-source", "other.monitor")
        try:
            yield
        finally:
            self._run("pactl", "set-default-source", "speaker.monitor")
            self._run("pactl", "unload-module", number)

    @contextmanager
    def playing(self, path: Path) -> Iterator[None]:
        """Play a sound file into the microphone, repeatedly, in real time."""
        command = f'while paplay --device=speaker "{path}"; do :; done'
        player = subprocess.Popen(
            ["sh", "-c", command], env=self._whole_environment(), start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(player.pid, 15)
            player.wait()

    def stop(self) -> None:
        self._run("pulseaudio", "--kill")

    def _run(self, *command: str) -> str:
        result = subprocess.run(
            command, env=self._whole_environment(), capture_output=True, text=True, timeout=30
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def _whole_environment(self) -> dict[str, str]:
        return os.environ | self.environment


def missing_packages() -> list[str]:
    """Return the Debian packages that this machine lacks."""
    missing = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if find_library("portaudio") is None:
        missing.add("libportaudio2")
    if not any(Path("/usr/lib").glob(ALSA_PLUGIN)):
        missing.add("libasound2-plugins")
    return sorted(missing)
