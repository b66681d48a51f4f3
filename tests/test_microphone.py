"""The microphone, through a real PortAudio stream on PulseAudio's virtual speaker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.arguments import parse
from streamer.audio import Loss, Recording
from streamer.errors import RunFailure
from streamer.events import Estimated, Gap
from streamer.interrupts import Interrupts
from streamer.microphone import MAX_LAG_S, SILENCE_FOR_LOSS_S, Microphone
from streamer.recorder import Recorder
from streamer.session import Pace, run_session
from tests.conftest import CLIPS
from tests.pulse import pulse, sound_server

__all__ = ["pulse", "sound_server"]  # fixtures

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-c", "from streamer.cli import run; run()"]
EMOTIONS = {"angry", "happy", "neutral", "sad"}


def start(*arguments, environment=None):
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ser_live(*arguments, environment=None):
    """Exit code, stdout and stderr."""
    process = start(*arguments, environment=environment)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


def parsed(text):
    return [json.loads(line) for line in text.splitlines()]


def of_type(kind, events):
    return [event for event in events if event["type"] == kind]


@contextmanager
def listening(tmp_path, *arguments):
    """``ser-live listen`` that hears already, and the file its JSON lines go to."""
    output = tmp_path / "out.jsonl"
    process = start("listen", "--format", "jsonl", "--output", output, *arguments)
    try:
        until(lambda: "estimate" in content(output))
        yield process, output
    finally:
        process.kill()
        process.communicate()


def content(path):
    return path.read_text() if path.exists() else ""


def until(is_true, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Collect:
    def __init__(self):
        self.events = []

    def take(self, event):
        self.events.append(event)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def default_device():
    from streamer.devices import find_device, input_devices, rescan

    rescan()  # the server of an earlier module may be gone
    return find_device(None, input_devices())


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_speech_is_heard_and_the_recording_replays_to_the_same_labels(
    pulse, shipped, tmp_path, rate
):
    live, again, path = Collect(), Collect(), tmp_path / "heard.wav"
    microphone = Microphone(default_device(), print, duration_s=4.0, sample_rate=rate)
    recorder = Recorder(microphone, print, path, force=False)
    with pulse.playing(CLIPS[0]), recorder, microphone:
        run_session(
            recorder, shipped, [live], clock=microphone, block_ms=10, interrupts=Interrupts()
        )
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
    # Devices date their blocks to a few blocks at best.
    assert min(latencies) > shipped.metadata.look_ahead_ms - 50
    assert 0 < np.median(latencies) < 1000


def test_a_consumer_that_is_held_up_loses_the_oldest_and_is_told_exactly(pulse):
    microphone = Microphone(default_device(), print)
    rate = microphone.sample_rate
    heard = silence = lost = 0
    is_held_up, filled = False, 0
    with pulse.playing(CLIPS[0]), microphone:
        for block in microphone.blocks(10):
            if isinstance(block, Loss):
                lost, filled = lost + block.samples, block.filled
                assert "waited" in block.reason
            elif filled:
                assert len(block) == filled
                assert not block.any()
                silence, filled = silence + filled, 0
            else:
                heard += len(block)
            if not is_held_up and heard > rate:
                time.sleep(3.0)
                is_held_up = True
            if is_held_up and heard > 2.5 * rate:
                break
            waiting = microphone.captured - microphone.position
            assert waiting < (MAX_LAG_S + 3.5) * rate
    assert lost == pytest.approx(2 * rate, abs=0.5 * rate)
    assert silence == lost <= SILENCE_FOR_LOSS_S * rate
    assert heard + lost == microphone.position
    assert heard + lost + microphone._ring.waiting == microphone.captured
    assert microphone.lost == lost


def test_the_duration_holds_though_audio_was_lost(pulse):
    """The end lies in the stretch that is lost."""
    microphone = Microphone(default_device(), print, duration_s=2.0)
    total = 0
    with pulse.playing(CLIPS[0]), microphone:
        for block in microphone.blocks(10):
            total += block.samples - block.filled if isinstance(block, Loss) else len(block)
            if microphone.position == 0.5 * microphone.sample_rate:
                time.sleep(3.0)
    assert total == microphone.position == 2 * microphone.sample_rate
    assert microphone.lost > 0


class Leaky(Microphone):
    """Its device loses half a second after the second one, without any flag."""

    def _capture(self, frames, count, dates, status):
        since_s = time.monotonic() - self.first_s if hasattr(self, "first_s") else 0.0
        self.first_s = time.monotonic() - since_s
        if not 2.0 < since_s < 2.5:
            super()._capture(frames, count, dates, status)


@pytest.mark.usefixtures("pulse")
def test_what_the_device_loses_unsaid_is_counted_too():
    losses = []
    with Leaky(default_device(), print, duration_s=6.0) as microphone:
        for block in microphone.blocks(10):
            if isinstance(block, Loss):
                losses.append(block)
        passed_s = time.monotonic() - microphone.first_s
    (loss,) = losses
    rate = microphone.sample_rate
    assert loss.samples == pytest.approx(0.5 * rate, abs=0.1 * rate)
    assert "device" in loss.reason
    assert microphone.position == 6 * rate
    assert passed_s == pytest.approx(6.0, abs=0.3)  # the wall clock agrees


def test_a_stopped_process_catches_up(pulse, tmp_path):
    record = tmp_path / "heard.wav"
    with pulse.playing(CLIPS[0]), listening(tmp_path, "--record", record) as (process, out):
        time.sleep(1.5)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        process.send_signal(signal.SIGCONT)
        time.sleep(3.0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "gone" not in err
    events = parsed(out.read_text())
    times = [event["time"] for event in of_type("estimate", events)]
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-5)  # nothing beyond 3 s was lost
    latencies = [event["latency_ms"] for event in of_type("estimate", events)]
    assert max(latencies) > 2000
    assert max(latencies[-25:]) < 1000 * MAX_LAG_S + 1000
    rate, end = events[0]["sample_rate"], events[-1]
    assert end["type"] == "end"
    # The recording has the silence in place of what was lost, and perhaps the block that the
    # signal kept from the network.
    assert soundfile.info(record).frames == pytest.approx(end["duration"] * rate, abs=rate / 50)
    lost = sum(event["lost_samples"] for event in of_type("gap", events))
    assert lost < 3 * rate
    started = 0.2 * rate  # of the 1.5 + 3 + 3 s
    assert end["duration"] * rate > 7.5 * rate - started


def test_an_unplugged_microphone_is_waited_for_and_taken_again(pulse, tmp_path):
    record = tmp_path / "heard.wav"
    with listening(tmp_path, "--record", record, "--duration", "9") as (process, out):
        pulse.unplug()
        time.sleep(1.5)
        assert process.poll() is None
        pulse.plug()
        with pulse.playing(CLIPS[0]):
            _, err = process.communicate(timeout=40)
    assert process.returncode == 0, err
    assert "is gone; waiting" in err
    assert "is back" in err
    events = parsed(out.read_text())
    rate = events[0]["sample_rate"]
    (gap,) = of_type("gap", events)
    assert gap["lost_samples"] > 1.4 * rate
    after = [e for e in of_type("estimate", events) if e["time"] > gap["time"]]
    assert {event["label"] for event in after} & EMOTIONS
    assert 0 < np.median([event["latency_ms"] for event in after[-50:]]) < 1000
    assert events[-1]["duration"] == 9.0
    left_out = max(0, gap["lost_samples"] - SILENCE_FOR_LOSS_S * rate)
    assert soundfile.info(record).frames + left_out == pytest.approx(9 * rate, abs=1)


def test_no_reconnect_ends_with_a_failure(pulse, tmp_path):
    with listening(tmp_path, "--no-reconnect") as (process, out):
        pulse.unplug()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.splitlines()[-1] == "ser-live: default (ALSA) is gone"
    assert parsed(out.read_text())[-1]["type"] == "end"


@pytest.mark.usefixtures("pulse")
def test_digital_silence_is_said_once_and_ctrl_c_ends_the_lines(tmp_path):
    with listening(tmp_path) as (process, out):
        time.sleep(3.0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    (line,) = err.splitlines()
    assert line.startswith("ser-live: digital silence")
    session, *estimates, end = parsed(out.read_text())
    assert session["type"] == "session"
    assert session["source"] == "default (ALSA)"
    assert {event["label"] for event in estimates} == {"silence"}
    assert end["type"] == "end"
    assert end["overall"] == "silence"
    assert end["estimates"] == len(estimates)


def test_clipping_is_said(pulse, tmp_path):
    loud = tmp_path / "loud.wav"
    tone = np.clip(3 * np.sin(2 * np.pi * 200 * np.arange(96_000) / 48_000), -1, 1)
    soundfile.write(loud, tone, 48_000)
    with pulse.playing(loud):
        code, _, err = ser_live("listen", "--duration", "3")
    assert code == 0
    assert err.count("clipping") == 1


@pytest.mark.usefixtures("pulse")
def test_a_killed_process_leaves_a_recording(tmp_path):
    record = tmp_path / "heard.wav"
    with listening(tmp_path, "--record", record) as (process, _):
        time.sleep(2.5)
        process.kill()
        process.wait()
    assert soundfile.info(record).duration > 1.0


@pytest.mark.usefixtures("pulse")
def test_plain_lines_name_the_device():
    code, out, _ = ser_live("listen", "--duration", "0.4", "--device", "default")
    first, *estimates, last = out.splitlines()
    assert code == 0
    assert first.startswith("# default (ALSA): 44100 Hz")
    assert len(estimates) == 10
    assert last.startswith("# 0.40 s: silence")


@pytest.mark.usefixtures("pulse")
def test_devices_are_listed_with_the_default_and_rates():
    code, out, err = ser_live("devices")
    assert (code, err) == (0, "")
    (default,) = [line for line in out.splitlines() if line.startswith("*")]
    assert "default (ALSA): 44100 Hz, 2 channels; accepts" in default
    assert "48000" in default


@pytest.mark.usefixtures("pulse")
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--device", "webcam"], "ser-live devices"),
        (["--device", "99"], "ser-live devices"),
        (["--device", "ul"], "pulse (ALSA)"),  # default and pulse
        (["--record", "/nowhere/x.wav"], "cannot write"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments, word):
    code, out, err = ser_live("listen", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert word in err


def test_a_device_that_does_not_open_is_a_failure_that_says_what_to_do(pulse):
    device = default_device()
    pulse.unplug()
    with pytest.raises(RunFailure) as caught, Microphone(device, print):
        pass
    assert caught.value.exit_code == 1
    assert "cannot open default (ALSA)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_arguments_listen():
    assert parse([]) == parse(["listen"])


@pytest.mark.skipif(Path("/dev/snd/seq").exists(), reason="this machine has a sound card")
def test_a_system_without_a_microphone_is_one_line_and_exit_1():
    alone = {"ALSA_CONFIG_PATH": "/usr/share/alsa/alsa.conf", "PULSE_SERVER": "unix:/nowhere"}
    for command in ("devices", "listen"):
        code, out, err = ser_live(command, environment=alone)
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
        assert "no input device" in err


def test_missing_portaudio_is_one_line_and_exit_1():
    code = (
        "import ctypes.util; ctypes.util.find_library = lambda name: None;"
        "import sys; sys.argv[1:] = ['listen']; from streamer.cli import run; run()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "PortAudio" in result.stderr
