"""Files that soundfile cannot read: through PyAV if it is installed, with advice if not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.errors import SerLiveError
from streamer.sound.files import media
from streamer.sound.files.parts import PartFile
from streamer.sound.files.recording import Recording
from tests.sound.heard import RATE, heard, read_until

av = pytest.importorskip("av", reason="needs the extra media")

#: Suffix, container, codec, a rate of the codec, and the sample format of its encoder.
KINDS = [
    ("m4a", "ipod", "aac", RATE, "fltp"),
    ("mp4", "mp4", "aac", 48_000, "fltp"),
    ("webm", "webm", "libopus", 48_000, "flt"),
    ("mka", "matroska", "flac", RATE, "s16"),
    ("oga", "ogg", "flac", RATE, "s16"),
    ("wma", "asf", "wmav2", 44_100, "fltp"),
    ("mp2", "mp2", "mp2", RATE, "s16"),
    ("ac3", "ac3", "ac3", 48_000, "fltp"),
    ("aac", "adts", "aac", RATE, "fltp"),
    ("mov", "mov", "alac", RATE, "s16p"),
]


def write(path, samples, container, codec, rate, form, layout="mono"):
    """Encode 16 kHz samples, one row per channel."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        stream.format, stream.bit_rate = form, 64_000
        packed = np.ascontiguousarray(samples, np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
        size = stream.codec_context.frame_size or 1024
        convert = av.AudioResampler(form, layout, rate, frame_size=size)
        for one in (*convert.resample(frame), *convert.resample(None)):
            out.mux(stream.encode(one))
        out.mux(stream.encode(None))


@pytest.mark.parametrize(("suffix", "container", "codec", "rate", "form"), KINDS)
def test_files_that_ffmpeg_reads_are_heard_whole(
    tmp_path, speech, suffix, container, codec, rate, form
):
    path = tmp_path / f"voice.{suffix}"
    voice = speech[: 3 * RATE]
    write(path, voice[None], container, codec, rate, form)
    samples, found, said = heard(path)
    assert found == rate
    assert len(samples) / rate == pytest.approx(3.0, abs=0.15)
    assert np.std(samples) == pytest.approx(np.std(voice), rel=0.1)
    assert not said


def test_decoding_with_ffmpeg_does_not_depend_on_the_blocks(tmp_path, speech):
    path = tmp_path / "voice.m4a"
    write(path, speech[None, : 3 * RATE], *KINDS[0][1:])
    found = set()
    for block_ms in (1, 37, 10_000):
        with Recording(path) as recording:
            found.add(np.concatenate(list(recording.blocks(block_ms))).tobytes())
    assert len(found) == 1


def test_channels_from_ffmpeg_are_mixed_as_in_any_recording(tmp_path, speech):
    path = tmp_path / "turned.mka"
    voice = speech[: 3 * RATE]
    write(path, np.stack([voice, -voice]), "matroska", "flac", RATE, "s16", "stereo")
    samples, _, said = heard(path)
    np.testing.assert_allclose(samples[:RATE], voice[:RATE], atol=1e-3)
    assert "cancel each other" in said[0]


@pytest.mark.parametrize("suffix", ["webm", "wma", "mka"])
def test_a_truncated_file_read_by_ffmpeg_is_heard_and_then_reported(tmp_path, speech, suffix):
    kind = next(one for one in KINDS if one[0] == suffix)
    path = tmp_path / f"cut.{suffix}"
    write(path, speech[None, : 4 * RATE], *kind[1:])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    samples = []
    with Recording(path) as recording, pytest.raises(SerLiveError, match=r"truncated|damaged"):
        for block in recording.blocks(100):
            samples.append(block)
    assert len(np.concatenate(samples)) > recording.sample_rate


@pytest.mark.parametrize("suffix", ["m4a", "webm", "mka", "oga", "wma", "aac"])
def test_joined_files_are_heard_to_the_last(tmp_path, speech, suffix):
    kind = next(one for one in KINDS if one[0] == suffix)
    path = tmp_path / f"joined.{suffix}"
    data = b""
    for seconds in (3, 1, 2):
        write(path, speech[None, : seconds * RATE], *kind[1:])
        data += path.read_bytes()
    path.write_bytes(data)
    samples, rate, said = heard(path)
    assert len(samples) / rate == pytest.approx(6.0, abs=0.4)
    assert suffix == "aac" or "3 recordings joined" in said[0]


@pytest.mark.parametrize("order", [("m4a", "wav"), ("wav", "m4a"), ("flac", "webm")])
def test_two_joined_files_of_different_kinds_are_both_heard(tmp_path, speech, order):
    data = b""
    for suffix in order:
        path = tmp_path / f"one.{suffix}"
        kind = next((one for one in KINDS if one[0] == suffix), None)
        if kind is None:
            soundfile.write(path, speech[: 2 * RATE], RATE)
        else:
            write(path, speech[None, : 2 * RATE], *kind[1:])
        data += path.read_bytes()
    path = tmp_path / f"joined.{order[0]}"
    path.write_bytes(data)
    samples, rate, said = heard(path)
    assert len(samples) / rate == pytest.approx(4.0, abs=0.3)
    assert "2 recordings joined" in said[0]


def test_audio_after_damage_is_heard_too(tmp_path, speech):
    path = tmp_path / "damaged.aac"
    write(path, speech[None, : 4 * RATE], *next(one for one in KINDS if one[0] == "aac")[1:])
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(range(64))
    path.write_bytes(data)
    samples = []
    with Recording(path) as recording, pytest.raises(SerLiveError, match=r"damaged after [12]\.\d"):
        for block in recording.blocks(100):
            samples.append(block)
    assert len(np.concatenate(samples)) / RATE == pytest.approx(4.0, abs=0.5)


@pytest.fixture
def behind_junk(tmp_path, speech):
    """A file of which only a part is sound, longer than ffmpeg reads at once."""
    path = tmp_path / "junk.mka"
    kind = next(one for one in KINDS if one[0] == "mka")
    write(path, np.tile(speech, 4)[None], *kind[1:])
    path.write_bytes(b"junk" + path.read_bytes())
    return path


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(5, "Input/output error"), SerLiveError),
    ],
)
def test_what_happens_while_ffmpeg_reads_a_part_is_raised(behind_junk, failure, raised):
    with Recording(behind_junk) as recording, pytest.raises(raised) as caught:
        read_until(failure, recording)
    assert raised is KeyboardInterrupt or str(caught.value).endswith(".mka: Input/output error")


def test_a_part_is_closed_once_ffmpeg_has_read_it_or_refused_it(behind_junk, monkeypatch):
    opened = []
    real = PartFile.__init__

    def remembered(self, *arguments):
        opened.append(self)
        real(self, *arguments)

    monkeypatch.setattr(PartFile, "__init__", remembered)
    heard(behind_junk)
    behind_junk.write_bytes(behind_junk.read_bytes()[:80])
    with pytest.raises(SerLiveError):
        Recording(behind_junk)
    assert len(opened) == 4  # soundfile and ffmpeg each try both files
    assert all(one.closed for one in opened)


def test_a_file_that_nothing_installed_reads_is_refused_with_advice(tmp_path):
    path = tmp_path / "notes.m4a"
    path.write_text("no sound at all\n" * 99)
    with pytest.raises(SerLiveError, match=r"if your ffmpeg reads it: ffmpeg -v error -i"):
        Recording(path)


def test_films_without_sound_and_other_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(SerLiveError, match=r"silent\.mp4: holds no sound track"):
        Recording(path)
    text = tmp_path / "notes.m4a"
    text.write_text("no sound at all\n" * 99)
    with pytest.raises(SerLiveError, match=r"notes\.m4a: no sound file that can be read"):
        Recording(text)


def test_without_pyav_the_line_names_both_ways_out(tmp_path, speech, monkeypatch):
    path = tmp_path / "a voice.m4a"
    write(path, speech[None, :RATE], *KINDS[0][1:])
    monkeypatch.setattr(media, "is_at_hand", lambda: False)
    with pytest.raises(SerLiveError) as caught:
        Recording(path)
    line = str(caught.value)
    assert "pip install 'ser-live[media]'" in line
    assert f"ffmpeg -v error -i '{path}' -ac 1 -ar 48000 -f s16le -" in line
    assert line.endswith("| ser-live replay - --rate 48000")


@pytest.mark.parametrize("name", ["12:30.m4a", "http:talk.m4a"])
def test_a_colon_in_a_name_is_not_a_protocol(tmp_path, speech, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "voice.m4a", speech[None, :RATE], *KINDS[0][1:])
    Path("voice.m4a").rename(name)
    samples, _, said = heard(Path(name))
    assert len(samples) == pytest.approx(RATE, abs=0.1 * RATE)
    assert not said


@pytest.mark.parametrize("is_cover", [True, False])
def test_a_cover_picture_does_not_count_as_a_film(tmp_path, speech, is_cover):
    path = tmp_path / "covered.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=RATE, layout="mono")
        cover = out.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 32
        cover.pix_fmt = "yuvj420p"
        if is_cover:
            cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        out.mux(cover.encode(picture.reformat(format="yuvj420p")))
        out.mux(cover.encode(None))
        packed = np.ascontiguousarray(speech[None, : 4 * RATE], np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    opened = media.MediaFile(path)
    assert (opened.tolerated_s == media._TOLERATED_S) == is_cover
    opened.close()
