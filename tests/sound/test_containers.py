"""Every container is read whole, whatever its header says, or refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from streamer.errors import SerLiveError
from streamer.sound.files import heads, parts
from streamer.sound.files import recording as recording_module
from streamer.sound.files.containers import look_through
from streamer.sound.files.parts import Part, PartFile
from streamer.sound.files.recording import Recording, read_recording
from streamer.sound.resampler import Resampler
from tests.helpers.profiles import PROFILE
from tests.matrix.headers import sizes
from tests.sound.heard import RATE, TOLERATED_S, at_rate, heard, id3, raising, read_until

CODECS = [
    *(("wav", "WAV", one) for one in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    *(("wav", "WAV", one) for one in ("ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610")),
    ("wav", "WAVEX", "PCM_16"),
    ("wav", "RF64", "PCM_16"),
    ("w64", "W64", "PCM_16"),
    ("aiff", "AIFF", "PCM_16"),
    ("aiff", "AIFF", "FLOAT"),
    ("au", "AU", "PCM_16"),
    ("au", "AU", "ULAW"),
    ("caf", "CAF", "PCM_16"),
    ("flac", "FLAC", "PCM_16"),
    ("ogg", "OGG", "VORBIS"),
    ("opus", "OGG", "OPUS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
]
#: Rates that a codec does not have.
IMPOSSIBLE = {"OPUS": {22_050, 44_100, 96_000}, "MPEG_LAYER_III": {96_000}, "GSM610": {96_000}}


@pytest.mark.parametrize(("suffix", "kind", "codec"), CODECS)
@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_whole_files_are_heard_whole(tmp_path, voice, suffix, kind, codec, rate, channels):
    if rate in IMPOSSIBLE.get(codec, ()) or (codec == "GSM610" and channels > 1):
        pytest.skip(f"no {codec} at {rate} Hz with {channels} channels")
    path = tmp_path / f"voice.{suffix}"
    data = np.stack([at_rate(voice, rate)] * channels, axis=1)
    soundfile.write(path, data, rate, format=kind, subtype=codec)
    samples, found, said = heard(path)
    assert found == rate
    assert len(samples) / rate == pytest.approx(len(voice) / RATE, abs=2 * TOLERATED_S)
    assert not said


CHUNKED = [one for one in CODECS if one[0] in ("wav", "w64", "aiff", "au", "caf")]


@pytest.mark.parametrize(("suffix", "kind", "codec"), CHUNKED)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5])
def test_a_header_that_is_too_small_hides_nothing(
    tmp_path, voice, suffix, kind, codec, channels, share
):
    if codec == "GSM610" and channels > 1:
        pytest.skip("GSM 06.10 has one channel")
    path = tmp_path / f"killed.{suffix}"
    soundfile.write(path, np.stack([voice] * channels, axis=1), RATE, format=kind, subtype=codec)
    whole, _, _ = heard(path)
    data = bytearray(path.read_bytes())
    size = sizes(bytes(data))
    del data[size.first + (len(data) - size.first) // 64 * 64 :]  # and no later chunk
    path.write_bytes(size.set(bytes(data), int((len(data) - size.first) * share // 64 * 64)))
    samples, _, said = heard(path)
    assert len(samples) / RATE == pytest.approx(len(whole) / RATE, abs=TOLERATED_S)
    np.testing.assert_allclose(samples[:RATE], whole[:RATE], atol=1e-6)
    assert said == [said[0]]
    assert "all of it is heard" in said[0]


@pytest.mark.parametrize(("suffix", "kind", "codec"), CHUNKED)
def test_an_unknown_size_means_to_the_end(tmp_path, voice, suffix, kind, codec):
    path = tmp_path / f"streamed.{suffix}"
    soundfile.write(path, voice, RATE, format=kind, subtype=codec)
    whole, _, _ = heard(path)
    data = bytearray(path.read_bytes())
    size = sizes(bytes(data))
    del data[size.first + (len(data) - size.first) // 64 * 64 :]
    unknown = {"I": 2**32 - 1, "Q": 2**64 - 1, "q": -1 if suffix == "caf" else 2**62}
    path.write_bytes(size.set(bytes(data), unknown[size.form[1]] - size.more))
    samples, _, said = heard(path)
    assert len(samples) / RATE == pytest.approx(len(whole) / RATE, abs=TOLERATED_S)
    assert not said


@pytest.mark.parametrize("more", [1, 2, 36, 44, 512])
def test_a_header_a_few_bytes_too_long_is_not_a_fault(tmp_path, voice, more):
    path = tmp_path / "long.wav"
    soundfile.write(path, voice, RATE)
    data = path.read_bytes()
    size = sizes(data)
    path.write_bytes(size.set(data, len(data) - size.first + more))
    samples, _, said = heard(path)
    assert len(samples) == len(voice)
    assert not said


@pytest.mark.parametrize(("suffix", "kind", "codec"), CHUNKED)
def test_a_truncated_file_is_heard_and_then_reported(tmp_path, voice, suffix, kind, codec):
    path = tmp_path / f"cut.{suffix}"
    soundfile.write(path, voice, RATE, format=kind, subtype=codec)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    samples = []
    with Recording(path) as recording, pytest.raises(SerLiveError, match=r"truncated|damaged"):
        for block in recording.blocks(100):
            samples.append(block)
    assert len(np.concatenate(samples)) / RATE == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize(
    ("suffix", "kind", "codec"), [one for one in CODECS if one[0] in ("ogg", "opus", "mp3")]
)
@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_joined_files_are_heard_to_the_last(tmp_path, voice, suffix, kind, codec, rate):
    pieces = [voice, voice[:RATE], voice[RATE:]]
    data = b""
    for number, piece in enumerate(pieces):
        path = tmp_path / f"{number}.{suffix}"
        own = RATE if number else rate  # the parts may have different rates
        soundfile.write(path, at_rate(piece, own), own, format=kind, subtype=codec)
        data += path.read_bytes()
    path = tmp_path / f"joined.{suffix}"
    path.write_bytes(data)
    samples, found, said = heard(path)
    assert found == rate
    expected_s = sum(map(len, pieces)) / RATE
    assert len(samples) / rate == pytest.approx(expected_s, abs=3 * TOLERATED_S)
    assert said == [f"{path}: 3 recordings joined in one file; all are heard"]


def test_a_part_of_a_file_reads_like_a_file(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(100)))
    (whole,) = look_through(path).parts
    assert (whole.start, whole.stop) == (0, 100)
    gaps = Part(0, 100, ((51, b"z"),), b"head", pieces=((10, 12), (50, 53)))
    with PartFile(path, gaps) as file:
        assert file.read(5) == b"head" + bytes([10])
        assert file.read() == bytes([11, 50]) + b"z" + bytes([52])
        assert file.seek(-1, 2) == 8
        assert file.read() == bytes([52])
    part = type(whole)(10, 30, ((12, b"ab"), (29, b"xyz")))
    with PartFile(path, part) as file:
        assert file.read() == bytes([10, 11]) + b"ab" + bytes(range(14, 29)) + b"x"
        assert file.seek(-2, 2) == 18
        assert file.read(5) == bytes([28]) + b"x"
        assert file.seek(3) == file.tell() == 3
        assert file.read(1) == b"b"


def test_at_any_rate_reading_time_grows_only_with_the_length(tmp_path, monkeypatch):
    """Counts copied samples, because times vary."""
    path = tmp_path / "high.wav"
    soundfile.write(path, np.zeros(192_000 * 6, np.float32), 192_000)
    copied = [0]
    real = np.concatenate

    def counted(parts, *arguments, **named):
        joined = real(parts, *arguments, **named)
        copied[0] += joined.size
        return joined

    monkeypatch.setattr(np, "concatenate", counted)
    with Recording(path) as recording:
        blocks = sum(len(block) for block in recording.blocks(10_000))
    assert blocks == 192_000 * 6
    assert copied[0] <= 3 * blocks


def test_a_recording_read_at_16_khz_equals_the_resamplers_output(tmp_path, voice):
    path = tmp_path / "voice.wav"
    soundfile.write(path, at_rate(voice, 48_000), 48_000, subtype="FLOAT")
    resampler = Resampler(48_000)
    expected = np.concatenate([resampler.accept(at_rate(voice, 48_000)), resampler.flush()])
    np.testing.assert_allclose(read_recording(path), expected, atol=1e-6)


JOINED = [("wav", "WAV"), ("aiff", "AIFF"), ("au", "AU"), ("caf", "CAF"), ("w64", "W64")]


@pytest.mark.parametrize(("suffix", "kind"), [*JOINED, ("flac", "FLAC"), ("rf64", "RF64")])
def test_joined_wavs_are_heard_to_the_last(tmp_path, voice, suffix, kind):
    path = tmp_path / f"joined.{suffix}"
    soundfile.write(path, voice, RATE, format=kind)
    path.write_bytes(path.read_bytes() * 3)
    samples, _, said = heard(path)
    np.testing.assert_allclose(samples, np.tile(voice, 3), atol=1e-4)
    assert "3 recordings joined" in said[0]


@pytest.mark.parametrize(("suffix", "kind"), [*JOINED, ("flac", "FLAC")])
def test_a_file_after_a_truncated_file_is_heard_and_the_cut_reported(tmp_path, voice, suffix, kind):
    path = tmp_path / f"joined.{suffix}"
    soundfile.write(path, voice, RATE, format=kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + whole)
    samples = []
    with Recording(path) as recording, pytest.raises(SerLiveError, match=r"truncated|damaged"):
        for block in recording.blocks(100):
            samples.append(block)
    np.testing.assert_allclose(np.concatenate(samples)[-len(voice) :], voice, atol=1e-4)


@pytest.mark.parametrize("junk", [b"\0" * 512, b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize(("suffix", "kind"), [*JOINED, ("flac", "FLAC"), ("ogg", "OGG")])
def test_a_file_after_junk_is_heard_and_the_junk_reported(tmp_path, voice, suffix, kind, junk):
    path = tmp_path / f"junk.{suffix}"
    soundfile.write(path, voice, RATE, format=kind)
    path.write_bytes(junk + path.read_bytes())
    samples, _, said = heard(path)
    assert len(samples) == len(voice)
    assert f"{len(junk)} bytes are before its sound, which is heard" in said[0]


@pytest.mark.parametrize(("suffix", "kind"), [("wav", "WAV"), ("au", "AU"), ("aiff", "AIFF")])
def test_a_header_without_audio_is_refused_in_a_line(tmp_path, voice, suffix, kind):
    path = tmp_path / f"begun.{suffix}"
    soundfile.write(path, voice, RATE, format=kind)
    path.write_bytes(path.read_bytes()[: sizes(path.read_bytes()).first])
    with pytest.raises(SerLiveError, match=r"holds no audio|no sound file"):
        Recording(path)


def test_a_signal_while_a_part_is_read_is_raised(tmp_path, voice):
    path = tmp_path / "joined.wav"
    soundfile.write(path, voice, RATE)
    path.write_bytes(path.read_bytes() * 2)
    with Recording(path) as recording, pytest.raises(KeyboardInterrupt):
        read_until(KeyboardInterrupt(), recording)


@pytest.mark.parametrize(("suffix", "kind"), [("w64", "W64"), ("caf", "CAF")])
def test_a_size_of_0_where_the_header_counts_too_is_no_share_below_0(tmp_path, voice, suffix, kind):
    path = tmp_path / f"killed.{suffix}"
    soundfile.write(path, voice, RATE, format=kind)
    size = sizes(path.read_bytes())
    path.write_bytes(size.set(path.read_bytes(), -size.more))
    assert "its header speaks of 0.0% of the audio" in heard(path)[2][0]


def test_a_disk_that_fails_while_a_part_is_read_is_reported_in_a_line(tmp_path, voice):
    path = tmp_path / "joined.wav"
    soundfile.write(path, voice, RATE)
    path.write_bytes(path.read_bytes() * 2)
    failure = OSError(5, "Input/output error")
    with Recording(path) as recording, pytest.raises(SerLiveError, match=r"wav: Input/output err"):
        read_until(failure, recording)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartFile, "_bytes", raising(failure))
        with pytest.raises(SerLiveError, match=r"joined\.wav: Input/output error$"):
            Recording(path)


def test_a_disk_that_fails_while_the_channels_are_examined_is_reported_later(
    tmp_path, voice, monkeypatch
):
    path = tmp_path / "joined.wav"
    soundfile.write(path, np.stack([voice, voice], axis=1), RATE)
    path.write_bytes(path.read_bytes() * 2)
    real = PartFile._bytes

    def fail_later(self, count):
        if self.tell() > 1_000:
            raise OSError(5, "Input/output error")
        return real(self, count)

    monkeypatch.setattr(PartFile, "_bytes", fail_later)
    with Recording(path) as recording, pytest.raises(SerLiveError, match="Input/output error"):
        list(recording.blocks(100))


@pytest.mark.parametrize("suffix", ["au", "snd"])
def test_text_is_not_sound_whatever_its_suffix(tmp_path, suffix):
    """With such a suffix libsndfile takes a file without a header for mu-law."""
    path = tmp_path / f"notes.{suffix}"
    path.write_text("no sound at all\n" * 99)
    with pytest.raises(SerLiveError, match="no sound file that can be read"):
        Recording(path)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("s.jsonl", '{"type":"session","schema":1}\n', "a session, .*; ser-live report draws it"),
        ("s.csv", "time,label,speech,latency_ms,p_sad\n", "a session as a table, .* report draws"),
        ("s.TextGrid", 'File type = "ooTextFile"\n', "labels for another program"),
        ("s.srt", "1\n00:00:00,000 --> 00:00:00,440\nsad\n", "labels for another program"),
        ("s.vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:00.440\nsad\n", "labels for another program"),
        ("s.txt", "0.000000\t0.440000\tsilence\n", "labels for another program"),
        (
            "r.csv",
            "file,channel,duration_s,overall,error,prior\r\n",
            "results of ser-live score, not sound; ser-live score --output .*r.csv goes on with",
        ),
        (
            "r.jsonl",
            '{"file":"x","channel":"mix","overall":null,"error":"e","prior":"balanced"}\n',
            "results of ser-live score",
        ),
        ("r.parquet", "PAR1\x15\x04", "results of ser-live score"),
        ("t.csv", "file,label\na.wav,sad\n", "labels, not sound; ser-live score --labels .* takes"),
        (
            "a.profile",
            f"{PROFILE.to_json()}\n",
            "the profile of a voice, not sound; --profile .*a.profile takes it",
        ),
    ],
)
def test_another_file_of_ours_in_place_of_sound_is_told_with_what_takes_it(
    tmp_path, name, text, told
):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(SerLiveError, match=f"{name}: holds {told}"):
        Recording(path)


def test_a_whole_file_is_not_scanned_for_another_after_it(tmp_path, monkeypatch):
    path = tmp_path / "whole.wav"
    soundfile.write(path, np.zeros(60 * RATE, np.float32), RATE)
    read = []
    real = parts.View.read
    monkeypatch.setattr(parts.View, "read", lambda self, n=-1: read.append(n) or real(self, n))
    monkeypatch.setattr(heads, "_BLOCK", 1 << 12)
    look_through(path)
    assert sum(read) < 10_000
    path.write_bytes(path.read_bytes() * 2)
    assert len(look_through(path).parts) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"NIST_1A\n" * 200_000,
        (b"OggS\0\2".ljust(27, b"\0") + b"OggS".ljust(27, b"\0")) * 11_000,
        id3(b"").join(
            [b"\xff\xfb\x10\0".ljust(104, b"\0"), b"\xff\xfb\x14\0".ljust(96, b"\0")] * 6_000
        ),
    ],
)
def test_a_file_full_of_signatures_is_not_sound(tmp_path, data):
    path = tmp_path / "marks.wav"
    path.write_bytes(data)
    with pytest.raises(
        SerLiveError, match=r"marks\.wav: more than 10000 beginnings of files in it"
    ):
        Recording(path)


def test_a_file_whose_first_parts_are_unreadable_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "marks.sph"
    path.write_bytes(b"NIST_1A\n" * 9_000)
    tried = []
    real = recording_module.open_part
    monkeypatch.setattr(
        recording_module, "open_part", lambda *args: tried.append(args) or real(*args)
    )
    with pytest.raises(SerLiveError, match="no sound file"):
        Recording(path)
    assert 2 < len(tried) < 100
