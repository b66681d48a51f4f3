"""The sound of a session: its file, its outline, and the part that a page contains."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import soundfile

from streamer.commands.report import sound as sound_module
from streamer.commands.report.drawing.waveform import Outliner
from streamer.commands.report.run import write_report
from streamer.commands.report.sound import SoundReader, choose_sounds, link_to
from streamer.errors import SerLiveError
from streamer.formats.reader import read_sessions
from tests.helpers.places import CLIPS
from tests.helpers.recorded import recorded, write_session

RATE = 16_000


@pytest.fixture
def two_tones(tmp_path):
    """2 s of two channels: 0.25 on the left, 0.75 on the right."""
    path = tmp_path / "tones.wav"
    wave = np.sin(np.arange(2 * RATE) * 0.3)[:, None] * [0.25, 0.75]
    soundfile.write(path, wave, RATE)
    return path


def outlined(samples, blocks):
    outliner = Outliner()
    for block in np.split(samples, blocks):
        outliner.accept(block)
    return outliner


@pytest.mark.parametrize("blocks", [[], [1, 33, 34, 5000], [31, 32, 63, 64]])
def test_the_outline_is_the_lowest_and_highest_sample_however_the_blocks_are_cut(blocks):
    samples = np.random.default_rng(0).normal(0, 0.2, 10_001).astype(np.float32)
    outliner = outlined(samples, blocks)
    waveform = outliner.finish()
    assert outliner.duration_s == 10_001 / RATE
    stretches = [samples[first : first + 32] for first in range(0, 10_001, 32)]
    assert waveform.low.tolist() == [float(one.min()) for one in stretches]
    assert waveform.high.tolist() == [float(one.max()) for one in stretches]
    assert waveform.peak == np.abs(samples).max()


def test_no_peak_is_lost_in_a_coarser_outline():
    samples = np.zeros(100_000, np.float32)
    samples[77_777] = -0.9
    coarse = outlined(samples, []).finish().coarser(10)
    assert len(coarse.low) <= 10
    assert coarse.low.min() == np.float32(-0.9)
    low, high = coarse.between(np.array([0.0, 2.0, 5.0, 6.25, 9.0, 12.0]))
    assert low[:2].tolist() == [0.0, np.float32(-0.9)]
    assert np.isnan(low[3:]).all()  # the sound has ended
    assert np.isnan(high[3:]).all()


def test_a_channel_has_its_own_sound(two_tones, tmp_path):
    path = write_session(tmp_path / "two.jsonl", str(two_tones), 50, 1, 2)
    sessions = read_sessions(path, print)
    files = choose_sounds([(path, session) for session in sessions], [None])
    reader = SoundReader(None, print)
    peaks = [reader.read(*pair).waveform.peak for pair in zip(files, sessions, strict=True)]
    assert peaks == pytest.approx([0.25, 0.75], abs=0.01)


def chosen(sessions, *wanted):
    return [path and path.name for path in choose_sounds(sessions, wanted)]


def test_a_sound_belongs_to_a_recording_and_so_to_all_of_its_channels(tmp_path):
    path = tmp_path / "x.jsonl"
    channels = [(path, recorded(10, source="two.wav", channel=number)) for number in (1, 2)]
    alone = [(path, recorded(10, source="one.wav"))]
    again = [(path, recorded(10, source="two.wav", channel=number)) for number in (1, 2)]
    assert chosen(channels, "a") == ["a", "a"]
    assert chosen(channels, "a", "b") == ["a", "b"]
    assert chosen(channels + alone, "a", "b") == ["a", "a", "b"]
    assert chosen(channels + again, "a", "b") == ["a", "a", "b", "b"]
    assert chosen(channels + alone) == [None] * 3
    with pytest.raises(SerLiveError, match="2 recordings and 1 file for --sound"):
        chosen(channels + alone, "a")
    with pytest.raises(SerLiveError, match="1 recording and 3 files"):
        chosen(alone, "a", "b", "c")


def test_the_default_sound_is_the_replayed_file(two_tones, tmp_path, monkeypatch):
    moved = tmp_path / "moved"
    moved.mkdir()
    elsewhere = [(moved / "x.jsonl", recorded(10, source="gone/tones.wav"))]
    with pytest.raises(SerLiveError, match=r"gone/tones\.wav to take the sound from.*--sound FILE"):
        choose_sounds(elsewhere, [None])
    (moved / "tones.wav").write_bytes(two_tones.read_bytes())  # beside the session's file
    assert choose_sounds(elsewhere, [None]) == [moved / "tones.wav"]
    monkeypatch.chdir(tmp_path)
    from_here = [(moved / "x.jsonl", recorded(10, source="tones.wav"))]
    assert [path.absolute() for path in choose_sounds(from_here, [None])] == [two_tones]
    with pytest.raises(SerLiveError, match="no file - to take"):
        choose_sounds([(moved / "x.jsonl", recorded(10, source="-"))], [None])


def held(page) -> list[bytes]:
    """Return the sound in a page."""
    return [
        base64.b64decode(data)
        for data in re.findall(r'src="data:audio/[a-z]+;base64,([^"]*)"', page.read_text("utf-8"))
    ]


@pytest.fixture
def session(tmp_path):
    return write_session(tmp_path / "session.jsonl", str(CLIPS[0]), 52)


def test_a_page_contains_the_sound_only_on_request(session, tmp_path):
    page = tmp_path / "page.html"
    write_report([session], page, False, print)
    assert "<audio" not in page.read_text("utf-8")
    assert "media-src" not in page.read_text("utf-8")
    write_report([session], page, True, print, [None])
    (data,) = held(page)
    heard, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    spoken, _ = soundfile.read(CLIPS[0], dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(heard, spoken, atol=1e-4)
    assert "media-src data:" in page.read_text("utf-8")


def test_a_long_sound_is_compressed_more_and_a_very_long_sound_is_linked(
    session, tmp_path, monkeypatch
):
    page, said = tmp_path / "page.html", []
    monkeypatch.setattr(sound_module, "_MOST_FLAC", 1_000)
    write_report([session], page, False, said.append, [None])
    (data,) = held(page)
    assert data[:4] == b"OggS"
    assert abs(len(soundfile.read(io.BytesIO(data))[0]) - len(soundfile.read(CLIPS[0])[0])) <= 1
    assert said == []
    monkeypatch.setattr(sound_module, "MOST_EMBEDDED", 1_000)
    write_report([session], page, True, said.append, [None])
    assert held(page) == []
    (link,) = re.findall(r'<audio [^>]*src="([^"]*)"', page.read_text("utf-8"))
    assert (page.parent / link).resolve() == CLIPS[0].resolve()
    assert said == [f"{CLIPS[0]} is too long for the page to hold; the page links to it, as {link}"]


def test_the_sound_in_a_page_is_bounded_over_all_recordings(session, tmp_path, monkeypatch):
    page, said = tmp_path / "page.html", []
    monkeypatch.setattr(sound_module, "MOST_EMBEDDED", 60_000)
    write_report([session] * 3, page, False, said.append, [None])
    assert 0 < sum(map(len, held(page))) <= 60_000
    assert len(held(page)) + len(said) == 3
    assert said


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_a_picture_has_the_outline_of_the_sound(session, tmp_path, suffix):
    if suffix != "svg":
        pytest.importorskip("matplotlib")
    plain, outlined = tmp_path / f"plain.{suffix}", tmp_path / f"outlined.{suffix}"
    write_report([session], plain, False, print)
    write_report([session], outlined, False, print, [str(CLIPS[0])])
    assert len(outlined.read_bytes()) > len(plain.read_bytes()) + 1_000
    if suffix == "svg":
        assert ">sound</text>" in outlined.read_text()
        assert ">sound</text>" not in plain.read_text()


def test_a_sound_of_another_length_is_doubted_in_one_line(tmp_path):
    session, said = write_session(tmp_path / "long.jsonl", str(CLIPS[0]), 500), []
    write_report([session], tmp_path / "page.svg", False, said.append, [None])
    (line,) = said
    assert line.startswith(f"{CLIPS[0]} lasts 2.1 s, but the session of ")
    assert line.endswith("lasts 20.0 s: is this the right sound?")


def test_the_good_part_of_a_damaged_sound_is_drawn(session, tmp_path):
    said, cut = [], tmp_path / "cut.flac"
    cut.write_bytes(CLIPS[0].read_bytes()[:20_000])
    write_report([session], tmp_path / "page.svg", False, said.append, [str(cut)])
    assert any("cut.flac" in line for line in said)
    assert ">sound</text>" in (tmp_path / "page.svg").read_text()


def test_links_lead_from_the_pages_folder_whatever_the_name(tmp_path):
    page = tmp_path / "reports" / "page.html"
    assert link_to(tmp_path / "a b#c?.wav", page) == "./../a%20b%23c%3F.wav"
    assert link_to(tmp_path / "reports" / "c:d.wav", page) == "./c%3Ad.wav"
    assert link_to(tmp_path / 'x".wav', page) == "./../x%22.wav"
