"""Joined files of different kinds are all heard; other trailing data is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import soundfile

from streamer.errors import SerLiveError
from streamer.sound.files.recording import Recording, read_recording
from tests.helpers.places import CLIPS
from tests.sound.heard import RATE, heard, id3

#: Audio that a decoder may add or leave out at a join or an end.
TOLERATED_S = 0.1
KINDS = ("wav", "aiff", "au", "caf", "w64", "flac", "ogg", "mp3")

COVER = id3(b"APIC\0\0\0\0\0\0image/jpeg\0\xff\xd8\xff\xe0" + b"\xff\xfb\x90\0" * 3 + bytes(3_000))
APE = b"APETAGEX\xd0\x07\0\0" + (32).to_bytes(4, "little") + bytes(16)


@pytest.fixture(scope="module")
def voice():
    return read_recording(CLIPS[0])[: 2 * RATE]


@pytest.fixture(scope="module")
def files(tmp_path_factory, voice):
    """The bytes of the voice in each kind of file."""
    folder = tmp_path_factory.mktemp("kinds")
    found = {}
    for kind in KINDS:
        path = folder / f"voice.{kind}"
        soundfile.write(path, voice, RATE)
        found[kind] = path.read_bytes()
    return found


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(KINDS, 2)))
@pytest.mark.parametrize("between", [b"", COVER, bytes(2_000)], ids=["", "tag", "zeros"])
def test_two_kinds_in_one_file_are_both_heard(tmp_path, files, voice, first, second, between):
    path = tmp_path / f"joined.{first}"
    path.write_bytes(files[first] + between + files[second])
    samples, _, said = heard(path)
    assert len(samples) / RATE == pytest.approx(2 * len(voice) / RATE, abs=2 * TOLERATED_S)
    assert said == [f"{path}: 2 recordings joined in one file; all are heard"]
    halves = samples[: len(voice)], samples[-len(voice) :]
    # Neither is noise: other bytes taken for samples would be very loud.
    assert max(np.abs(half).mean() for half in halves) < 3 * np.abs(voice).mean()


@pytest.mark.parametrize("kinds", [("mp3", "wav"), ("ogg", "mp3"), ("flac", "ogg"), ("wav", "mp3")])
def test_kinds_that_take_turns_are_all_heard(tmp_path, files, voice, kinds):
    path = tmp_path / "joined"
    path.write_bytes(b"".join(files[kind] for kind in kinds) * 3)
    samples, _, said = heard(path)
    assert "6 recordings joined" in said[0]
    assert len(samples) / RATE == pytest.approx(6 * len(voice) / RATE, abs=6 * TOLERATED_S)


def test_a_wav_with_notes_after_its_audio_hides_no_other_file(tmp_path, files, voice):
    path = tmp_path / "noted.wav"
    noted = files["wav"] + b"LIST\x0c\0\0\0INFOabcdefgh"
    for kind in ("flac", "mp3"):
        path.write_bytes(noted + files[kind])
        samples, _, said = heard(path)
        assert "2 recordings joined" in said[0]
        assert len(samples) / RATE == pytest.approx(2 * len(voice) / RATE, abs=2 * TOLERATED_S)


def test_a_long_file_after_a_flac_is_found(tmp_path, files, voice):
    path = tmp_path / "long.flac"
    long = tmp_path / "long.wav"
    soundfile.write(long, np.tile(voice, 10), RATE)
    path.write_bytes(files["flac"] + long.read_bytes())
    assert len(heard(path)[0]) == pytest.approx(11 * len(voice), abs=10)


def test_an_unreadable_file_of_another_kind_is_reported(tmp_path, files, voice):
    path = tmp_path / "joined.mp3"
    path.write_bytes(files["mp3"] + files["flac"][:42])
    samples = []
    with Recording(path) as recording, pytest.raises(SerLiveError, match="truncated"):
        for block in recording.blocks(100):
            samples.append(block)
    assert sum(map(len, samples)) >= len(voice)


TRAILERS = {
    "ID3v1": b"TAG".ljust(128, b"x"),
    "APE": APE,
    "cover": COVER,
    "lyrics": b"LYRICSBEGIN" + b"la" * 300 + b"LYRICS200",
    "zeros": bytes(70_000),
    "junk": bytes(range(1, 251)),
    "line end": b"\r\n",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trailer", TRAILERS.values(), ids=TRAILERS)
def test_a_trailer_that_is_not_sound_is_not_another_file(tmp_path, files, voice, kind, trailer):
    path = tmp_path / f"tagged.{kind}"
    path.write_bytes(files[kind] + trailer)
    samples, _, said = heard(path)
    assert not said
    assert len(samples) / RATE == pytest.approx(len(voice) / RATE, abs=TOLERATED_S)
