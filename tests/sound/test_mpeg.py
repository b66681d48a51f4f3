"""MP3s are heard whole: without an index, with tags, damaged, joined."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from streamer.errors import SerLiveError
from streamer.sound.files.mpeg import mpeg_frame
from streamer.sound.files.recording import Recording
from tests.sound.heard import RATE, TOLERATED_S, at_rate, heard, id3


def mp3(path, samples):
    soundfile.write(path, samples, RATE, format="MP3", subtype="MPEG_LAYER_III")
    return path.read_bytes()


def without_index(data):
    """Make an MP3 without its first frame, which states the number of frames."""
    first = mpeg_frame(data[:4])
    assert b"Xing" in data[: first.length] or b"Info" in data[: first.length]
    return data[first.length :]


def test_an_mp3_without_an_index_is_heard_to_its_end(tmp_path, speech):
    """Its bitrate varies, so no decoder can tell its length from the first frame."""
    path = tmp_path / "stripped.mp3"
    quiet = np.concatenate([np.zeros(4 * RATE, np.float32), speech])
    path.write_bytes(without_index(mp3(path, quiet)))
    samples, _, said = heard(path)
    assert len(samples) / RATE == pytest.approx(len(quiet) / RATE, abs=0.2)
    assert not said
    path.write_bytes(path.read_bytes() * 2)
    assert len(heard(path)[0]) / RATE == pytest.approx(2 * len(quiet) / RATE, abs=0.3)


@pytest.mark.parametrize("junk", [b"", bytes(200_000), b"\xff" * 5_000])
def test_audio_after_a_truncated_or_damaged_mp3_is_heard_too(tmp_path, voice, junk):
    path = tmp_path / "joined.mp3"
    data = mp3(path, voice)
    path.write_bytes(data[: len(data) // 2] + junk + data)
    said, samples = [], []
    with (
        Recording(path, say=said.append) as recording,
        pytest.raises(SerLiveError, match=r"truncated|damaged"),
    ):
        for block in recording.blocks(100):
            samples.append(block)
    assert len(np.concatenate(samples)) / RATE == pytest.approx(1.5 * len(voice) / RATE, abs=0.3)
    assert "2 recordings joined" in said[0]


def test_an_mp3_whose_index_counts_too_few_frames_is_heard_whole(tmp_path, voice):
    path = tmp_path / "few.mp3"
    data = mp3(path, voice)
    whole = len(heard(path)[0])
    at = max(data[:300].find(b"Xing"), data[:300].find(b"Info"))
    path.write_bytes(data[: at + 8] + struct.pack(">I", 5) + data[at + 12 :])
    assert len(heard(path)[0]) == pytest.approx(whole, abs=TOLERATED_S * RATE)


def frames_of(data):
    """Return the frames of an MP3 without tags."""
    position = 0
    while frame := mpeg_frame(data[position : position + 4]):
        yield data[position : position + frame.length]
        position += frame.length


@pytest.mark.parametrize("has_index", [True, False])
def test_tags_between_the_frames_of_an_mp3_lose_no_audio(tmp_path, has_index):
    """HLS and Icecast send such tags; the frame after a tag needs bits from before it."""
    path = tmp_path / "timed.mp3"
    data = mp3(path, soundfile.read("assets/demo.flac", dtype="float32")[0])
    data = data if has_index else without_index(data)
    path.write_bytes(data)
    whole, _, _ = heard(path)
    frames = list(frames_of(data))
    assert len(frames) > 150
    tagged = [b"".join(frames[at : at + 50]) for at in range(0, len(frames), 50)]
    path.write_bytes(id3(bytes(10)).join((b"", *tagged)))
    samples, _, said = heard(path)
    assert not said
    np.testing.assert_array_equal(samples, whole)


@pytest.mark.parametrize("second", [RATE, 48_000])
@pytest.mark.parametrize("has_index", [True, False])
def test_joined_mp3s_with_tags_are_heard_to_the_last(tmp_path, voice, has_index, second):
    path = tmp_path / "joined.mp3"
    data = b""
    for rate in (RATE, second):
        soundfile.write(path, at_rate(voice, rate), rate, format="MP3", subtype="MPEG_LAYER_III")
        own = path.read_bytes()
        data += id3(bytes(10)) + (own if has_index else without_index(own))
    path.write_bytes(data)
    samples, _, said = heard(path)
    assert len(samples) / RATE == pytest.approx(2 * len(voice) / RATE, abs=0.2)
    if has_index or second != RATE:  # equal frames without a count are one file
        assert said == [f"{path}: 2 recordings joined in one file; all are heard"]
