"""README's promises that a program can check."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import importlib
import inspect
import re
import shutil
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

import streamer
from streamer.commands import COMMANDS
from streamer.commands.program import main
from streamer.session.interrupts import Interrupts
from tests.helpers.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MANUAL = (ROOT / "streamer" / "README.md").read_text(encoding="utf-8")
#: The pages for people, each with the folder that its links are relative to.
PAGES = {
    one: (ROOT / one).parent
    for one in (
        "README.md",
        "streamer/README.md",
        "model/README.md",
        "train/README.md",
        "tests/README.md",
        "tests/FAULTS.md",
        "assets/MEASURED.md",
        "assets/MODEL_CARD.md",
        "train/results/EXPERIMENTS.md",
    )
}

RECORDING, ASYNCIO, CALLBACK = re.findall(r"```python\n(.*?)```", MANUAL, re.DOTALL)


def labels_of(recognizer, samples):
    stream = recognizer.stream()
    return [estimate.label for estimate in stream.accept(samples) + stream.flush()]


def test_the_example_of_the_first_page_is_that_of_the_manual():
    assert re.findall(r"```python\n(.*?)```", README, re.DOTALL) == [RECORDING]


def test_the_recording_example_runs():
    result = subprocess.run(
        [sys.executable, "-c", RECORDING], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") > 100


def test_the_asyncio_example_gets_all_estimates(shipped, speech):
    names = {}
    exec(ASYNCIO, names)

    async def blocks():
        for block in np.array_split(speech, 50):
            await asyncio.sleep(0)
            yield block

    async def gather():
        return [estimate.label async for estimate in names["emotions"](blocks())]

    assert asyncio.run(gather()) == labels_of(shipped, speech)


class FakeInput:
    """sounddevice's InputStream with a thread that plays speech instead of a microphone."""

    samples = np.zeros(0, np.float32)

    def __init__(self, samplerate, channels, callback, finished_callback):
        assert (samplerate, channels) == (16_000, 1)
        self._callback, self._finished = callback, finished_callback
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        buffer = np.zeros((160, 1), np.float32)
        for block in self.samples[: len(self.samples) // 160 * 160].reshape(-1, 160):
            buffer[:, 0] = block
            self._callback(buffer, 160, None, None)
            buffer[:] = np.nan  # PortAudio reuses its memory
        self._finished()

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._thread.join()


def test_the_callback_example_gets_all_estimates(monkeypatch, capsys, shipped, speech):
    fake = types.ModuleType("sounddevice")
    fake.InputStream = FakeInput
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr(FakeInput, "samples", speech)
    exec(CALLBACK, {})
    shown = [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()]
    expected = labels_of(shipped, speech[: len(speech) // 160 * 160])
    assert shown == expected[: len(shown)]
    assert 4 <= len(expected) - len(shown) <= 5  # the look-ahead of 175 ms


def test_the_callback_example_fits_sounddevice():
    sounddevice = pytest.importorskip("sounddevice", exc_type=OSError)
    theirs = inspect.signature(sounddevice.InputStream).parameters
    assert set(inspect.signature(FakeInput).parameters) <= set(theirs)


def test_your_own_model_is_loaded_by_its_path(shipped, model_file, speech, tmp_path):
    path = tmp_path / "mine.onnx"
    shutil.copy(model_file, path)
    for name in (path, str(path)):
        assert labels_of(streamer.Recognizer.load(name), speech) == labels_of(shipped, speech)


def test_every_public_name_is_there_and_documented():
    for name in streamer.__all__:
        assert getattr(streamer, name).__doc__, name
    assert set(streamer.__all__) <= set(dir(streamer))
    with pytest.raises(AttributeError):
        streamer.nonsense  # noqa: B018


@pytest.mark.parametrize(
    "module", ["streamer", "streamer.recognition.recognizer", "streamer.sound.resampler"]
)
def test_examples_in_docstrings_are_true(module):
    module = importlib.import_module(module)
    names = {name: getattr(streamer, name) for name in streamer.__all__}
    failed, tried = doctest.testmod(module, extraglobs=names)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_that_the_pages_name_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"^(?:.*[|`&] ?)?ser-live ([a-z]+)", text, re.MULTILINE))
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_the_pages_name_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"[(\s`]((?:assets|train|tests|streamer|\.ci)/[\w./-]*\w)", text)
    for path in named:
        assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (PAGES[page] / link).exists(), f"{page}: {link}"


def test_the_first_page_is_short():
    assert len(README.split()) <= 900


def test_help_names_the_sample_formats(capsys):
    with contextlib.suppress(SystemExit):
        main(["replay", "--help"], Interrupts())
    text = capsys.readouterr().out
    assert all(name in text for name in ("s16le", "s24_32le", "S24_LE", "f32le", "mulaw", "alaw"))
