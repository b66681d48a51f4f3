"""WAV and Wave64 files are heard whole, whatever their chunks state."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from streamer.errors import SerLiveError
from streamer.sound.files.recording import Recording
from tests.matrix.headers import riff_chunk, sizes
from tests.sound.heard import RATE, heard


@pytest.mark.parametrize("trailer", [b"LIST\x04\0\0\0abcd", b"id3 \x02\0\0\0ab", bytes(40)])
def test_what_follows_the_audio_is_not_heard(tmp_path, voice, trailer):
    path = tmp_path / "tagged.wav"
    soundfile.write(path, voice, RATE)
    path.write_bytes(path.read_bytes() + trailer * 3)
    samples, _, said = heard(path)
    assert len(samples) == len(voice)
    assert not said


def test_audio_in_several_chunks_of_a_wav_is_heard(tmp_path, voice):
    path = tmp_path / "chunks.wav"
    soundfile.write(path, voice, RATE)
    data = path.read_bytes()
    first = sizes(data).first
    middle = first + RATE
    pieces = riff_chunk(b"data", data[first:middle]), riff_chunk(b"data", data[middle:])
    path.write_bytes(data[: first - 8] + pieces[0] + riff_chunk(b"LIST", b"odd") + pieces[1])
    samples, _, said = heard(path)
    np.testing.assert_allclose(samples, voice, atol=1e-4)
    assert not said


@pytest.mark.parametrize("codec", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
@pytest.mark.parametrize("block", [0, 1234])
def test_a_wrong_block_size_makes_no_noise(tmp_path, voice, codec, block):
    path = tmp_path / "blocks.wav"
    soundfile.write(path, voice, RATE, subtype=codec)
    whole, _, _ = heard(path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, data.index(b"fmt ") + 20, block)
    path.write_bytes(data)
    np.testing.assert_array_equal(heard(path)[0], whole)


def test_a_float_wave64_with_a_long_format_is_not_noise(tmp_path, voice):
    """ffmpeg writes such files; libsndfile takes the samples for integers."""
    path = tmp_path / "float.w64"
    soundfile.write(path, voice, RATE, format="W64", subtype="FLOAT")
    data = path.read_bytes()
    at = data.index(b"fmt \xf3\xac")
    length, form = struct.unpack_from("<Q", data, at + 16)[0], data[at + 24 : at + 40]
    guid = b"\x03\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    extended = b"\xfe\xff" + form[2:] + struct.pack("<HHI", 22, 32, 4) + guid
    chunk = data[at : at + 16] + struct.pack("<Q", 24 + len(extended)) + extended
    path.write_bytes(data[:at] + chunk + data[at + length + -length % 8 :])
    np.testing.assert_allclose(heard(path)[0], voice, atol=1e-6)


@pytest.mark.parametrize("trailer", [b"LIST\xff\x0f\0\0" + bytes(500), bytes(4_000)])
def test_damaged_or_empty_trailers_are_not_heard(tmp_path, voice, trailer):
    path = tmp_path / "trailer.wav"
    soundfile.write(path, voice, RATE)
    path.write_bytes(path.read_bytes() + trailer)
    samples, _, said = heard(path)
    assert len(samples) == len(voice)
    assert not said


@pytest.mark.parametrize("kind", ["WAV", "RF64"])
def test_a_truncated_second_chunk_of_audio_is_reported(tmp_path, voice, kind):
    path = tmp_path / "chunks.wav"
    soundfile.write(path, voice, RATE, format=kind)
    data = path.read_bytes()
    size = sizes(data)
    data = size.set(data[: size.first + RATE], RATE)
    again = riff_chunk(b"data", bytes(2 * RATE))
    path.write_bytes(data + again)
    assert len(heard(path)[0]) == RATE // 2 + RATE
    path.write_bytes(data + again[:-RATE])
    samples = []
    with Recording(path) as recording, pytest.raises(SerLiveError, match="truncated"):
        for block in recording.blocks(100):
            samples.append(block)
    assert len(np.concatenate(samples)) == RATE


def test_a_wrong_block_size_is_corrected_in_several_chunks_too(tmp_path, voice):
    path = tmp_path / "blocks.wav"
    soundfile.write(path, voice, RATE, subtype="IMA_ADPCM")
    whole, _, _ = heard(path)
    data = bytearray(path.read_bytes())
    first = sizes(bytes(data)).first
    block = struct.unpack_from("<H", data, data.index(b"fmt ") + 20)[0]
    struct.pack_into("<H", data, data.index(b"fmt ") + 20, 1234)
    middle = first + 4 * block
    chunks = riff_chunk(b"data", data[first:middle]) + riff_chunk(b"data", data[middle:])
    path.write_bytes(bytes(data[: first - 8]) + chunks)
    np.testing.assert_array_equal(heard(path)[0][: len(voice)], whole[: len(voice)])


def test_a_negative_length_after_the_audio_of_a_wave64_is_not_a_fault(tmp_path, voice):
    path = tmp_path / "negative.w64"
    soundfile.write(path, voice, RATE, format="W64")
    data = path.read_bytes()
    for length in (-1, -(2**40), 2**62):
        guid = b"levl\xf3\xac\xd3\x11\x8c\xd1\0\xc0\x4f\x8e\xdb\x8a"
        path.write_bytes(data + (guid + struct.pack("<q", length)).ljust(200, b"\0"))
        assert len(heard(path)[0]) >= len(voice)
    size = sizes(data)
    path.write_bytes(size.set(data, -(2**40)))
    assert len(heard(path)[0]) == pytest.approx(len(voice), abs=100)
