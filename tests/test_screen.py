"""The screen as a picture: what is on it, at any size, for any labels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from streamer.events import Estimated, Gap, Heard, SessionStarted, SourceAway
from streamer.interrupts import Interrupts
from streamer.looks import GAP_CODE, SILENCE_CODE, looks
from streamer.recognizer import Estimate
from streamer.screen.lettering import narrow, wide
from streamer.screen.monitor import Meter, Monitor
from streamer.screen.timeline import timeline
from streamer.screen.view import View, draw, svg
from streamer.session import Pace, run_session

LABELS = ("angry", "happy", "neutral", "sad")
SIZES = [(120, 40), (80, 24), (40, 12)]


class Recorded:
    name = "speech.wav"
    sample_rate = 16_000
    clipped = overflows = 0

    def __init__(self, samples):
        self.samples = samples

    def unheard(self, _position):
        return None

    def blocks(self, block_ms):
        for first in range(0, len(self.samples), 16 * block_ms):
            yield self.samples[first : first + 16 * block_ms]


@pytest.fixture(scope="module")
def heard(shipped, speech):
    """A snapshot after 9 s of real speech."""
    monitor = Monitor()
    run_session(
        Recorded(speech),
        shipped,
        [monitor],
        clock=Pace(None),
        block_ms=10,
        interrupts=Interrupts(),
        listeners=[monitor],
    )
    return monitor.snapshot


def estimated(time, label, labels=LABELS, latency_ms=200.0):
    probabilities = np.full(len(labels), 0.1 / max(1, len(labels) - 1), np.float32)
    probabilities[labels.index(label) if label in labels else 0] = 0.9
    attention = np.linspace(0, 1, 75, dtype=np.float32)
    return Estimated(
        Estimate(time, label, probabilities, 0.8, attention / attention.sum()), latency_ms
    )


def monitor_of(events, labels=LABELS):
    monitor = Monitor()
    monitor.take(SessionStarted("x.wav", 16_000, "m", labels, 175.0, datetime.now(UTC)))
    for event in events:
        monitor.take(event)
    return monitor


def rows_of(snapshot, width, height, view=View()):  # noqa: B008  (frozen)
    return ["".join(piece.text for piece in line) for line in draw(snapshot, view, width, height)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_size_has_what_matters(heard, width, height):
    rows = rows_of(heard, width, height)
    picture = "\n".join(rows)
    for index, label in enumerate(LABELS):
        row = next(row for row in rows if f" {label}" in row and "%" in row)
        assert f"{heard.probabilities[index]:.0%}" in row
        assert row.strip().startswith(looks(LABELS)[index].letter)
    for word in ("ser-live", "speech.wav", "level", "gaps 0", "0:09."):
        assert word in picture
    if width >= 80:
        for word in ("timeline", "attention", "look-ahead 175 ms", "16 kHz", "dBFS", "q  quit"):
            assert word in picture


@settings(deadline=None, max_examples=60)
@given(width=st.integers(1, 250), height=st.integers(1, 70), is_help=st.booleans())
def test_a_picture_fills_its_size_exactly(heard, width, height, is_help):
    rows = rows_of(heard, width, height, View(is_help=is_help, marks=(1.0, 8.0)))
    assert len(rows) == height
    assert {cell_len(row) for row in rows} == {width}


def test_before_the_first_audio_there_is_a_picture_too():
    assert "waiting for audio" in "\n".join(rows_of(Monitor().snapshot, 80, 24))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_labels_of_any_model_can_be_shown(width, height):
    labels = (*(f"émotion {n}" for n in range(30)), "喜び", "x" * 60)
    snapshot = monitor_of([estimated(0.04, "喜び", labels)], labels).snapshot
    rows = rows_of(snapshot, width, height)
    assert {cell_len(row) for row in rows} == {width}
    letters = [look.letter for look in looks(labels).values()]
    assert len({*letters}) >= 26
    assert [looks(LABELS)[n].letter for n in range(4)] == ["A", "H", "N", "S"]
    assert looks(("sad", "surprised"))[1].letter == "U"


def test_a_name_cannot_command_the_terminal():
    monitor = monitor_of([])
    session = replace(monitor.snapshot.session, source="\x1b[2Jevil\udcff\n.wav")
    picture = "".join(rows_of(replace(monitor.snapshot, session=session), 80, 24))
    assert r"\x1b[2Jevil\udcff\n.wav" in picture
    assert picture.isprintable()


@pytest.mark.parametrize("steps", [(151, 251), (101, 251)], ids=["left out", "filled"])
def test_lost_audio_is_a_gap_on_the_timeline(steps):
    monitor = monitor_of([estimated(n * 0.04, "happy") for n in range(1, 101)])
    monitor.take(Gap(4.0, 32_000, "the program was held up"))
    for n in range(*steps):  # left out of the stream, or silence in it
        is_lost = n <= 150
        event = estimated(n * 0.04, "silence" if is_lost else "happy")
        monitor.take(replace(event, is_lost=is_lost))
    snapshot = monitor.snapshot
    assert snapshot.gaps == 1
    assert (snapshot.codes == GAP_CODE).sum() == 50
    rows = rows_of(snapshot, 80, 24)
    assert any("!!!" in row for row in rows)
    assert any("gaps 1" in row for row in rows)


def test_even_a_short_loss_is_seen():
    monitor = monitor_of([estimated(n * 0.04, "sad") for n in (*range(1, 101), *range(102, 400))])
    assert GAP_CODE in timeline(monitor.snapshot, 30).cells


@pytest.mark.parametrize("cells", [5, 36, 76, 117, 300])
def test_the_past_moves_but_does_not_change(cells):
    names = np.random.default_rng(0).choice([*LABELS, "silence", "uncertain"], 500)
    events = [estimated((n + 1) * 0.04, str(names[n // 3])) for n in range(500)]
    monitor = monitor_of(events[:450])
    known = {}
    for event in events[450:]:
        monitor.take(event)
        past = timeline(monitor.snapshot, cells)
        ends = np.round(past.end_s - past.cell_s * np.arange(cells - 1, -1, -1), 6)
        for end, code in list(zip(ends.tolist(), past.cells.tolist(), strict=True))[1:-1]:
            assert known.setdefault(end, code) == code
    assert len(known) < cells + 50


def test_the_timeline_covers_half_a_minute_at_any_width(heard):
    for cells in (10, 36, 76, 116, 250, 350):
        past = timeline(heard, cells)
        assert 30.0 <= len(past.cells) * past.cell_s <= 60.0


def test_letters_tell_emotions_apart_without_colour():
    events = [estimated((n + 1) * 0.04, LABELS[n // 100]) for n in range(400)]
    row = next(r for r in rows_of(monitor_of(events).snapshot, 80, 24) if " A " in r and "H " in r)
    assert row.replace(" ", "") == "AHNS"


def test_marks_pause_messages_and_help_are_shown(heard):
    assert "▲" in "".join(rows_of(heard, 80, 24, View(marks=(5.0,))))
    assert "PAUSED, audio goes on" in rows_of(heard, 80, 24, View(is_paused=True))[0]
    assert "PAUSED" in rows_of(heard, 40, 12, View(is_paused=True))[0]
    assert "REC" in rows_of(heard, 40, 12, View(is_recording=True))[0]
    assert "wrote x.svg" in rows_of(heard, 40, 12, View(message="wrote x.svg"))[-1]
    for width, height in SIZES:
        assert "audio goes on" in "".join(rows_of(heard, width, height, View(is_help=True)))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_all_that_is_urgent_fits_at_once(heard, width, height):
    view = View(is_paused=True, can_record=True, is_recording=True)
    top = rows_of(replace(heard, is_away=True, time=599.96), width, height, view)[0]
    for word in ("PAUSED", "REC", "NO ", "10:00.0"):
        assert word in top


def heard_block(samples, clipped=0, overflows=0, compute_s=0.0):
    return Heard(samples, 16_000, clipped, overflows, compute_s)


def test_the_level_follows_a_tone_and_remembers_clipping():
    time = np.arange(16_000) / 16_000
    tone = (0.1 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    meter = Meter().after(heard_block(tone))
    assert meter.peak_dbfs == pytest.approx(-20.0, abs=0.1)
    assert meter.rms_dbfs == pytest.approx(-23.0, abs=0.5)
    assert meter.since_clipping_s == float("inf")
    clipped = meter.after(heard_block(tone, clipped=4))
    assert clipped.since_clipping_s == 0.0
    quiet = clipped.after(heard_block(np.zeros(16_000, np.float32)))
    assert quiet.since_clipping_s == 1.0
    assert quiet.peak_dbfs == pytest.approx(-40.0)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_clipping_is_said(heard, width, height):
    clipping = replace(heard, meter=replace(heard.meter, since_clipping_s=0.5))
    assert "CLIP" in "".join(rows_of(clipping, width, height))
    assert "CLIP" not in "".join(rows_of(heard, width, height))


def test_blocks_of_nothing_leave_the_level_alone():
    assert Meter().after(heard_block(np.zeros(0, np.float32))) == Meter()


def test_compute_is_the_mean_of_a_step_whatever_the_blocks():
    monitor = monitor_of([])
    for step in range(1, 201, 2):  # one block completes two steps
        monitor.hear(heard_block(np.zeros(1_280, np.float32), compute_s=0.004))
        monitor.take(estimated(step * 0.04, "sad"))
        monitor.take(estimated((step + 1) * 0.04, "sad"))
    assert monitor.snapshot.compute_ms == pytest.approx(2.0, rel=0.1)
    assert monitor.snapshot.time == pytest.approx(8.0)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_without_a_device_nothing_is_shown_as_heard(heard, width, height):
    monitor = Monitor()
    monitor.snapshot = heard
    monitor.take(SourceAway())
    picture = "\n".join(rows_of(monitor.snapshot, width, height))
    assert ("NO DEVICE" if width >= 70 else "NO MIC") in picture
    assert "silence" not in picture.splitlines()[-3 if height > 12 else -2]
    assert picture.count(" 0%") >= len(LABELS)
    assert monitor.snapshot.meter == Meter()
    assert (monitor.snapshot.codes == heard.codes).all()  # the past stays
    monitor.hear(heard_block(np.ones(160, np.float32)))
    assert "NO " not in "\n".join(rows_of(monitor.snapshot, width, height))


@pytest.mark.parametrize(("width", "height"), SIZES[:2])
def test_flagged_losses_are_counted(width, height):
    monitor = monitor_of([estimated(0.04, "sad")])
    monitor.hear(heard_block(np.zeros(160, np.float32), overflows=7))
    assert "overflows 7" in "\n".join(rows_of(monitor.snapshot, width, height))


@pytest.mark.parametrize(("width", "height"), SIZES[:2])
def test_estimates_that_were_held_up_are_counted_once_there_are_any(width, height):
    monitor = monitor_of([])
    for step, latency_ms in enumerate([250.0, 200.0, 240.0, None, 275.0, 281.0, 900.0], 1):
        monitor.take(estimated(step * 0.04, "sad", latency_ms=latency_ms))
        is_late = latency_ms is not None and latency_ms > 280.0
        assert ("held up" in "\n".join(rows_of(monitor.snapshot, width, height))) == is_late
    assert "held up 2" in "\n".join(rows_of(monitor.snapshot, width, height))


def test_what_waits_for_the_rest_of_a_long_block_is_not_held_up():
    monitor = monitor_of([])
    for block in range(5):  # of a second
        monitor.hear(heard_block(np.zeros(16_000, np.float32)))
        for step in range(25):
            monitor.take(estimated(block + 0.04 * step, "sad", latency_ms=1200.0 - 40.0 * step))
    assert monitor.snapshot.held_up == 0


def test_the_key_for_recording_is_shown_where_there_is_a_microphone(heard):
    for is_help in (False, True):
        assert "record" not in "".join(rows_of(heard, 80, 24, View(is_help=is_help)))
        can = View(is_help=is_help, can_record=True)
        assert "record" in "".join(rows_of(heard, 80, 24, can))


def test_a_snapshot_does_not_change_any_more():
    monitor = monitor_of([estimated(0.04, "sad")])
    before = monitor.snapshot
    codes = before.codes.copy()
    monitor.take(estimated(0.08, "silence"))
    assert (before.codes == codes).all()
    assert monitor.snapshot.codes[-1] == SILENCE_CODE


def test_the_next_file_starts_afresh():
    monitor = monitor_of([estimated(0.04, "sad")])
    monitor.take(monitor.snapshot.session)
    assert monitor.snapshot.timesteps == 0
    assert (monitor.snapshot.codes < GAP_CODE).all()


@pytest.mark.parametrize("text", ["angry", "warming up", "a-b", "QUICK BROWN FOX JUMPS LAZY DVGZ"])
def test_large_letters_are_even(text):
    assert len(wide(text)) == 5
    assert len(narrow(text)) == 3
    assert len({len(row) for row in wide(text)}) == 1
    assert len({len(row) for row in narrow(text)}) == 1


def test_letters_the_font_lacks_are_left_to_the_terminal():
    assert wide("喜び") is None
    assert narrow("") is None


def test_the_svg_is_the_picture(heard):
    text = svg(heard, View(), 100, 30)
    assert text.startswith("<svg")
    for word in ("angry", "timeline", "speech.wav"):
        assert word in text


def named(label, weighed, probabilities):
    """An estimate whose label follows what was heard over the last moments."""
    attention = np.full(38, 1 / 38, np.float32)
    return Estimate(
        0.04, label, np.float32(probabilities), 0.9, attention, None, np.float32(weighed)
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (40, 12)])
def test_the_word_is_that_of_the_longest_bar_with_its_share_and_lateness_beside_it(width, height):
    weights = [0.2, 0.55, 0.15, 0.1]
    heard = named(LABELS[1], weights, [0.6, 0.2, 0.1, 0.1])  # this moment alone says another
    snapshot = monitor_of([Estimated(heard, 182.4)]).snapshot
    picture = "\n".join(rows_of(snapshot, width, height))
    assert "55%" in picture
    assert "60%" not in picture
    assert "55% sure" in picture
    assert "182 ms late" in picture


@pytest.mark.parametrize("label", ["silence", "uncertain", "warming up"])
def test_bars_are_faint_where_no_emotion_is_named(label):
    colours = {looks(LABELS)[index].colour for index in range(len(LABELS))}
    heard = named(LABELS[0], [0.7, 0.1, 0.1, 0.1], [0.7, 0.1, 0.1, 0.1])
    for event, are_bright in ((heard, True), (replace(heard, label=label), False)):
        snapshot = monitor_of([Estimated(event, 1.0)]).snapshot
        lines = draw(snapshot, View(), 80, 24)
        rows = [line for line in lines if any(piece.text.strip() == "70%" for piece in line)]
        grounds = {piece.style.bgcolor.name for piece in rows[0] if piece.style.bgcolor}
        assert bool(grounds & colours) is are_bright
        assert ("sure" in "".join(piece.text for line in lines for piece in line)) is are_bright


def test_only_the_start_warms_up():
    labels = ["silence", "warming up", LABELS[0], "silence", "warming up", LABELS[1]]
    monitor, seen = monitor_of([]), []
    for number, label in enumerate(labels, 1):
        monitor.take(estimated(0.04 * number, label))
        seen.append(monitor.snapshot.label)
    assert seen == [*labels[:4], "uncertain", LABELS[1]]
