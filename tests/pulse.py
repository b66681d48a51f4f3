"""A microphone without a sound card: PulseAudio's virtual speaker, heard through its monitor."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("pulseaudio", "pactl", "paplay")
ALSA_CONFIGURATION = """\
</usr/share/alsa/alsa.conf>
pcm.!default {type pulse}
ctl.!default {type pulse}
"""


class Pulse:
    """A sound server of its own, with one speaker whose sound is the default microphone."""

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

    def plug(self) -> None:
        """Plug the microphone in; without effect where it is."""
        if "speaker" not in self._run("pactl", "list", "short", "sinks"):
            self._run("pactl", "load-module", "module-null-sink", "sink_name=speaker", "rate=48000")
            self._run("pactl", "set-default-source", "speaker.monitor")

    def unplug(self) -> None:
        self._run("pactl", "unload-module", "module-null-sink")

    @contextmanager
    def playing(self, path: Path) -> Iterator[None]:
        """Speak a sound file into the microphone, over and over, in real time."""
        command = f'while paplay --device=speaker "{path}"; do :; done'
        player = subprocess.Popen(
            ["sh", "-c", command], env=self._whole_environment(), start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(player.pid, 15)
            player.wait()

    def is_heard(self) -> bool:
        """Whether somebody captures from it."""
        return bool(self._run("pactl", "list", "short", "source-outputs").strip())

    def wait_until_heard(self, timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.is_heard():
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.1)

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


@pytest.fixture(scope="module")
def sound_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulse]:
    """Started once a module; in the environment of this process too, for PortAudio in it."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt install pulseaudio pulseaudio-utils")
    pulse = Pulse(tmp_path_factory.mktemp("pulse"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in pulse.environment.items():
            patch.setenv(name, value)
        try:
            yield pulse
        finally:
            pulse.stop()


@pytest.fixture
def pulse(sound_server: Pulse) -> Pulse:
    sound_server.plug()
    return sound_server
