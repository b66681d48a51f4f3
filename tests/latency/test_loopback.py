"""Chirps found again: in signals whose delay is known, and from speaker to microphone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import soxr

from streamer.bundled import bundled
from streamer.commands.latency import loopback
from streamer.commands.latency.chirp import chirp, find_chirp
from streamer.commands.latency.loopback import Captured, Played, measure_loopback, round_trips_ms
from streamer.errors import RunFailure
from streamer.sound.capture.devices import Device
from streamer.sound.capture.losses import Mark
from streamer.sound.files.recording import read_recording

RATES = [8_000, 16_000, 44_100, 48_000]


def delayed(sound, delay, length):
    """Put the sound ``delay`` samples into a signal; the delay may be fractional."""
    frequencies = np.fft.rfftfreq(length)
    spectrum = np.fft.rfft(sound, length) * np.exp(-2j * np.pi * frequencies * delay)
    return np.fft.irfft(spectrum, length).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("gain", [1.0, 0.01, -1.0])
def test_a_delay_is_found_to_a_fraction_of_a_sample(rate, gain):
    wanted = chirp(rate, rate)
    for delay in (1.0, 1234.25, 2345.5, 3456.875):
        found = find_chirp(gain * delayed(wanted, delay, 8_192), wanted)
        assert found.position == pytest.approx(delay, abs=0.05)


@pytest.mark.parametrize("rate", RATES)
def test_noise_as_loud_as_the_chirp_moves_it_by_less_than_a_tenth_of_a_ms(rate):
    noise = np.random.default_rng(3)
    wanted = chirp(rate, rate)
    level = np.sqrt(np.mean(wanted**2))
    for delay in (777.4, 2222.9):
        signal = delayed(wanted, delay, rate) + level * noise.standard_normal(rate)
        found = find_chirp(signal.astype(np.float32), wanted)
        assert found.position == pytest.approx(delay, abs=1e-4 * rate)


def test_a_rooms_echo_is_not_taken_for_the_direct_sound():
    rate = 48_000
    wanted = chirp(rate, rate)
    signal = delayed(wanted, 5_000.0, rate) + 0.7 * delayed(wanted, 5_480.0, rate)
    assert find_chirp(signal, wanted).position == pytest.approx(5_000.0, abs=2.0)


@pytest.mark.parametrize("rate", RATES)
def test_audio_without_a_chirp_yields_none(rate):
    wanted = chirp(rate, rate)
    noise = np.random.default_rng(5).standard_normal((20, rate)).astype(np.float32)
    speech = soxr.resample(read_recording(bundled("demo.flac")), 16_000, rate)
    assert find_chirp(np.zeros(rate, np.float32), wanted) is None
    assert all(find_chirp(signal, wanted) is None for signal in noise)
    assert find_chirp(speech, wanted) is None


def test_the_chirp_is_modest_and_within_the_band():
    for rate in RATES:
        sound = chirp(rate, min(RATES))
        assert np.abs(sound).max() <= 0.2
        assert sound[0] == 0
        power = np.abs(np.fft.rfft(sound)) ** 2
        above = np.fft.rfftfreq(len(sound), 1 / rate) > 3_600
        assert power[above].sum() < 1e-3 * power.sum()


def test_measured_round_trips_equal_the_simulated_ones():
    """Chirps are played at known times and captured after known delays, in blocks of 10 ms."""
    rate, block, age_s, speaker_s = 48_000, 480, 0.004, 0.015
    began_s, delays_s = 1_000.0, (0.0301234, 0.05, 0.2222222)
    wanted = chirp(rate, rate)
    handed_s = [began_s + 0.5 + number * loopback.SPACING_S for number in range(3)]
    signal = np.random.default_rng(7).normal(0, 0.001, 4 * rate).astype(np.float32)
    for one_s, delay_s in zip(handed_s, delays_s, strict=True):
        # Audio at the converter is delivered ``age_s`` later.
        place = (one_s - began_s + delay_s - age_s) * rate
        signal += delayed(wanted, place, len(signal))
    ends = np.arange(block, len(signal) + 1, block)
    captured_s = began_s + ends / rate
    marks = [Mark(*one) for one in zip(ends, captured_s, captured_s + age_s, strict=True)]
    played = [Played(one_s, one_s + speaker_s) for one_s in handed_s]
    found_ms = round_trips_ms(Captured(signal, marks, rate), played, wanted)
    expected = [(delay_s, speaker_s, age_s, delay_s - speaker_s - age_s) for delay_s in delays_s]
    np.testing.assert_allclose(found_ms, 1000.0 * np.array(expected), atol=0.005)


def test_blocks_that_the_speaker_ran_out_of_are_counted():
    speaker = loopback._Speaker(Device(0, "horn", "ALSA", 48_000, 1, True), chirp(48_000, 48_000))
    dates = SimpleNamespace(outputBufferDacTime=0.0, currentTime=0.0)
    for ran_out in (False, True, True):
        status = SimpleNamespace(output_underflow=ran_out)
        speaker._fill(np.zeros((480, 1), np.float32), 480, dates, status)
    assert speaker.underflows == 2


def test_a_chirp_that_is_not_heard_is_a_failure(pulse, monkeypatch):
    monkeypatch.setattr(loopback, "SETTLING_S", 0.2)
    with pulse.muted(), pytest.raises(RunFailure, match=r"not found .*0 of 1.*unmute") as caught:
        measure_loopback(1, None, None, print)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("pulse")
def test_a_speaker_that_ran_out_of_audio_is_not_to_be_turned_up(monkeypatch):
    def run_out(speaker):
        speaker.underflows += 1

    monkeypatch.setattr(loopback, "SETTLING_S", 0.2)
    monkeypatch.setattr(loopback._Speaker, "play", run_out)
    with pytest.raises(RunFailure, match="ran out of audio"):
        measure_loopback(1, None, None, print)
