"""Fixtures of several rooms; the functions and classes behind them are in ``helpers``."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from model.config import CONFIGURATIONS
from model.export import export
from streamer.bundled import bundled
from streamer.recognition.recognizer import Recognizer

# Before anything imports them: assertions in helpers then explain themselves as in tests.
pytest.register_assert_rewrite("tests.helpers")

from tests.helpers.networks import SHIPPED, Exported, describe, lively_network  # noqa: E402
from tests.helpers.places import CLIPS  # noqa: E402
from tests.helpers.pulse import Pulse, missing_packages  # noqa: E402

# A suite run in the background, or by nohup, ignores signals, and so would every command it starts.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler)

# With small networks a second thread costs more than it gains, above all on a busy machine.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def no_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the configuration file of the person who runs the tests."""
    folder = str(tmp_path_factory.mktemp("configuration"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "APPDATA"):
            patch.setenv(name, folder)
        yield


@pytest.fixture(scope="session")
def speech() -> NDArray[np.float32]:
    """Four clips of one speaker in a row, 9 s at 16 kHz."""
    return np.concatenate([soundfile.read(clip, dtype="float32")[0] for clip in CLIPS])


@pytest.fixture(scope="session")
def wav(tmp_path_factory: pytest.TempPathFactory, speech: NDArray[np.float32]) -> Path:
    """The same as a file."""
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    soundfile.write(path, speech, 16_000)
    return path


@pytest.fixture(scope="session")
def shipped() -> Recognizer:
    return Recognizer.load()


@pytest.fixture(scope="session")
def export_lively(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Export a named network, once."""

    @cache
    def export_named(name: str) -> Exported:
        network = lively_network(name)
        metadata = describe(network)
        path = tmp_path_factory.mktemp("models") / f"{name}.onnx"
        export(network, metadata, path)
        return Exported(network, metadata, path)

    return export_named


@pytest.fixture(scope="session", params=[*sorted(CONFIGURATIONS), SHIPPED])
def exported(request: pytest.FixtureRequest, export_lively: Callable[[str], Exported]) -> Exported:
    """Networks with a look-ahead of 15 ms, 175 ms and 4.4 s."""
    return export_lively(request.param)


@pytest.fixture(scope="session")
def knowing(export_lively: Callable[[str], Exported]) -> Exported:
    """A network with a voice memory."""
    return export_lively(SHIPPED)


@pytest.fixture(scope="session")
def knowing_recognizer(knowing: Exported) -> Recognizer:
    """The recognizer of the network with a voice memory."""
    return Recognizer.load(knowing.path)


@pytest.fixture
def tiny_corpus(tmp_path):
    """The clips under many names: speakers of all three parts of the split, in CREMA-D's layout."""
    folder = tmp_path / "corpora" / "cremad" / "AudioWAV"
    folder.mkdir(parents=True)
    for speaker in (1001, 1002, 1003, 1004, 1005, 1006, 1008, 1009):
        for clip in CLIPS:
            _, sentence, emotion, level = clip.stem.split("_")
            name = f"{speaker}_{sentence}_{emotion}_{level}.flac"
            (folder / name).write_bytes(clip.read_bytes())
    noise = tmp_path / "corpora" / "noise" / "House"
    noise.mkdir(parents=True)
    soundfile.write(noise / "hum.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    return tmp_path / "corpora"


@pytest.fixture
def model_file() -> Path:
    return bundled("ser-live.onnx")


@pytest.fixture(scope="module")
def sound_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulse]:
    """Start a sound server once per module; also set this process's environment, for PortAudio."""
    if missing := missing_packages():
        pytest.skip(f"no virtual microphone: apt install {' '.join(missing)}")
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
    """The sound server, with a microphone that PortAudio knows in this process."""
    from streamer.sound.capture.devices import rescan

    sound_server.plug()
    rescan()  # an earlier test may have started PortAudio, without a server or with another
    return sound_server
