"""A microphone at the command line, and the screen beside it: keys, faults, and the replay."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.sound.source import MAX_LAG_S, SILENCE_FOR_LOSS_S
from tests.helpers.command import COMMAND, EMOTIONS, complaint, lines, replay, ser_live
from tests.helpers.places import CLIPS, ROOT

SAD = CLIPS[3]


def until(is_true, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Listening:
    """``ser-live listen`` as a process whose JSON lines go to a file."""

    def __init__(self, folder, *arguments):
        self.output, self.record = folder / "out.jsonl", folder / "heard.wav"
        options = ["--format", "jsonl", "--output", self.output, "--record", self.record]
        self.process = subprocess.Popen(
            [*COMMAND, "listen", *map(str, options), *arguments],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )

    def hears(self, seconds=0.04):
        """Wait until so much of the stream has been estimated."""

        def is_heard():
            assert self.process.poll() is None, self.process.stderr.read()
            return self.heard_s() >= seconds

        until(is_heard)

    def heard_s(self):
        """How much of the stream has been estimated so far."""
        return max((event["time"] for event in of_type("estimate", self.events())), default=0.0)

    def events(self):
        text = self.output.read_text() if self.output.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def finish(self, number=None):
        """Exit code and stderr, once it has ended."""
        if number is not None:
            self.process.send_signal(number)
        _, err = self.process.communicate(timeout=40)
        return self.process.returncode, err


@pytest.fixture
def listen(tmp_path):
    started = []

    def start(*arguments):
        started.append(Listening(tmp_path, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def of_type(kind, events):
    return [event for event in events if event["type"] == kind]


def results(events):
    keys = ("time", "label", "probabilities", "speech")
    return [[event[key] for key in keys] for event in of_type("estimate", events)]


def test_a_sad_recording_is_heard_as_sad(pulse, listen):
    """Its label is what it is called and what a replay of the file itself says."""
    (*_, end) = lines(replay(SAD))
    assert end["overall"] == "sad"
    with pulse.playing(SAD):
        live = listen("--duration", "6", "--prior", "balanced")
        assert live.finish()[0] == 0
    (*_, end) = live.events()
    assert end["overall"] == "sad"
    emotions = {name: end["summary"][name] for name in EMOTIONS}
    assert max(emotions, key=emotions.get) == "sad"


def test_what_was_heard_replays_to_the_same_lines_gap_and_all(pulse, listen):
    with pulse.playing(SAD):
        live = listen("--duration", "8")
        live.hears(1.5)
        live.process.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        live.process.send_signal(signal.SIGCONT)
        code, err = live.finish()
    assert code == 0, err
    rate = live.events()[0]["sample_rate"]
    lost = sum(event["lost_samples"] for event in live.events() if event["type"] == "gap")
    assert 0.5 * rate < lost < 3 * rate
    assert live.events()[0]["prior"] == "everyday"
    again = lines(replay(live.record, "--prior", "everyday"))
    pairs = zip(results(again), results(live.events()), strict=True)
    for (*moment, shares, speech), (*other, live_shares, live_speech) in pairs:
        assert moment == other
        assert shares == pytest.approx(live_shares, abs=2e-6)  # many timesteps at once
        assert speech == pytest.approx(live_speech, abs=2e-6)
    end, live_end = again[-1], live.events()[-1]
    assert end.pop("probabilities") == pytest.approx(live_end.pop("probabilities"), abs=2e-6)
    assert end == live_end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_time_without_a_device_counts_though_it_never_came_back(pulse, listen, number):
    live = listen()
    live.hears(0.4)
    pulse.unplug()
    gone = time.monotonic()
    until(lambda: "gone" in live.process.stderr.readline())
    time.sleep(1.0)
    away_s = time.monotonic() - gone
    code, _ = live.finish(number)
    assert code == 128 + number
    *_, gap, _end = [event for event in live.events() if event["type"] in ("gap", "end")]
    end = live.events()[-1]
    rate = live.events()[0]["sample_rate"]
    assert gap["reason"] == "the device was gone"
    assert gap["lost_samples"] / rate == pytest.approx(away_s, abs=0.5)
    heard_s = gap["time"]
    assert end["duration"] == pytest.approx(heard_s + gap["lost_samples"] / rate, abs=1e-4)


def test_a_stopped_process_catches_up(pulse, listen):
    with pulse.playing(SAD):
        live = listen()
        live.hears()
        time.sleep(1.5)
        live.process.send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        live.process.send_signal(signal.SIGCONT)
        time.sleep(3.0)
        code, err = live.finish(signal.SIGINT)
    assert code == 130
    assert "gone" not in err
    events = live.events()
    times = [event["time"] for event in of_type("estimate", events)]
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-5)  # nothing beyond 3 s was lost
    latencies = [event["latency_ms"] for event in of_type("estimate", events)]
    latencies = [latency_ms for latency_ms in latencies if latency_ms is not None]  # not lost
    assert max(latencies) > 2000
    assert max(latencies[-25:]) < 1000 * MAX_LAG_S + 1000
    rate, end = events[0]["sample_rate"], events[-1]
    assert end["type"] == "end"
    # The recording has the silence in place of what was lost, and perhaps the block that the
    # signal kept from the network.
    assert soundfile.info(live.record).frames == pytest.approx(
        end["duration"] * rate, abs=rate / 50
    )
    lost = sum(event["lost_samples"] for event in of_type("gap", events))
    assert lost < 3 * rate
    started = 0.2 * rate  # of the 1.5 + 3 + 3 s
    assert end["duration"] * rate > 7.5 * rate - started


#: Of every half second, in which a starved process runs for the rest: a tenth of a core.
STOPPED_S = 0.45


def starve(process, cycles):
    for _ in range(cycles):
        process.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED_S)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.05)


def test_a_starved_program_stays_up_says_how_late_it_is_and_recovers(pulse, listen):
    with pulse.playing(SAD):
        live = listen()
        live.hears(1.5)
        began_s = live.heard_s()
        starve(live.process, cycles=5)
        ended_s = live.heard_s()
        live.hears(ended_s + 2.5)
        code, err = live.finish(signal.SIGINT)
    assert (code, err) == (130, "")
    events = live.events()
    rate, end, estimates = events[0]["sample_rate"], events[-1], of_type("estimate", events)
    times = [event["time"] for event in estimates]
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-5)
    assert len(estimates) == end["estimates"] == int(end["duration"] / 0.04 + 1e-6)
    lost = sum(event["lost_samples"] for event in of_type("gap", events))
    missing = sum(event["latency_ms"] is None for event in estimates)
    assert missing >= lost / rate / 0.04 - 1
    # The block that the signal kept from the network may be in the recording.
    assert soundfile.info(live.record).frames == pytest.approx(
        end["duration"] * rate, abs=rate / 50
    )

    def latencies_ms(first_s, last_s):
        return [
            event["latency_ms"]
            for event in estimates
            if first_s < event["time"] <= last_s and event["latency_ms"] is not None
        ]

    assert max(latencies_ms(began_s, ended_s)) > 1000 * STOPPED_S  # it does not hide it
    assert np.median(latencies_ms(times[-1] - 1.0, times[-1])) < 1000 * MAX_LAG_S


def test_an_unplugged_microphone_is_waited_for_and_taken_again_at_another_rate(pulse, listen):
    live = listen("--duration", "9")
    live.hears()
    pulse.unplug()
    time.sleep(1.5)
    assert live.process.poll() is None
    pulse.plug(rate=16_000, channels=1)
    with pulse.playing(SAD):
        code, err = live.finish()
    assert code == 0, err
    assert "is gone; waiting" in err
    assert "is back" in err
    events = live.events()
    rate = events[0]["sample_rate"]
    (gap,) = of_type("gap", events)
    assert gap["lost_samples"] > 1.4 * rate
    after = [e for e in of_type("estimate", events) if e["time"] > gap["time"]]
    assert {event["label"] for event in after}.intersection(EMOTIONS)
    assert 0 < np.median([event["latency_ms"] for event in after[-50:]]) < 1000
    assert events[-1]["duration"] == 9.0
    left_out = max(0, gap["lost_samples"] - SILENCE_FOR_LOSS_S * rate)
    assert soundfile.info(live.record).frames + left_out == pytest.approx(9 * rate, abs=1)


def test_no_reconnect_ends_with_a_failure(pulse, listen):
    live = listen("--no-reconnect")
    live.hears(0.4)
    pulse.unplug()
    code, err = live.finish()
    assert code == 1
    assert err.splitlines()[-1] == "ser-live: default (ALSA) is gone"
    end = live.events()[-1]
    assert end["type"] == "end"
    assert soundfile.info(live.record).duration == pytest.approx(end["duration"], abs=1e-4)


@pytest.mark.usefixtures("pulse")
def test_digital_silence_is_said_once_and_ctrl_c_ends_the_lines(listen):
    live = listen()
    live.hears(3.0)
    code, err = live.finish(signal.SIGINT)
    assert code == 130
    (line,) = err.splitlines()
    assert line.startswith("ser-live: digital silence")
    session, *estimates, end = live.events()
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
        result = ser_live("listen", "--duration", "3")
    assert result.returncode == 0
    assert result.stderr.count(b"clipping") == 1


@pytest.mark.usefixtures("pulse")
def test_a_killed_process_leaves_a_recording_and_whole_lines(listen):
    live = listen()
    live.hears(2.5)
    live.finish(signal.SIGKILL)
    assert soundfile.info(live.record).duration > 1.0
    written = live.output.read_text()
    assert written.endswith("}\n")
    session, *estimates = map(json.loads, written.splitlines())
    assert session["type"] == "session"
    assert {event["type"] for event in estimates} == {"estimate"}
    assert estimates[-1]["time"] >= 2.5


@pytest.mark.usefixtures("pulse")
def test_plain_lines_name_the_device():
    result = ser_live("listen", "--duration", "0.4", "--device", "default")
    first, *estimates, last = result.stdout.decode().splitlines()
    assert result.returncode == 0
    assert first.startswith("# default (ALSA): 44100 Hz")
    assert len(estimates) == 10
    assert last.startswith("# 0.40 s: no speech overall")


@pytest.mark.usefixtures("pulse")
def test_each_channel_of_a_microphone_can_be_a_stream(tmp_path):
    options = ("--duration", "0.4", "--format", "jsonl")
    result = ser_live("listen", *options, "--channels", "split")
    assert result.returncode == 0, result.stderr
    for number in (1, 2):
        own = [line for line in lines(result) if line["channel"] == number]
        assert [line["type"] for line in own] == ["session", *["estimate"] * 10, "end"]
    refused = ser_live("listen", *options, "--channels", "split", "--record", tmp_path / "x.wav")
    assert refused.returncode == 2
    assert "--record keeps one channel" in complaint(refused)


@pytest.mark.usefixtures("pulse")
def test_devices_are_listed_with_the_default_and_rates():
    result = ser_live("devices")
    assert (result.returncode, result.stderr) == (0, b"")
    (default,) = [line for line in result.stdout.decode().splitlines() if line.startswith("*")]
    assert "default (ALSA): 44100 Hz, 2 channels; accepts" in default
    assert "48000" in default
    assert "-  speaker.monitor (sound server): 48000 Hz, 2 channels" in result.stdout.decode()


def test_what_the_computer_plays_is_heard_by_the_name_of_its_source(pulse, listen):
    """The default microphone is another one, and hears nothing."""
    with pulse.another_microphone(), pulse.playing(SAD):
        deaf = listen("--duration", "2")
        assert deaf.finish()[0] == 0
        assert max(event["speech"] for event in of_type("estimate", deaf.events())) < 0.5
    with pulse.another_microphone(), pulse.playing(SAD):
        output = deaf.output.with_name("monitor.jsonl")
        result = ser_live(
            "listen", "--device", "speaker.monitor", "--duration", "6", "--output", output
        )
        assert result.returncode == 0, result.stderr
    heard = [json.loads(line) for line in output.read_text().splitlines()]
    assert heard[0]["source"] == "speaker.monitor (sound server)"
    assert max(event["speech"] for event in of_type("estimate", heard)) > 0.5


@pytest.mark.usefixtures("pulse")
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--device", "webcam"], "ser-live devices"),
        (["--device", "99"], "ser-live devices"),
        (["--device", "ul"], "pulse (ALSA)"),  # default and pulse
        (["--record", "/nowhere/x.wav"], "cannot write"),
        (["--record", "x.mp3"], ".wav"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments, word):
    result = ser_live("listen", *arguments)
    assert (result.returncode, result.stdout) == (2, b"")
    assert word in complaint(result)


def test_the_screen_records_loses_its_device_and_is_put_back(pulse, terminal, tmp_path):
    with pulse.playing(SAD):
        seen = terminal("listen", cwd=tmp_path, size=(120, 40))
        seen.wait_for("default (ALSA)", "● speech", "overflows 0", "44.1 kHz")
        seen.press("r")
        seen.wait_for("REC", "recording to ser-live-")
        time.sleep(1.5)
        seen.press("s")
        seen.wait_for("wrote ser-live-", ".svg")
        seen.press("r")
        seen.wait_for("wrote ser-live-", ".wav", " s ", absent=["REC"])
    (recording,) = tmp_path.glob("ser-live-*.wav")
    assert soundfile.info(recording).duration > 1.0
    (picture,) = tmp_path.glob("ser-live-*.svg")
    assert "REC" in picture.read_text()
    pulse.unplug()
    seen.wait_for("NO DEVICE", "○ nothing", absent=["● speech"])
    pulse.plug()
    seen.wait_for("gaps 1", absent=["NO DEVICE"])
    seen.press("q")
    code, stderr = seen.finish()
    assert code == 0
    assert f"recording to {recording.name}" in stderr
    assert "is back" in stderr
    seen.assert_put_back()


@pytest.mark.parametrize("source", ["microphone", "recording"])
def test_a_closed_window_ends_the_session_and_keeps_what_was_written(
    request, terminal, tmp_path, source
):
    """SIGHUP, and neither stdout nor stderr can be written any more."""
    output = tmp_path / "out.jsonl"
    if source == "microphone":
        request.getfixturevalue("pulse")
        arguments = ["listen"]
    else:
        arguments = ["replay", *[CLIPS[0]] * 10]
    seen = terminal(*arguments, "--output", output, shows_errors=True)
    seen.wait_for("gaps 0")
    seen.hang_up()
    assert seen.process.wait(timeout=30) == 129
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert written[-1]["type"] == "end"


@pytest.mark.skipif(Path("/dev/snd/seq").exists(), reason="this machine has a sound card")
def test_a_system_without_a_microphone_is_one_line_and_exit_1():
    alone = {"ALSA_CONFIG_PATH": "/usr/share/alsa/alsa.conf", "PULSE_SERVER": "unix:/nowhere"}
    for command in ("devices", "listen"):
        result = ser_live(command, environment=alone)
        assert (result.returncode, result.stdout) == (1, b"")
        assert "no input device" in complaint(result)
        assert complaint(result).endswith("input; ser-live demo needs no microphone\n")
    result = ser_live("enrol", "me.profile", environment=alone)
    assert result.returncode == 1
    told = "input; ser-live enrol me.profile FILE... takes recordings of the voice\n"
    assert complaint(result).endswith(told)


def test_missing_portaudio_is_one_line_and_exit_1():
    code = (
        "import ctypes.util; ctypes.util.find_library = lambda name: None;"
        "import sys; sys.argv[1:] = ['listen']; from streamer.commands.program import run; run()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "PortAudio" in result.stderr
    assert "ser-live demo" in result.stderr
