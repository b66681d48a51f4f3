"""Recordings: exact, readable at any moment, never longer than the format allows."""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

import streamer.sound.recorder
from streamer.errors import RunFailure, SerLiveError
from streamer.sound.files.recording import Recording
from streamer.sound.recorder import Recorder, WavWriter
from streamer.sound.source import Away, Loss


def read(path):
    samples, rate = soundfile.read(path, dtype="float32")
    return samples, rate


def test_every_sample_comes_back_exactly(tmp_path, speech):
    path = tmp_path / "r.wav"
    with WavWriter(path, 16_000, force=False) as writer:
        for first in range(0, len(speech), 777):
            assert writer.write(speech[first : first + 777])
    samples, rate = read(path)
    np.testing.assert_array_equal(samples, speech)
    assert rate == 16_000
    assert soundfile.info(path).subtype == "FLOAT"


def test_the_file_opens_while_it_grows(tmp_path, speech):
    """As after a killed process: the header never promises more than there is."""
    path = tmp_path / "r.wav"
    writer = WavWriter(path, 16_000, force=False)
    for first in range(0, 80_000, 160):
        writer.write(speech[first : first + 160])
        if first % 8_000 == 0 and first >= 16_000:
            snapshot = tmp_path / f"{first}.wav"
            snapshot.write_bytes(path.read_bytes())
            with Recording(snapshot) as recording:
                samples = np.concatenate(list(recording.blocks(1000)))
            assert len(samples) > first - 16_000
            np.testing.assert_array_equal(samples, speech[: len(samples)])
    writer.close()


def test_an_existing_file_is_kept(tmp_path):
    path = tmp_path / "r.wav"
    path.write_text("precious")
    with pytest.raises(SerLiveError, match="--force"):
        WavWriter(path, 16_000, force=False)
    assert path.read_text() == "precious"
    with pytest.raises(SerLiveError, match="cannot write"):
        WavWriter(tmp_path / "no" / "r.wav", 16_000, force=False)
    WavWriter(path, 16_000, force=True).close()
    assert read(path)[0].size == 0


@contextmanager
def small_disk():
    """Limit all files to 10,000 bytes, also pytest's own, so only as long as needed."""
    resource = pytest.importorskip("resource")  # not on Windows
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_leaves_a_file_that_opens(tmp_path, speech):
    path = tmp_path / "r.wav"
    writer = WavWriter(path, 16_000, force=False)
    with small_disk(), pytest.raises(RunFailure, match=r"cannot write .*r\.wav"), writer:
        for first in range(0, len(speech), 160):
            writer.write(speech[first : first + 160])
    samples, _ = read(path)
    assert len(samples) > 2_000
    np.testing.assert_array_equal(samples, speech[: len(samples)])


def test_an_output_that_cannot_be_rewritten_is_refused(tmp_path):
    fifo = tmp_path / "pipe.wav"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path):
        with pytest.raises(SerLiveError, match=r"no regular file"):
            WavWriter(path, 16_000, force=True)


class Samples:
    name, sample_rate, clipped, overflows = "samples", 16_000, 0, 0

    def __init__(self, blocks):
        self._blocks = blocks

    def blocks(self, _block_ms):
        yield from self._blocks

    def unheard(self, _position):
        return Loss(900, 30, "gone")


def test_a_loss_is_recorded_as_the_silence_in_its_place(tmp_path):
    ones = np.ones(160, np.float32)
    loss = Loss(500, 20, "held up")
    path = tmp_path / "r.wav"
    with Recorder(Samples([ones, loss, Away(), ones]), print, path, force=False) as recorder:
        passed = list(recorder.blocks(10))
        assert recorder.unheard(820).filled == 30
    assert passed[1] is loss
    silences = np.zeros(20, np.float32), np.zeros(30, np.float32)
    expected = np.concatenate([ones, silences[0], ones, silences[1]])
    np.testing.assert_array_equal(read(path)[0], expected)


def test_a_full_recording_is_reported_once_and_listening_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(streamer.sound.recorder, "MAX_DATA_BYTES", 4 * 1_000)
    said, path = [], tmp_path / "r.wav"
    blocks = [np.full(300, value, np.float32) for value in range(6)]
    with Recorder(Samples(blocks), said.append, path, force=False) as recorder:
        assert len(list(recorder.blocks(10))) == 6
    assert len(said) == 1
    np.testing.assert_array_equal(read(path)[0], np.concatenate(blocks[:3]))


def test_the_header_can_count_up_to_its_limit():
    header = streamer.sound.recorder._header(48_000, streamer.sound.recorder.MAX_DATA_BYTES)
    assert struct.unpack("<I", header[4:8])[0] <= 2**32 - 1


def test_recording_is_switched_on_and_off_between_blocks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    blocks = [np.full(160, value, np.float32) for value in range(6)]
    with Recorder(Samples(blocks), said.append, None, force=False) as recorder:
        for index, _ in enumerate(recorder.blocks(10)):
            if index in (1, 3):
                recorder.toggle()
    (path,) = tmp_path.glob("ser-live-*.wav")
    assert said == [f"recording to {path.name}", f"wrote {path.name}, 0.0 s"]
    np.testing.assert_array_equal(read(path)[0], np.concatenate(blocks[2:4]))


def test_a_recording_that_cannot_be_made_does_not_end_the_listening(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    said = []
    with Recorder(Samples([np.ones(9, np.float32)] * 3), said.append, None, False) as recorder:
        recorder.toggle()
        assert len(list(recorder.blocks(10))) == 3
        assert not recorder.is_recording
    assert len(said) == 1
    assert "cannot write" in said[0]


def test_a_recording_that_was_switched_on_may_fail_and_listening_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    blocks = [np.ones(160, np.float32)] * 40
    with small_disk(), Recorder(Samples(blocks), said.append, None, force=False) as recorder:
        recorder.toggle()
        assert len(list(recorder.blocks(10))) == 40
        assert not recorder.is_recording
    (path,) = tmp_path.glob("ser-live-*.wav")
    assert [line.split()[0] for line in said] == ["recording", "cannot", path.name]
    assert len(read(path)[0]) > 1_000


def test_a_switch_while_the_device_is_away_waits_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    blocks = [np.ones(9, np.float32), Away(), np.ones(9, np.float32)]
    with Recorder(Samples(blocks), said.append, None, force=False) as recorder:
        for block in recorder.blocks(10):
            if isinstance(block, Away):
                recorder.toggle()
                assert not recorder.is_recording
                assert said == ["recording starts when the device is back"]
        assert recorder.is_recording
