"""Faults of devices, clocks and consumers in simulated time; FAULTS.md lists all faults."""

from __future__ import annotations

import ast
import re
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from streamer.errors import RunFailure
from streamer.session.clock import Pace
from streamer.session.events import Estimated, Gap, SessionEnded
from streamer.session.interrupts import Interrupts
from streamer.session.run import run_session
from streamer.sound.capture import losses as accounting
from streamer.sound.capture import microphone
from streamer.sound.capture.devices import INVALID_SAMPLE_RATE
from streamer.sound.capture.microphone import ASLEEP, GONE
from streamer.sound.source import MAX_LAG_S, SILENCE_FOR_LOSS_S, Loss
from tests.helpers.places import ROOT
from tests.helpers.sessions import Array, Collect
from tests.helpers.simulated import DEVICE, Refused, World

FAULTS = ROOT / "tests" / "FAULTS.md"
RATE = DEVICE.sample_rate


@pytest.fixture
def world(monkeypatch, speech):
    return World(monkeypatch, speech)


class Following(Collect):
    """A sink that causes faults at moments of stream time."""

    def __init__(self, happens=()):
        super().__init__()
        self._happens = dict(happens)

    def take(self, event):
        super().take(event)
        if isinstance(event, Estimated):
            for at_s in [at_s for at_s in self._happens if at_s <= event.estimate.time]:
                self._happens.pop(at_s)()

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def listened(world, recognizer, duration_s, happens=()):
    """A session on the simulated microphone."""
    sink = Following(happens)
    with world.microphone(duration_s) as source:
        run_session(source, recognizer, [sink], clock=source, block_ms=10, interrupts=Interrupts())
    return sink


@pytest.mark.parametrize("pace", [0.99, 1.01])
def test_a_sample_clock_one_percent_off_makes_no_gap_in_ten_minutes_and_latency_stays(
    monkeypatch, pace
):
    world = World(monkeypatch)
    world.pace = pace
    with world.microphone(600.0) as source:
        latencies_ms = []
        for block in source.blocks(10):
            assert not isinstance(block, Loss)
            latencies_ms.append(source.latency_ms(source.position / RATE))
        assert source.unheard(source.position) is None
    assert world.now_s - 1000.0 == pytest.approx(600.0 / pace, abs=0.1)
    assert max(latencies_ms) - min(latencies_ms) < 11.0


def test_a_consumer_stalled_for_5_s_reports_the_overflow_as_a_gap(world, shipped):
    sink = listened(world, shipped, 10.0, {2.0: lambda: world.pass_s(5.0)})
    (gap,) = sink.of(Gap)
    assert gap.lost_samples == pytest.approx((5.0 - MAX_LAG_S) * RATE, abs=0.02 * RATE)
    assert "waited" in gap.reason
    (end,) = sink.of(SessionEnded)
    assert end.duration_s == 10.0
    skipped_s = gap.lost_samples / RATE - SILENCE_FOR_LOSS_S
    assert end.estimates == int((10.0 - skipped_s) / 0.04 + 1e-9)
    last_ms = [event.latency_ms for event in sink.of(Estimated)][-30:-5]
    assert max(last_ms) < 1000 * MAX_LAG_S


def test_an_overflow_that_the_device_flags_is_counted(world, shipped):
    world.overflows_at = {100, 101, 250}
    sink = listened(world, shipped, 5.0)
    assert world.heard_by.overflows == 3
    assert sink.of(Gap) == []


@pytest.mark.parametrize("slept_s", [2.0, 8 * 3600.0])
def test_a_sleep_of_the_machine_is_reported_with_its_length(world, shipped, slept_s):
    duration_s = slept_s + 6.0
    sink = listened(world, shipped, duration_s, {2.0: lambda: world.sleep_s(slept_s)})
    (gap,) = sink.of(Gap)
    assert (gap.lost_samples, gap.reason) == (slept_s * RATE, ASLEEP)
    (end,) = sink.of(SessionEnded)
    assert end.duration_s == duration_s
    filled_s = min(slept_s, SILENCE_FOR_LOSS_S)
    assert end.estimates == int((6.0 + filled_s) / 0.04)
    estimates = sink.of(Estimated)
    assert estimates[-1].estimate.time == pytest.approx(duration_s)
    # Moments before the sleep whose look-ahead came after it have a latency of that length.
    after = [e.latency_ms for e in estimates if e.estimate.time > gap.time_s and not e.is_lost]
    assert len(after) > 50
    assert -1.0 < min(after) <= max(after) < 1000 * MAX_LAG_S


def test_a_device_that_comes_back_and_refuses_its_rate_is_reported_once_with_advice(world, shipped):
    def unplug():
        world.unplug(30.0, "Error opening InputStream: Invalid sample rate", INVALID_SAMPLE_RATE)

    sink = listened(world, shipped, 40.0, {2.0: unplug})
    gone, refused, back = world.said
    assert "is gone; waiting" in gone
    assert "Invalid sample rate" in refused
    assert "end this session and start another" in refused
    assert "is back" in back
    (gap,) = sink.of(Gap)
    assert gap.reason == GONE
    assert gap.lost_samples == pytest.approx(30.0 * RATE, abs=1.1 * RATE)  # it looks every second
    (end,) = sink.of(SessionEnded)
    assert end.duration_s == 40.0


def test_a_device_is_waited_for_though_portaudio_does_not_start_again_at_once(world, monkeypatch):
    failures = [Refused("Error initializing PortAudio")] * 3

    def rescan():
        if failures:
            raise failures.pop()

    monkeypatch.setattr(microphone, "rescan", rescan)
    losses = []
    with world.microphone(8.0) as source:
        for block in source.blocks(10):
            if isinstance(block, Loss):
                losses.append(block)
            if source.position == RATE and not world.said:
                world.unplug(3.5)
    (loss,) = losses
    assert loss.samples == pytest.approx(3.5 * RATE, abs=1.1 * RATE)
    assert "is back" in world.said[-1]


def test_a_rate_refused_at_the_start_does_not_mention_a_session(world):
    microphone = world.microphone()
    world.back_s, world.refusal = world.now_s + 1.0, ("Invalid sample rate", INVALID_SAMPLE_RATE)
    with pytest.raises(RunFailure, match=r"does not give that rate$"), microphone:
        pass


def test_audio_captured_before_a_sleep_comes_before_its_gap(world, speech):
    heard, gaps = [], []
    with world.microphone(6.0) as source:
        for block in source.blocks(10):
            if isinstance(block, Loss):
                gaps.append((sum(map(len, heard)), block.samples, block.reason))
                continue
            heard.append(block)
            if source.position == RATE:
                world.pass_s(0.5)
                world.sleep_s(4.0)
    assert gaps == [(1.5 * RATE, 4 * RATE, ASLEEP)]
    assert max(map(len, heard)) == RATE // 100
    np.testing.assert_array_equal(np.concatenate(heard), speech[: 2 * RATE])


def test_a_duration_may_end_before_a_sleep_that_is_noticed_too_late(world):
    with world.microphone(1.2) as source:
        for block in source.blocks(10):
            assert not isinstance(block, Loss)
            if source.position == RATE:
                world.pass_s(0.5)
                world.sleep_s(4.0)
    assert source.position == 1.2 * RATE


@pytest.mark.parametrize(
    ("platform", "slept_s"), [("linux", 700.0), ("darwin", 600.0), ("win32", 0.0)]
)
def test_sleep_is_the_time_that_the_clock_left_out(monkeypatch, platform, slept_s):
    """On macOS CLOCK_MONOTONIC runs at another pace than CLOCK_UPTIME_RAW: NTP slews it."""
    clocks_s = {
        "CLOCK_BOOTTIME": 1000.0,
        "CLOCK_MONOTONIC": 300.0,
        "CLOCK_MONOTONIC_RAW": 750.0,
        "CLOCK_UPTIME_RAW": 150.0,
    }
    names = {name: name for name in clocks_s}
    clock = SimpleNamespace(**names, clock_gettime=clocks_s.__getitem__)
    monkeypatch.setattr(accounting, "time", clock)
    monkeypatch.setattr(accounting, "sys", SimpleNamespace(platform=platform))
    assert accounting.asleep_s() == slept_s


def test_a_system_clock_set_back_changes_nothing_but_the_start(shipped, speech, monkeypatch):
    """It goes back by an hour at every reading."""
    now_s = time.time()

    def set_back():
        nonlocal now_s
        now_s -= 3600.0
        return now_s

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(set_back(), tz)

    source = Array(speech[:32_000])
    expected, sink = Collect(), Collect()
    run_session(
        source, shipped, [expected], clock=Pace(20.0), block_ms=100, interrupts=Interrupts()
    )
    monkeypatch.setattr(time, "time", set_back)
    monkeypatch.setattr("streamer.session.run.datetime", Clock)
    run_session(source, shipped, [sink], clock=Pace(20.0), block_ms=100, interrupts=Interrupts())
    assert sink.events[0].started < datetime.now(UTC)

    def times(events):
        return [e.estimate.time for e in events if isinstance(e, Estimated)]

    assert times(sink.events) == times(expected.events)
    assert sink.events[-1] == expected.events[-1]
    assert all(0 < e.latency_ms < 60_000 for e in sink.events if isinstance(e, Estimated))


def test_the_wall_clock_is_used_only_for_the_start_and_for_file_names():
    asked = {}
    for path in sorted((ROOT / "streamer").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "time.time", "time.time_ns", "datetime.now", "datetime.today", "time.localtime",
            ):  # fmt: skip
                name = path.relative_to(ROOT / "streamer").as_posix()
                asked[name] = asked.get(name, 0) + 1
    # Also used for the server's sessions, the lines of its log, and the date of a profile.
    assert asked == {
        "session/run.py": 1,
        "outputs.py": 1,
        "serve/hearing.py": 1,
        "serve/log.py": 1,
        "recognition/engine.py": 1,
    }


def test_every_test_that_the_table_of_faults_names_exists():
    table = FAULTS.read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", table)
    assert len(named) > 20
    for file, test in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert test in functions, f"{file}::{test}"


def test_every_row_of_the_table_of_faults_names_a_test():
    table = FAULTS.read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    faults = [
        row.strip("|").split("|") for row in rows if not row.startswith(("| fault |", "| ---"))
    ]
    assert len(faults) > 20
    for row in faults:
        assert len(row) == 4, row
        assert "::test_" in row[-1], row[0]
