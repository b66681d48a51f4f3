"""Every container is read whole, whatever its header says, or refused in one line."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
import soundfile

from streamer.errors import SerLiveError
from streamer.sound.files import heads, parts
from streamer.sound.files import recording as recording_module
from streamer.sound.files.containers import look_through
from streamer.sound.files.mpeg import mpeg_frame
from streamer.sound.files.parts import Part, PartFile
from streamer.sound.files.recording import Recording, read_recording
from streamer.sound.resampler import Resampler
from tests.matrix.headers import riff_chunk, sizes

RATE = 16_000
#: Audio that a decoder may add or leave out at a join or an end.
TOLERATED_S = 0.05


@pytest.fixture(scope="module")
def voice(speech_16k):
    return speech_16k[: 3 * RATE]


@pytest.fixture(scope="module")
def speech_16k():
    from tests.helpers.places import CLIPS

    return np.concatenate([read_recording(path) for path in CLIPS])


def heard(path):
    """Return a file's samples, and the notices."""
    said = []
    with Recording(path, say=said.append) as recording:
        samples = np.concatenate(list(recording.blocks(100)))
    return samples, recording.sample_rate, said


def at_rate(samples, rate):
    """Convert 16 kHz to another rate, roughly, by repeating or dropping samples."""
    return samples[(np.arange(len(samples) * rate // RATE) * RATE) // rate]


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


@pytest.mark.parametrize("trailer", [b"LIST\x04\0\0\0abcd", b"id3 \x02\0\0\0ab", bytes(40)])
def test_what_follows_the_audio_is_not_heard(tmp_path, voice, trailer):
    path = tmp_path / "tagged.wav"
    soundfile.write(path, voice, RATE)
    path.write_bytes(path.read_bytes() + trailer * 3)
    samples, _, said = heard(path)
    assert len(samples) == len(voice)
    assert not said


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


def mp3(path, samples):
    soundfile.write(path, samples, RATE, format="MP3", subtype="MPEG_LAYER_III")
    return path.read_bytes()


def without_index(data):
    """Make an MP3 without its first frame, which states the number of frames."""
    first = mpeg_frame(data[:4])
    assert b"Xing" in data[: first.length] or b"Info" in data[: first.length]
    return data[first.length :]


def test_an_mp3_without_an_index_is_heard_to_its_end(tmp_path, speech_16k):
    """Its bitrate varies, so no decoder can tell its length from the first frame."""
    path = tmp_path / "stripped.mp3"
    quiet = np.concatenate([np.zeros(4 * RATE, np.float32), speech_16k])
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


@pytest.mark.parametrize("stated", [1, 10, 16_000])
def test_a_flac_that_states_too_few_samples_is_heard_whole(tmp_path, voice, stated):
    path = tmp_path / "few.flac"
    soundfile.write(path, voice, RATE)
    data = path.read_bytes()
    path.write_bytes(data[:21] + bytes((data[21] & 0xF0,)) + struct.pack(">I", stated) + data[26:])
    samples, _, said = heard(path)
    np.testing.assert_allclose(samples, voice, atol=1e-4)
    assert "all of it is heard" in said[0]


@pytest.mark.parametrize("junk", [b"\0" * 512, b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize(("suffix", "kind"), [*JOINED, ("flac", "FLAC"), ("ogg", "OGG")])
def test_a_file_after_junk_is_heard_and_the_junk_reported(tmp_path, voice, suffix, kind, junk):
    path = tmp_path / f"junk.{suffix}"
    soundfile.write(path, voice, RATE, format=kind)
    path.write_bytes(junk + path.read_bytes())
    samples, _, said = heard(path)
    assert len(samples) == len(voice)
    assert f"{len(junk)} bytes are before its sound, which is heard" in said[0]


def test_an_mp3_whose_index_counts_too_few_frames_is_heard_whole(tmp_path, voice):
    path = tmp_path / "few.mp3"
    data = mp3(path, voice)
    whole = len(heard(path)[0])
    at = max(data[:300].find(b"Xing"), data[:300].find(b"Info"))
    path.write_bytes(data[: at + 8] + struct.pack(">I", 5) + data[at + 12 :])
    assert len(heard(path)[0]) == pytest.approx(whole, abs=TOLERATED_S * RATE)


def test_a_damaged_page_of_an_ogg_file_is_reported(tmp_path, speech_16k):
    path = tmp_path / "damaged.ogg"
    soundfile.write(path, np.tile(speech_16k, 3), RATE, format="OGG", subtype="VORBIS")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with Recording(path) as recording, pytest.raises(SerLiveError, match="wrong checksum"):
        list(recording.blocks(100))


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


@pytest.mark.parametrize(("suffix", "kind"), [("wav", "WAV"), ("au", "AU"), ("aiff", "AIFF")])
def test_a_header_without_audio_is_refused_in_a_line(tmp_path, voice, suffix, kind):
    path = tmp_path / f"begun.{suffix}"
    soundfile.write(path, voice, RATE, format=kind)
    path.write_bytes(path.read_bytes()[: sizes(path.read_bytes()).first])
    with pytest.raises(SerLiveError, match=r"holds no audio|no sound file"):
        Recording(path)


@pytest.mark.parametrize("trailer", [b"LIST\xff\x0f\0\0" + bytes(500), bytes(4_000)])
def test_damaged_or_empty_trailers_are_not_heard(tmp_path, voice, trailer):
    path = tmp_path / "trailer.wav"
    soundfile.write(path, voice, RATE)
    path.write_bytes(path.read_bytes() + trailer)
    samples, _, said = heard(path)
    assert len(samples) == len(voice)
    assert not said


def test_an_ogg_file_that_ends_between_two_pages_is_reported(tmp_path, speech_16k):
    path = tmp_path / "cut.ogg"
    soundfile.write(path, np.tile(speech_16k, 3), RATE, format="OGG", subtype="VORBIS")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"OggS")])
    assert "may have been cut short" in heard(path)[2][0]


def test_a_signal_while_a_part_is_read_is_raised(tmp_path, voice):
    path = tmp_path / "joined.wav"
    soundfile.write(path, voice, RATE)
    path.write_bytes(path.read_bytes() * 2)
    with Recording(path) as recording, pytest.MonkeyPatch.context() as patch:
        blocks = recording.blocks(10)
        next(blocks)

        def interrupted(*_):
            raise KeyboardInterrupt

        patch.setattr(PartFile, "_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(blocks)


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
            '{"schema":1,"mean":[0.5],"timesteps":1,"digest":"0"}\n',
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


def test_a_flac_written_to_a_pipe_is_not_damaged(tmp_path, voice):
    path = tmp_path / "piped.flac"
    soundfile.write(path, voice, RATE)
    data = path.read_bytes()
    path.write_bytes(data[:21] + bytes((data[21] & 0xF0, 0, 0, 0, 0)) + data[26:])
    samples, _, said = heard(path)
    assert len(samples) == len(voice)
    assert not said


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


def id3(length):
    """Make a tag of this many bytes."""
    return b"ID3\x04\0\0\0\0\0" + bytes((length - 10,)) + bytes(length - 10)


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
    path.write_bytes(id3(20).join((b"", *tagged)))
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
        data += id3(20) + (own if has_index else without_index(own))
    path.write_bytes(data)
    samples, _, said = heard(path)
    assert len(samples) / RATE == pytest.approx(2 * len(voice) / RATE, abs=0.2)
    if has_index or second != RATE:  # equal frames without a count are one file
        assert said == [f"{path}: 2 recordings joined in one file; all are heard"]


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


@pytest.mark.parametrize(
    "data",
    [
        b"NIST_1A\n" * 200_000,
        (b"OggS\0\2".ljust(27, b"\0") + b"OggS".ljust(27, b"\0")) * 11_000,
        id3(10).join(
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
