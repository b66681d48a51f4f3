"""What is heard of a file, and roughly converted speech to write into files."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.sound.files.parts import PartFile
from streamer.sound.files.recording import Recording

RATE = 16_000
#: Audio that a decoder may add or leave out at a join or an end.
TOLERATED_S = 0.05


def heard(path):
    """Return a file's samples, their rate, and the notices."""
    said = []
    with Recording(path, say=said.append) as recording:
        samples = np.concatenate(list(recording.blocks(100)))
    return samples, recording.sample_rate, said


def raising(failure):
    """Return a function that raises this, whatever it is given."""

    def fail(*_):
        raise failure

    return fail


def read_until(failure, recording):
    """Read a recording; after its first block every read of a part fails."""
    blocks = recording.blocks(10)
    next(blocks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartFile, "_bytes", raising(failure))
        list(blocks)


def at_rate(samples, rate):
    """Convert 16 kHz to another rate, roughly, by repeating or dropping samples."""
    return samples[(np.arange(len(samples) * rate // RATE) * RATE) // rate]


def id3(body: bytes) -> bytes:
    """Make a tag with this body."""
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + size + body
