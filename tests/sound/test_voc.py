"""Creative Voice files are heard whole, block by block."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from streamer.errors import SerLiveError
from streamer.sound.files.recording import Recording
from tests.sound.heard import RATE, heard


@pytest.mark.parametrize("blocks", [1, 7])
def test_all_blocks_of_a_voc_are_heard(tmp_path, voice, blocks):
    path = tmp_path / "blocks.voc"
    pcm = (voice * 32767).astype("<i2").tobytes()
    step = len(pcm) // blocks // 2 * 2
    data = b"Creative Voice File\x1a" + struct.pack("<HHH", 26, 0x0114, 0x111F)
    for number, first in enumerate(range(0, len(pcm), step)):
        body = pcm[first : first + step]
        if not number:
            body = struct.pack("<IBBHI", RATE, 16, 1, 4, 0) + body
        data += bytes((2 if number else 9,)) + len(body).to_bytes(3, "little") + body
    path.write_bytes(data + b"\0")
    samples, rate, said = heard(path)
    assert rate == RATE
    np.testing.assert_allclose(samples, voice, atol=1e-3)
    assert not said


def voc(*blocks):
    data = b"Creative Voice File\x1a" + struct.pack("<HHH", 26, 0x0114, 0x111F)
    return data + b"".join(
        bytes((kind,)) + len(body).to_bytes(3, "little") + body for kind, body in blocks
    )


@pytest.mark.parametrize("block", [b"\x01\x10\0\0", b"\x01\x10\0\0\x83", b"\x09\x10\0\0"])
def test_a_voc_that_ends_in_its_first_block_is_refused_in_a_line(tmp_path, block):
    path = tmp_path / "begun.voc"
    path.write_bytes(voc() + block)
    with pytest.raises(SerLiveError, match=r"begun\.voc: [^\n]+$"):
        Recording(path)


def test_silence_and_repeats_of_a_voc_are_heard(tmp_path, voice):
    path = tmp_path / "blocks.voc"
    pcm = (voice[:RATE] * 127 + 128).astype(np.uint8)
    rate = 1_000_000 / (256 - 193)
    sound = bytes((193, 0)) + pcm.tobytes()
    silence = struct.pack("<HB", RATE // 2 - 1, 256 - 125)  # at half the rate
    repeat = struct.pack("<H", 2)
    path.write_bytes(voc((3, silence), (6, repeat), (1, sound), (7, b"")) + b"\0")
    samples, found, said = heard(path)
    assert found == round(rate)
    lead = round(RATE // 2 * 125 * found / 1e6)
    assert len(samples) == lead + 3 * len(pcm)
    assert not samples[:lead].any()
    np.testing.assert_allclose(samples[lead:], np.tile((pcm - 128.0) / 128, 3), atol=1e-6)
    assert not said
