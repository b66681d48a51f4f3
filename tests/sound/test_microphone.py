"""The microphone, through a real PortAudio stream on PulseAudio's virtual speaker."""

from __future__ import annotations

import time

import numpy as np
import pytest

from streamer.errors import RunFailure
from streamer.session.clock import Pace
from streamer.session.events import Estimated, Gap
from streamer.session.interrupts import Interrupts
from streamer.session.run import run_session
from streamer.sound.capture.microphone import Microphone
from streamer.sound.files.recording import Recording
from streamer.sound.recorder import Recorder
from streamer.sound.source import MAX_LAG_S, SILENCE_FOR_LOSS_S, Loss
from tests.helpers.places import CLIPS

EMOTIONS = {"angry", "happy", "neutral", "sad"}


class Collect:
    def __init__(self):
        self.events = []

    def take(self, event):
        self.events.append(event)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def default_device():
    from streamer.sound.capture.devices import find_device, input_devices

    return find_device(None, input_devices())


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_speech_is_heard_and_the_recording_replays_to_the_same_labels(
    pulse, shipped, tmp_path, rate
):
    path, again = tmp_path / "heard.wav", Collect()
    for _ in range(3):  # a machine busy for over a second may lose audio
        live = Collect()
        microphone = Microphone(default_device(), print, duration_s=4.0, sample_rate=rate)
        recorder = Recorder(microphone, print, path, force=True)
        with pulse.playing(CLIPS[0]), recorder, microphone:
            run_session(
                recorder, shipped, [live], clock=microphone, block_ms=10, interrupts=Interrupts()
            )
        if not any("waited" in gap.reason for gap in live.of(Gap)):
            break
    with Recording(path) as recording:
        run_session(
            recording, shipped, [again], clock=Pace(None), block_ms=500, interrupts=Interrupts()
        )
    assert recording.sample_rate == rate
    assert live.of(Gap) == []

    def heard(sink):
        return [
            (e.estimate.time, e.estimate.label, *e.estimate.probabilities)
            for e in sink.of(Estimated)
        ]

    assert heard(live) == heard(again)
    assert len(heard(live)) == 100
    assert {label for _, label, *_ in heard(live)} & EMOTIONS
    assert max(e.estimate.speech for e in live.of(Estimated)) > 0.5
    assert live.events[-1] == again.events[-1]
    assert microphone.position == 4 * rate


def test_latency_counts_from_the_moment_of_capture(pulse, shipped):
    live = Collect()
    microphone = Microphone(default_device(), print, duration_s=4.0)
    with pulse.playing(CLIPS[0]), microphone:
        run_session(
            microphone, shipped, [live], clock=microphone, block_ms=10, interrupts=Interrupts()
        )
    owed = 5  # the last estimates come without their look-ahead
    latencies = [event.latency_ms for event in live.of(Estimated)[50:-owed]]
    # Devices date their blocks with an error of a few blocks at best.
    assert min(latencies) > shipped.metadata.look_ahead_ms - 50
    assert 0 < np.median(latencies) < 1000


def test_a_delayed_consumer_loses_the_oldest_and_learns_exactly_how_much(pulse):
    microphone = Microphone(default_device(), print)
    rate = microphone.sample_rate
    heard = lost = 0
    is_held_up = False
    with pulse.playing(CLIPS[0]), microphone:
        for block in microphone.blocks(10):
            if isinstance(block, Loss):
                lost += block.samples
                assert block.filled == block.samples <= SILENCE_FOR_LOSS_S * rate
                assert "waited" in block.reason
            else:
                heard += len(block)
            if not is_held_up and heard > rate:
                time.sleep(3.0)
                is_held_up = True
            if is_held_up and heard > 2.5 * rate:
                break
            if lost:  # caught up: the waiting audio is bounded
                assert microphone._ring.waiting <= MAX_LAG_S * rate
    assert lost == pytest.approx(2 * rate, abs=0.5 * rate)
    assert heard + lost == microphone.position
    assert heard + lost + microphone._ring.waiting == microphone._ring.written


def test_the_duration_holds_even_if_audio_was_lost(pulse):
    """The end is within the lost stretch."""
    microphone = Microphone(default_device(), print, duration_s=2.0)
    total = lost = 0
    with pulse.playing(CLIPS[0]), microphone:
        for block in microphone.blocks(10):
            if isinstance(block, Loss):
                lost += block.samples
            total += block.samples if isinstance(block, Loss) else len(block)
            if microphone.position == 0.5 * microphone.sample_rate:
                time.sleep(3.0)
    assert total == microphone.position == 2 * microphone.sample_rate
    assert lost > 0


class Leaky(Microphone):
    """A microphone whose device loses half a second after 2 s, without a flag."""

    def _capture(self, frames, count, dates, status):
        since_s = time.monotonic() - self.first_s if hasattr(self, "first_s") else 0.0
        self.first_s = time.monotonic() - since_s
        if not 2.0 < since_s < 2.5:
            super()._capture(frames, count, dates, status)


@pytest.mark.usefixtures("pulse")
def test_losses_that_the_device_does_not_flag_are_counted_too():
    losses = []
    with Leaky(default_device(), print, duration_s=7.0) as microphone:
        for block in microphone.blocks(10):
            if isinstance(block, Loss):
                losses.append(block)
        passed_s = time.monotonic() - microphone.first_s
        assert microphone.unheard(microphone.position) is None
    (loss,) = losses
    rate = microphone.sample_rate
    assert loss.samples == pytest.approx(0.5 * rate, abs=0.1 * rate)
    assert "device" in loss.reason
    assert microphone.position == 7 * rate
    assert passed_s == pytest.approx(7.0, abs=0.3)  # the wall clock agrees


@pytest.mark.usefixtures("pulse")
def test_a_loss_shortly_before_the_end_counts_at_the_end():
    with Leaky(default_device(), print, duration_s=4.0) as microphone:
        assert not any(isinstance(block, Loss) for block in microphone.blocks(10))
        loss = microphone.unheard(microphone.position)
    assert loss.samples == pytest.approx(0.5 * microphone.sample_rate, rel=0.2)


def test_audio_that_waits_when_a_delayed_session_ends_counts(pulse):
    microphone = Microphone(default_device(), print)
    rate = microphone.sample_rate
    with pulse.playing(CLIPS[0]), microphone:
        for _ in microphone.blocks(10):
            if microphone.position >= rate:
                break
        assert microphone.unheard(microphone.position) is None  # no loss, just a delay
        began = time.monotonic()
        time.sleep(3.0)
        loss = microphone.unheard(microphone.position)
        passed_s = time.monotonic() - began
    assert loss.samples == pytest.approx(passed_s * rate, abs=0.3 * rate)
    assert loss.filled <= SILENCE_FOR_LOSS_S * rate


def test_a_duration_may_end_while_the_device_is_away(pulse):
    said, losses = [], []
    microphone = Microphone(default_device(), said.append, duration_s=4.0)
    rate = microphone.sample_rate
    with microphone:
        is_away = False
        for block in microphone.blocks(10):
            if microphone.position > rate and not is_away:
                pulse.unplug()
                is_away = True
            if isinstance(block, Loss):
                losses.append(block)
        assert microphone.unheard(microphone.position) is None
    (loss,) = losses
    assert microphone.position == 4 * rate
    assert 2.5 * rate < loss.samples < 3.1 * rate
    assert any("is gone" in line for line in said)


def test_a_device_that_does_not_open_is_a_failure_with_advice(pulse):
    device = default_device()
    pulse.unplug()
    with pytest.raises(RunFailure) as caught, Microphone(device, print):
        pass
    assert caught.value.exit_code == 1
    assert "cannot open default (ALSA)" in str(caught.value)
    assert "\n" not in str(caught.value)
