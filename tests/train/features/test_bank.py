"""The bank: recordings decoded once, with their speech probability."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.recognition.spectra import SpectralAnalysis
from streamer.recognition.voice_gate import SpeechDetector
from streamer.sound.files.recording import read_recording
from train.features import bank as bank_module
from train.features.augment import active_rms
from train.features.bank import load_bank
from train.features.data import analyse

pytestmark = pytest.mark.usefixtures("few_surroundings")


def test_the_bank_holds_recordings_as_they_are_with_their_speech_probability(data, recordings):
    bank = data.bank
    assert len(bank) == len(recordings) == 16
    for index in (0, 7, 13):
        samples = read_recording(recordings[index])
        rows = slice(bank.starts[index], bank.ends[index])
        stored = bank.recorded[rows] / 32767.0 / bank.gains[index]
        np.testing.assert_allclose(stored, samples, atol=2.0 / 32767)
        assert bank.lengths[index] == len(samples)
        assert bank.levels[index] == pytest.approx(active_rms(samples))
        heard = analyse(samples, SpectralAnalysis(SpeechDetector())).speech
        timesteps = slice(bank.speech_starts[index], bank.speech_ends[index])
        np.testing.assert_array_equal(bank.speech[timesteps], heard)
    assert bank.prior.sum() == pytest.approx(1.0)


def test_the_bank_is_decoded_once(recordings, tmp_path, monkeypatch):
    before = load_bank(recordings[:3], tmp_path / "cache")
    monkeypatch.setattr(bank_module, "WorkerPool", None)  # nothing is left to do
    again = load_bank(recordings[:3], tmp_path / "cache")
    np.testing.assert_array_equal(before.recorded, again.recorded)
    np.testing.assert_array_equal(before.speech_ends, again.speech_ends)
    with pytest.raises(TypeError):
        load_bank(recordings[:4], tmp_path / "cache")


def test_a_bank_grouped_by_speaker_is_the_same_and_shared_by_splits(
    recordings, tmp_path, monkeypatch
):
    chosen = [recordings[index] for index in (5, 0, 9, 4, 1, 12)]
    speakers = ["b", "a", "c", "b", "a"]  # the speaker of the last is unknown
    plain = load_bank(chosen, tmp_path / "plain")
    sorted_out = load_bank(chosen, tmp_path / "cache", speakers=speakers)
    for name in ("recorded", "denoised", "ends", "speech", "speech_ends", "levels", "gains"):
        np.testing.assert_array_equal(getattr(sorted_out, name), getattr(plain, name))
    np.testing.assert_allclose(sorted_out.prior, plain.prior)
    monkeypatch.setattr(bank_module, "WorkerPool", None)  # nothing is left to do
    fewer = load_bank([chosen[1], chosen[4]], tmp_path / "cache", speakers=["a", "a"])
    np.testing.assert_array_equal(
        fewer.recorded[: fewer.ends[0]], plain.recorded[plain.starts[1] : plain.ends[1]]
    )
