from __future__ import annotations

import numpy as np
import pytest
import soundfile
import soxr


@pytest.fixture(scope="session")
def hifi(tmp_path_factory, speech):
    """The same at 44.1 kHz in stereo."""
    path = tmp_path_factory.mktemp("audio") / "hifi.wav"
    samples = soxr.resample(speech, 16_000, 44_100)
    soundfile.write(path, np.stack([samples, samples], axis=1), 44_100)
    return path


@pytest.fixture
def terminal():
    pytest.importorskip("termios", reason="this system has no pseudo-terminals")
    from tests.end_to_end.pseudo_terminal import Terminal

    opened = []

    def start(*arguments, **options):
        opened.append(Terminal(*arguments, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
