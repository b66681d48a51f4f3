"""FLAC and Ogg files are heard whole, whatever they state of themselves."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
import soundfile

from streamer.errors import SerLiveError
from streamer.sound.files.containers import look_through
from streamer.sound.files.recording import Recording
from tests.sound.heard import RATE, heard


@pytest.mark.parametrize("stated", [1, 10, 16_000])
def test_a_flac_that_states_too_few_samples_is_heard_whole(tmp_path, voice, stated):
    path = tmp_path / "few.flac"
    soundfile.write(path, voice, RATE)
    data = path.read_bytes()
    path.write_bytes(data[:21] + bytes((data[21] & 0xF0,)) + struct.pack(">I", stated) + data[26:])
    samples, _, said = heard(path)
    np.testing.assert_allclose(samples, voice, atol=1e-4)
    assert "all of it is heard" in said[0]


def test_damage_inside_a_flac_ends_it_and_is_reported(tmp_path, voice):
    path = tmp_path / "damaged.flac"
    soundfile.write(path, np.tile(voice, 4), RATE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    found = []
    with (
        Recording(path) as recording,
        pytest.raises(SerLiveError, match=r"damaged after .* s .*nothing after that was heard"),
    ):
        found.extend(recording.blocks(100))
    assert found


def test_a_damaged_page_of_an_ogg_file_is_reported(tmp_path, speech):
    path = tmp_path / "damaged.ogg"
    soundfile.write(path, np.tile(speech, 3), RATE, format="OGG", subtype="VORBIS")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with Recording(path) as recording, pytest.raises(SerLiveError, match="wrong checksum"):
        list(recording.blocks(100))


def test_an_ogg_file_that_ends_between_two_pages_is_reported(tmp_path, speech):
    path = tmp_path / "cut.ogg"
    soundfile.write(path, np.tile(speech, 3), RATE, format="OGG", subtype="VORBIS")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"OggS")])
    assert "may have been cut short" in heard(path)[2][0]


def test_a_flac_written_to_a_pipe_is_not_damaged(tmp_path, voice):
    path = tmp_path / "piped.flac"
    soundfile.write(path, voice, RATE)
    data = path.read_bytes()
    path.write_bytes(data[:21] + bytes((data[21] & 0xF0, 0, 0, 0, 0)) + data[26:])
    samples, _, said = heard(path)
    assert len(samples) == len(voice)
    assert not said


@pytest.mark.parametrize(
    "forged", [b"\xff\xf8\xc9\x18", b"\xff\xf9\x59\x08", b"\xff\xf8\x55\x08", b"\xff\xf8\xc5\x08"]
)
def test_bytes_that_look_like_a_frame_do_not_make_a_flac_longer(tmp_path, voice, forged):
    from streamer.sound.files.flac import _crc8

    path = tmp_path / "chance.flac"
    soundfile.write(path, voice, RATE)
    frame = forged + "\U0000ffff".encode()
    frame += bytes((_crc8(frame),))
    path.write_bytes(path.read_bytes() + frame + bytes(20))
    assert all(part.promised == 1 for part in look_through(path).parts)


def test_a_flac_that_states_too_few_samples_and_is_cut_is_heard(tmp_path, voice):
    path = tmp_path / "few.flac"
    soundfile.write(path, voice, RATE)
    data = path.read_bytes()
    data = data[:21] + bytes((data[21] & 0xF0,)) + struct.pack(">I", 10) + data[26:-500]
    path.write_bytes(data)
    samples, said = [], []
    with Recording(path, say=said.append) as recording, contextlib.suppress(SerLiveError):
        for block in recording.blocks(100):
            samples.append(block)
    assert len(np.concatenate(samples)) > len(voice) - 2 * 4096
    assert "all of it is heard" in said[0]
