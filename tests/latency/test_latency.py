"""Latency of a label: its terms, the reactions to known audio, and the output."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr

from streamer import plotting as figures
from streamer.bundled import bundled
from streamer.commands.demo.parts import DEMO_PARTS, DEMO_S
from streamer.commands.latency import live, plot, probe, stopwatch, streams
from streamer.commands.latency.live import DatedMicrophone, Repeated, live_cost, run_probed
from streamer.commands.latency.measure import SETTLING_S, Findings, LatencyPlan
from streamer.commands.latency.probe import MEASURED_TERMS, Arrival, Probe
from streamer.commands.latency.process import Process
from streamer.commands.latency.reactions import (
    Passage,
    demo_changes,
    reactions,
    sound_begins,
)
from streamer.commands.latency.spread import Spread
from streamer.commands.latency.stopped import measure_stopped, read_timesteps
from streamer.commands.latency.stopwatch import PARTS, Stopwatch, TimedRecognizer
from streamer.commands.latency.streams import StreamsCost, measure_streams
from streamer.commands.latency.tables import live_text, process_text, stopped_text, streams_text
from streamer.errors import RunFailure, SerLiveError
from streamer.recognition.decision import Verdict
from streamer.recognition.estimate import Estimate
from streamer.session.events import AudioBlock, Estimated, Gap
from streamer.session.interrupts import Interrupts
from streamer.sound.capture import microphone
from streamer.sound.capture.devices import Device
from streamer.sound.files.recording import Recording, read_recording
from streamer.sound.resampler import resampler_look_ahead_s

DEMO = bundled("demo.flac")


class StoppedClock:
    """A clock that only the audio advances."""

    now_s = 0.0

    def wait_until(self, stream_s, _block_s):
        self.now_s = stream_s

    def latency_ms(self, time_s):
        return 1000.0 * (self.now_s - time_s)


@pytest.fixture(scope="module")
def timed():
    return TimedRecognizer.load()


def followed(source, recognizer):
    one = Probe(
        StoppedClock(), recognizer.metadata, recognizer.stopwatch, lambda _: Arrival(0.0, 0.0)
    )
    run_probed(source, recognizer, one, Interrupts())
    return one


@pytest.fixture(scope="module")
def demo(timed):
    """Run the demo twice, with its first seconds."""
    source = Repeated(DEMO, 2 * DEMO_S)
    return source, followed(source, timed)


@pytest.fixture
def time_by_hand(monkeypatch):
    """A wall clock that the test advances."""
    hand = SimpleNamespace(now_s=100.0)
    clock = SimpleNamespace(
        monotonic=lambda: hand.now_s, perf_counter=lambda: hand.now_s, process_time=lambda: 0.0
    )
    for module in (probe, stopwatch):
        monkeypatch.setattr(module, "time", clock)
    return hand


class ByHand:
    """A session in which every delay is known, in ms."""

    def __init__(self, hand, metadata):
        self.hand, self.began_s = hand, hand.now_s
        self.spent = dict.fromkeys(PARTS, 0.0)
        watch = SimpleNamespace(lap=lambda: dict(self.spent))
        self.arrival = Arrival(age_ms=1.0, waited_ms=2.0)
        self.probe = Probe(self, metadata, watch, lambda _: self.arrival)

    def wait_until(self, stream_s, _block_s):
        """The block comes 1 ms old and waits for 2 ms."""
        self.hand.now_s = self.began_s + stream_s + 0.003

    def latency_ms(self, time_s):
        return 1000.0 * (self.hand.now_s - self.began_s - time_s)

    def pass_ms(self, duration_ms):
        self.hand.now_s += duration_ms / 1000.0

    def hear(self, end_s, compute_ms, overflows=0):
        self.probe.wait_until(end_s, 0.01)
        self.pass_ms(compute_ms)
        samples = np.ones(160, np.float32)
        self.probe.hear(AudioBlock(samples, 16_000, 0, overflows, compute_ms / 1000.0))

    def lose(self, time_s, samples):
        self.probe.take(Gap(time_s, samples, "the device lost it"))
        self.probe.hear(AudioBlock(np.zeros(samples, np.float32), 16_000, 0, 0, 0.0))

    def estimate(self, time_s, latency_ms=1.0):
        estimate = Estimate(time_s, "sad", np.ones(4), 1.0, np.ones(1))
        self.probe.take(Estimated(estimate, latency_ms))


def test_every_delay_is_in_its_term_and_the_remainder_in_the_rest(time_by_hand, shipped):
    by_hand = ByHand(time_by_hand, shipped.metadata)
    by_hand.hear(3.01, 0.0)
    by_hand.hear(3.02, 0.0)  # has the last needed sample, 3.015 s; the rest is the resampler's
    by_hand.spent = {"front end": 0.5, "VAD": 0.25, "network": 2.0, "decision": 0.125}
    by_hand.hear(3.05, 4.0)
    by_hand.pass_ms(0.75)
    by_hand.estimate(3.015 - shipped.metadata.look_ahead_ms / 1000.0)
    passage = by_hand.probe.passage()
    assert {name: values.item() for name, values in passage.terms_ms.items()} == pytest.approx(
        {
            "framing": 15.0,
            "look-ahead": shipped.metadata.look_ahead_ms - 15.0,
            "block": 5.0,
            "capture buffer": 1.0,
            "resampler": 30.0,
            "queueing": 2.0,
            **by_hand.spent,
            "output": 0.75,
        }
    )
    assert passage.rest_ms.item() == pytest.approx(4.0 - 2.875)
    whole_ms = shipped.metadata.look_ahead_ms + 35.0 + 3.0 + 4.0 + 0.75
    assert passage.end_to_end_ms.item() == pytest.approx(whole_ms)


def test_a_wait_without_a_time_from_the_device_is_in_the_rest(time_by_hand, shipped):
    by_hand = ByHand(time_by_hand, shipped.metadata)
    by_hand.arrival = Arrival(age_ms=1.0, waited_ms=0.5)
    by_hand.hear(3.0, 0.0)
    by_hand.estimate(2.8)
    assert by_hand.probe.passage().rest_ms.item() == pytest.approx(1.5)


def test_a_block_of_the_microphone_waits_from_its_own_callback_on(monkeypatch):
    hand = SimpleNamespace(now_s=100.0)
    for module in (live, microphone):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: hand.now_s))
    dated = DatedMicrophone(Device(0, "webcam", "ALSA", 16_000, 1, True), print, duration_s=9.0)
    for age_s in (0.004, 0.006):
        dates = SimpleNamespace(currentTime=5.01 + age_s, inputBufferAdcTime=5.0)
        status = SimpleNamespace(input_overflow=False)
        dated._capture(np.zeros((160, 1), np.float32), 160, dates, status)
        hand.now_s += 0.01
    assert dated.arrival(0.005) == pytest.approx((9.0, 20.0))
    assert dated.arrival(0.01) == pytest.approx((4.0, 20.0))
    assert dated.arrival(0.02) == pytest.approx((6.0, 10.0))
    assert dated.arrival(0.03) == pytest.approx((6.0, 0.0))  # its callback has not ended


def test_lost_or_flushed_audio_has_no_latency(time_by_hand, shipped):
    by_hand = ByHand(time_by_hand, shipped.metadata)
    by_hand.hear(1.0, 0.0)
    by_hand.estimate(0.96)  # its look-ahead never came
    by_hand.lose(1.0, 8_000)
    by_hand.estimate(0.88)  # its look-ahead is silence
    by_hand.hear(1.52, 0.0)
    by_hand.estimate(1.24, latency_ms=None)  # of silence in place of the lost audio
    assert by_hand.probe.passage().labels == ()
    by_hand.hear(2.5, 0.0)
    by_hand.estimate(2.2)
    assert len(by_hand.probe.passage().labels) == 1
    np.testing.assert_allclose(by_hand.probe.levels()[0], [0.0, 1.0, 1.5, 1.52])


def test_a_step_that_takes_longer_than_40_ms_is_a_deadline_miss(time_by_hand, shipped):
    by_hand = ByHand(time_by_hand, shipped.metadata)
    for end_s, compute_ms in ((SETTLING_S, 1.0), (3.0, 39.0), (3.04, 41.0), (3.08, 1.0)):
        by_hand.hear(end_s, compute_ms)
        by_hand.estimate(end_s - 0.5)
    assert by_hand.probe.load().deadline_misses == 1


def test_nothing_counts_before_the_session_has_settled(time_by_hand, shipped):
    by_hand = ByHand(time_by_hand, shipped.metadata)
    by_hand.hear(1.0, 1.0, overflows=2)
    by_hand.lose(1.0, 800)
    by_hand.hear(SETTLING_S, 1.0, overflows=3)
    by_hand.hear(SETTLING_S + 0.1, 41.0, overflows=3)
    by_hand.estimate(SETTLING_S - 0.08)  # late, but the timestep does not count
    load = by_hand.probe.load()
    assert (load.overflows, load.lost_samples, load.deadline_misses) == (0, 0, 0)
    by_hand.lose(SETTLING_S + 0.1, 1_600)
    by_hand.hear(SETTLING_S + 0.5, 41.0, overflows=5)
    by_hand.estimate(SETTLING_S + 0.28)
    load = by_hand.probe.load()
    assert (load.overflows, load.lost_samples, load.deadline_misses) == (2, 1_600, 1)
    assert len(by_hand.probe.passage().after(SETTLING_S).labels) == 1


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_with_a_stopped_clock_only_waiting_for_sound_counts(timed, tmp_path, speech, rate):
    path = tmp_path / "speech.wav"
    soundfile.write(path, soxr.resample(speech[:48_000], 16_000, rate), rate)
    with Recording(path) as recording:
        passage = followed(recording, timed).passage()
    waiting = sum(
        passage.terms_ms[name] for name in ("framing", "look-ahead", "block", "resampler")
    )
    np.testing.assert_allclose(passage.end_to_end_ms, waiting, atol=1e-6)
    bound_ms = 1000.0 * resampler_look_ahead_s(rate)
    assert (passage.terms_ms["block"] >= -1e-3).all()
    assert (passage.terms_ms["block"] <= 10.0).all()
    assert (passage.terms_ms["resampler"] <= bound_ms + 10.0).all()
    assert (passage.terms_ms["resampler"].max() > 0) == (rate != 16_000)
    owed = -(-(timed.metadata.look_ahead_ms + bound_ms) // 40)
    assert len(passage.labels) >= 3.0 / 0.04 - owed - 1


def test_a_nested_part_is_not_counted_twice(time_by_hand):
    watch = Stopwatch()

    def pass_s(seconds):
        time_by_hand.now_s += seconds

    gate = watch.timed("VAD", lambda: pass_s(0.25))

    def analyse():
        pass_s(0.5)
        gate()

    watch.timed("front end", analyse)()
    assert watch.lap() == {"front end": 500.0, "VAD": 250.0, "network": 0.0, "decision": 0.0}
    assert not any(watch.lap().values())


def test_a_timed_recognizer_hears_the_same(timed, shipped, speech):
    timed.stopwatch.lap()
    ours, theirs = timed.stream().accept(speech[:32_000]), shipped.stream().accept(speech[:32_000])
    assert [one.label for one in ours] == [one.label for one in theirs]
    np.testing.assert_array_equal(
        [one.probabilities for one in ours], [one.probabilities for one in theirs]
    )
    assert min(timed.stopwatch.lap().values()) > 0


def test_a_repeated_recording_repeats_its_samples(tmp_path, speech):
    path = tmp_path / "short.wav"
    soundfile.write(path, speech[:1_234], 16_000, subtype="FLOAT")
    heard = np.concatenate(list(Repeated(path, 0.2).blocks(10)))
    np.testing.assert_array_equal(heard, np.resize(speech[:1_234], 3_200))


def passage_of(labels, end_to_end_ms=200.0):
    times = 0.04 * np.arange(1, len(labels) + 1)
    return Passage(times, tuple(labels), np.full(len(labels), end_to_end_ms), {})


def test_speech_is_noticed_where_the_label_leaves_silence():
    passage = passage_of(["silence"] * 10 + ["warming up"] * 5 + ["sad"] * 5)
    found = reactions(passage, [0.38], [])
    assert found.to_speech_ms == pytest.approx([200.0 + 440.0 - 380.0])
    assert reactions(passage, [0.5], []).to_speech_ms == ()  # there was no silence before


def test_a_change_of_emotion_counts_from_the_first_sound_of_the_new_one():
    passage = passage_of(["sad"] * 20 + ["uncertain"] * 10 + ["angry"] * 10 + ["happy"] * 10)
    changes = [(0.7, "angry"), (1.5, "neutral"), (1.64, "happy"), (1.9, "sad"), (2.1, "angry")]
    found = reactions(passage, [0.9], changes)
    assert found.to_emotion_ms == pytest.approx([200.0 + 1240.0 - 900.0, 200.0 + 1640.0 - 1640.0])
    assert found.changes == 3  # `neutral` was never named, `sad` not heard to its end
    named_already = [(1.3, "angry"), (1.5, "happy")]
    assert reactions(passage, [], named_already).changes == 0


def test_labels_during_the_warm_up_are_not_reactions():
    passage = passage_of((["silence"] * 10 + ["sad"] * 15) * 2 + ["angry"] * 10)
    changes = [(0.4, "sad"), (1.2, "happy"), (2.0, "angry"), (2.4, "neutral")]
    whole = reactions(passage, [0.38, 1.38], changes)
    assert (len(whole.to_speech_ms), whole.changes) == (2, 3)
    late = reactions(passage, [0.38, 1.38], changes, since_s=1.38)
    assert late.to_speech_ms == whole.to_speech_ms[1:]
    assert (late.to_emotion_ms, late.changes) == (whole.to_emotion_ms[1:], 2)


def test_sound_begins_after_a_pause_and_stays():
    levels = np.full(300, 0.001)
    levels[100:150] = levels[160:200] = 0.1  # a gap of 0.1 s is not a pause
    levels[240] = 0.1  # a click
    assert sound_begins(0.01 * np.arange(300), levels) == [1.0]
    assert sound_begins(np.zeros(0), np.zeros(0)) == []


def test_the_parts_of_the_demo_are_at_their_stated_times(shipped):
    samples = read_recording(DEMO)
    assert len(samples) == round(DEMO_S * 16_000)
    levels = np.sqrt((samples[: len(samples) // 160 * 160].reshape(-1, 160) ** 2).mean(axis=1))
    sounds = sound_begins(0.01 * np.arange(len(levels)), levels)
    ends = [*(begin for begin, _ in DEMO_PARTS[1:]), DEMO_S]
    estimates = shipped.stream().accept(samples)
    metadata = shipped.metadata
    assert len(sounds) == len(DEMO_PARTS)
    for sound, (begin, emotion), end in zip(sounds, DEMO_PARTS, ends, strict=True):
        assert begin < sound < end
        verdict = Verdict(metadata.labels, metadata.window_timesteps, metadata.decision.speech_on)
        for one in estimates:
            if sound < one.time < end:
                verdict.add(one.probabilities, one.speech)
        assert verdict.overall == emotion


def test_the_changes_of_the_demo_go_on_when_it_is_repeated():
    changes = demo_changes(1.5 * DEMO_S)
    assert [emotion for _, emotion in changes[:5]] == ["angry", "sad", "happy", "neutral", "angry"]
    assert changes[3][0] == pytest.approx(DEMO_S)
    assert changes[-1][0] > 1.5 * DEMO_S


def test_a_session_of_the_demo_is_reported_in_full(demo):
    source, one = demo
    cost = live_cost(source, one, demo_changes(2 * DEMO_S))
    assert list(cost.terms_ms) == ["framing", "look-ahead", *MEASURED_TERMS]
    assert cost.estimates == pytest.approx((2 * DEMO_S - SETTLING_S) / 0.04, abs=6)
    assert len(cost.reactions.to_speech_ms) >= 4
    assert 3 <= len(cost.reactions.to_emotion_ms) <= cost.reactions.changes <= 6
    assert cost.load.audio_s == pytest.approx(2 * DEMO_S - SETTLING_S, abs=0.02)
    assert cost.load.real_time_factor > 0


def test_memory_is_reported_only_if_the_measurement_itself_does_not_grow(demo, timed):
    stopped = measure_stopped(timed, read_timesteps(DEMO, 2.0), 1.0)
    assert "memory" not in live_text(live_cost(*demo))
    assert "memory" in stopped_text(stopped, timed.metadata.look_ahead_ms)


def test_a_session_that_ends_before_it_has_settled_has_no_result(timed):
    source = Repeated(DEMO, 1.0)
    assert live_cost(source, followed(source, timed)) is None


def test_the_output_fits_80_columns(demo, timed):
    source, one = demo
    timesteps = read_timesteps(DEMO, 2.0)
    texts = [
        live_text(live_cost(source, one, demo_changes(2 * DEMO_S))),
        live_text(live_cost(source, one)),
        stopped_text(measure_stopped(timed, timesteps, 1.0), timed.metadata.look_ahead_ms),
        streams_text(measure_streams(timed, timesteps.ravel(), 3, 1.0)),
        process_text(Process(300.0, 1.5, {"processor": "A" * 50, "versions": "B" * 60})),
    ]
    assert "real-time factor at the pace of the clock" in texts[0]
    assert "clock stopped" in texts[2]
    for text in texts:
        assert max(map(len, text.splitlines())) <= 80, text


def steady(streams, steps, each_ms):
    return StreamsCost(streams, steps, Spread.of(np.full(steps, each_ms * streams)), 0, 0.1)


@pytest.mark.parametrize(
    ("each_ms", "least", "most"),
    [(0.1, 380, 399), (0.9, 42, 44), (30.0, 1, 1), (40.0, 0, 0), (50.0, 0, 0), (4_000.0, 0, 0)],
)
def test_the_most_streams_are_searched_for(monkeypatch, shipped, speech, each_ms, least, most):
    def pretended(_recognizer, _samples, streams, seconds):
        assert seconds >= 200 * 0.04  # else the p99 is the greatest but one
        return steady(streams, 200, each_ms)

    monkeypatch.setattr(streams, "measure_streams", pretended)
    assert least <= streams.most_streams(shipped, speech) <= most


def test_streams_that_take_all_the_time_do_not_fit():
    assert "they fit" in streams_text(steady(1, 200, 39.9))
    assert "do not fit" in streams_text(steady(1, 200, 40.0))


def test_streams_need_a_timestep_each(shipped, speech):
    with pytest.raises(ValueError, match="timestep"):
        measure_streams(shipped, speech[:639], 1, 1.0)


def test_streams_count_their_steps_and_their_misses(monkeypatch, shipped, speech):
    cost = measure_streams(shipped, speech[:6_400], 3, 1.0)
    assert (cost.streams, cost.steps) == (3, 25)
    assert cost.real_time_factor > 0
    ticks = iter(0.05 * np.arange(1000))
    monkeypatch.setattr(streams, "time", SimpleNamespace(thread_time=lambda: next(ticks)))
    slow = measure_streams(shipped, speech[:6_400], 1, 1.0)
    assert slow.deadline_misses == 25
    assert slow.real_time_factor == pytest.approx(1.25)
    assert "do not fit" in streams_text(slow)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"seconds": 0.5}, "--seconds"),
        ({"streams": 0}, "--streams"),
        ({"source": "mic", "recording": DEMO}, "FILE"),
        ({"device": "pulse"}, "--source mic"),
        ({"source": "stoped"}, "--source must be one of replay, mic, stopped"),
        ({"plot": DEMO.with_suffix(".svg")}, ".png"),
        ({"source": "stopped", "plot": DEMO.with_suffix(".png")}, "--plot"),
    ],
)
def test_impossible_plans_are_refused(fields, word):
    with pytest.raises(SerLiveError, match=word) as caught:
        LatencyPlan(**fields)
    assert caught.value.exit_code == 2


def test_the_demo_is_known_by_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(DEMO.parent)
    (tmp_path / "other.flac").write_bytes(b"another recording")
    assert LatencyPlan().is_of_demo()
    assert LatencyPlan(Path(DEMO.name)).is_of_demo()
    assert not LatencyPlan(tmp_path / "other.flac").is_of_demo()
    assert not LatencyPlan(source="mic").is_of_demo()


def test_a_plot_without_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setattr(figures, "find_spec", lambda _name: None)
    with pytest.raises(RunFailure, match=r"ser-live\[plot\]"):
        LatencyPlan(plot=DEMO.with_suffix(".png"))


def test_a_plot_is_drawn(demo, tmp_path):
    pytest.importorskip("matplotlib")
    plot.draw(demo[1].passage(), "a$^$b.wav", tmp_path / "latency.png")
    assert (tmp_path / "latency.png").read_bytes().startswith(b"\x89PNG")


def test_a_start_is_measured_whatever_the_users_configuration_file_says(tmp_path, monkeypatch):
    (tmp_path / "ser-live.toml").write_text("nonsense = 1\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert Process.measure(None).start_up_ms > 0


def test_results_are_saved_as_one_object(tmp_path):
    shown = []
    with (tmp_path / "found.json").open("w") as out:
        findings = Findings(shown.append, out)
        findings.add("one", first={"a": 1})
        findings.add("two", second=2.0)
        findings.close()
    assert shown == ["one", "two"]
    kept = json.loads((tmp_path / "found.json").read_text())
    assert kept == {"schema": 1, "first": {"a": 1}, "second": 2.0}
