"""The screen as a picture: its contents at any size, for any labels."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from streamer.appearance import GAP_CODE, NOTHING_CODE, SILENCE_CODE, looks
from streamer.recognition.estimate import Estimate
from streamer.screen.drawing.layout import plan
from streamer.screen.drawing.lettering import narrow, wide
from streamer.screen.drawing.meter import Meter
from streamer.screen.drawing.panels import facts_of
from streamer.screen.drawing.svg import still_svg
from streamer.screen.drawing.timeline import session_strip, timeline
from streamer.screen.drawing.tracks import past_axis
from streamer.screen.drawing.view import draw
from streamer.screen.history import KEPT_TIMESTEPS
from streamer.screen.keys import SPANS_S, View
from streamer.screen.monitor import Monitor
from streamer.session.clock import Pace
from streamer.session.events import AudioBlock, Estimated, Gap, SourceAway
from streamer.session.interrupts import Interrupts
from streamer.session.run import run_session
from tests.helpers.screens import LABELS, estimated, monitor_of, rows_of

COLOURS = {looks(LABELS)[index].colour for index in range(len(LABELS))}
SIZES = [(200, 55), (120, 40), (80, 24), (40, 12)]
FRAMED = SIZES[:3]

WORDS = """
ser live speech wav sure ms late now angry happy neutral sad so far unsure what decided the
    label labels taller more counted timeline min session silence uncertain warming up gap level
    dBFS peak
    nothing latency compute step gaps overflows look ahead rate kHz model open voice prior balanced
    quit pause snapshot mark zoom back help go on PAUSED audio goes End keys end screen to an SVG in
    output too time also any key closes it waiting for first sound ANGRY HAPPY NEUTRAL SAD SILENCE
    UNCERTAIN WARMING UP of
"""


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


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_important_parts_are_shown_at_every_size(heard, width, height):
    rows = rows_of(heard, width, height)
    picture = "\n".join(rows)
    for index, label in enumerate(LABELS):
        row = next(row for row in rows if f" {label}" in row and "%" in row)
        assert f"{heard.probabilities[index]:.0%}" in row
        assert row.strip("│ ").startswith(looks(LABELS)[index].letter)
    for word in ("ser-live", "speech.wav", "level", "gaps 0", "0:09."):
        assert word in picture
    if width >= 80:
        for word in ("timeline", "session so far", "labels so far", "dBFS", "quit"):
            assert word in picture
    if width >= 120:
        for word in ("what decided the label", "look-ahead 175 ms", "16 kHz"):
            assert word in picture


@settings(deadline=None, max_examples=100)
@given(
    width=st.integers(1, 250),
    height=st.integers(1, 80),
    is_help=st.booleans(),
    span_s=st.sampled_from(SPANS_S),
    until_s=st.none() | st.floats(0.0, 10.0),
)
def test_a_picture_fills_its_size_exactly(heard, width, height, is_help, span_s, until_s):
    view = View(is_help=is_help, marks=(1.0, 8.0), span_s=span_s, until_s=until_s)
    rows = rows_of(heard, width, height, view)
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
    for n in range(*steps):  # skipped, or replaced by silence
        is_lost = n <= 150
        event = estimated(n * 0.04, "silence" if is_lost else "happy")
        monitor.take(replace(event, is_lost=is_lost))
    snapshot = monitor.snapshot
    assert snapshot.gaps == 1
    assert (snapshot.history.codes(250) == GAP_CODE).sum() == 50
    rows = rows_of(snapshot, 80, 24)
    assert any("!!!" in row for row in rows)
    assert any("gaps 1" in row for row in rows)


def test_even_a_short_loss_is_seen():
    monitor = monitor_of([estimated(n * 0.04, "sad") for n in (*range(1, 101), *range(102, 400))])
    for span_s in SPANS_S[1:]:
        assert GAP_CODE in timeline(monitor.snapshot, 30, span_s).cells
    assert GAP_CODE in session_strip(monitor.snapshot, 30).cells


@pytest.mark.parametrize("span_s", [15.0, 30.0, 120.0])
@pytest.mark.parametrize("cells", [5, 36, 76, 117, 300])
def test_the_past_moves_but_does_not_change(cells, span_s):
    names = np.random.default_rng(0).choice([*LABELS, "silence", "uncertain"], 500)
    events = [estimated((n + 1) * 0.04, str(names[n // 3])) for n in range(500)]
    monitor = monitor_of(events[:450])
    known = {}
    for event in events[450:]:
        monitor.take(event)
        past = timeline(monitor.snapshot, cells, span_s)
        ends = np.round(past.end_s - past.cell_s * np.arange(len(past.cells))[::-1], 6)
        for end, code in list(zip(ends.tolist(), past.cells.tolist(), strict=True))[1:-1]:
            assert known.setdefault(end, code) == code
    assert len(known) <= cells + 2.0 / past.cell_s + 1


@pytest.mark.parametrize("span_s", SPANS_S)
def test_the_timeline_covers_the_chosen_span_at_any_width(heard, span_s):
    for cells in (10, 36, 76, 116, 250, 350):
        assert timeline(heard, cells, span_s).span_s == pytest.approx(span_s)


def test_a_column_is_what_most_of_its_time_was():
    labels = [*["happy"] * 60, *["sad"] * 40, *["silence"] * 100]
    monitor = monitor_of([estimated((n + 1) * 0.04, label) for n, label in enumerate(labels)])
    past = timeline(monitor.snapshot, 2, 8.0)
    assert past.cells.tolist() == [LABELS.index("happy"), SILENCE_CODE]
    assert past.lanes[0, LABELS.index("happy")] == pytest.approx(0.6 * 0.9 + 0.4 * 0.1 / 3)
    assert np.isnan(past.lanes[1]).all()


def test_the_session_fills_a_strip_from_the_left_and_its_last_ten_minutes_stay():
    monitor = monitor_of([estimated((n + 1) * 0.04, "happy") for n in range(500)])
    strip = session_strip(monitor.snapshot, 30)
    assert strip.cells.tolist() == [1] * 20 + [NOTHING_CODE] * 10
    for n in range(500, KEPT_TIMESTEPS + 500):
        monitor.take(estimated((n + 1) * 0.04, "sad"))
    assert set(session_strip(monitor.snapshot, 100).cells.tolist()) == {3}
    assert monitor.snapshot.history.shown.tolist() == [0, 500, 0, KEPT_TIMESTEPS, 0]


def test_the_history_does_not_grow_and_holds_the_newest():
    monitor = monitor_of([])
    for n in range(3 * KEPT_TIMESTEPS):
        monitor.take(estimated((n + 1) * 0.04, LABELS[n % 4]))
        if n % 10_007 == 0:
            assert monitor.snapshot.history.codes(4)[-1] == n % 4
    history = monitor.snapshot.history
    assert len(history) == KEPT_TIMESTEPS
    assert len(history.counts.base) == 2 * KEPT_TIMESTEPS + 1
    assert history.shown.tolist() == [3 * KEPT_TIMESTEPS // 4] * 4 + [0]


def test_a_night_without_a_device_is_a_loss_of_all_that_is_kept():
    monitor = monitor_of([estimated(0.04, "sad"), estimated(30_000.0, "sad")])
    codes = session_strip(monitor.snapshot, 60).cells
    assert set(codes.tolist()) == {GAP_CODE}


def test_shares_are_of_the_speech_so_far():
    labels = [*["warming up"] * 10, *["angry"] * 60, *["silence"] * 900, *["uncertain"] * 30]
    snapshot = monitor_of(
        [estimated((n + 1) * 0.04, label) for n, label in enumerate(labels)]
    ).snapshot
    for width, height in FRAMED:
        rows = rows_of(snapshot, width, height)
        (row,) = [row for row in rows if " A angry" in row]
        assert " 60%" in row.split("│")[2]
        assert "40% unsure" in "".join(rows)
    assert "so far  A 60%  H 0%  N 0%  S 0%  ? 40%" in "\n".join(rows_of(snapshot, 60, 40))


def test_letters_tell_emotions_apart_without_colour():
    events = [estimated((n + 1) * 0.04, LABELS[n // 100]) for n in range(400)]
    rows = rows_of(monitor_of(events).snapshot, 80, 24)
    row = next(row for row in rows if " A " in row and "H " in row and "%" not in row)
    assert row.translate({ord(sign): None for sign in "│▌ "}) == "AHNS"


def test_marks_pause_messages_and_help_are_shown(heard):
    assert "▲" in "".join(rows_of(heard, 80, 24, View(marks=(5.0,))))
    assert "PAUSED, audio goes on" in rows_of(heard, 80, 24, View(is_paused=True))[0]
    assert "PAUSED" in rows_of(heard, 40, 12, View(is_paused=True))[0]
    assert "REC" in rows_of(heard, 40, 12, View(is_recording=True))[0]
    assert "wrote x.svg" in rows_of(heard, 40, 12, View(message="wrote x.svg"))[-1]
    for width, height in SIZES:
        assert "audio goes on" in "".join(rows_of(heard, width, height, View(is_help=True)))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_all_urgent_notices_fit_at_once(heard, width, height):
    view = View(is_paused=True, can_record=True, is_recording=True)
    top = rows_of(replace(heard, is_away=True, time=599.96), width, height, view)[0]
    for word in ("PAUSED", "REC", "NO ", "10:00.0"):
        assert word in top


def heard_block(samples, clipped=0, overflows=0, compute_s=0.0):
    return AudioBlock(samples, 16_000, clipped, overflows, compute_s)


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
def test_clipping_is_shown(heard, width, height):
    clipping = replace(heard, meter=replace(heard.meter, since_clipping_s=0.5))
    assert "CLIP" in "".join(rows_of(clipping, width, height))
    assert "CLIP" not in "".join(rows_of(heard, width, height))


def test_empty_blocks_do_not_change_the_level():
    assert Meter().after(heard_block(np.zeros(0, np.float32))) == Meter()


def test_compute_is_the_mean_of_a_step_whatever_the_blocks():
    monitor = monitor_of([])
    for step in range(1, 201, 2):  # one block completes two steps
        monitor.hear(heard_block(np.zeros(1_280, np.float32), compute_s=0.004))
        monitor.take(estimated(step * 0.04, "sad"))
        monitor.take(estimated((step + 1) * 0.04, "sad"))
    assert monitor.snapshot.compute_ms == pytest.approx(2.0, rel=0.1)
    # As a share of the 40 ms of a step, so that nobody takes it for the cost of the network.
    assert re.fullmatch(r"(1\.9|2\.\d) ms of 40", dict(facts_of(monitor.snapshot, 200))["compute"])
    assert monitor.snapshot.time == pytest.approx(8.0)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_without_a_device_no_audio_is_shown(heard, width, height):
    monitor = Monitor()
    monitor.snapshot = heard
    monitor.take(SourceAway())
    picture = "\n".join(rows_of(monitor.snapshot, width, height))
    assert ("NO DEVICE" if width >= 70 else "NO MIC") in picture
    (level,) = [row for row in picture.splitlines() if "level" in row]
    assert "○ nothing" in level
    assert "waiting for the device" in picture
    assert picture.count(" 0%") >= len(LABELS)
    assert monitor.snapshot.meter == Meter()
    assert (monitor.snapshot.history.codes(999) == heard.history.codes(999)).all()
    monitor.hear(heard_block(np.ones(160, np.float32)))
    assert "NO " not in "\n".join(rows_of(monitor.snapshot, width, height))


@pytest.mark.parametrize(("width", "height"), FRAMED)
def test_flagged_losses_are_counted(width, height):
    monitor = monitor_of([estimated(0.04, "sad")])
    monitor.hear(heard_block(np.zeros(160, np.float32), overflows=7))
    assert "overflows 7" in "\n".join(rows_of(monitor.snapshot, width, height))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_estimates_that_were_held_up_are_counted_once_there_are_any(width, height):
    monitor = monitor_of([])
    for step, latency_ms in enumerate([250.0, 200.0, 240.0, None, 275.0, 281.0, 900.0], 1):
        monitor.take(estimated(step * 0.04, "sad", latency_ms=latency_ms))
        is_late = latency_ms is not None and latency_ms > 280.0
        assert ("held up" in "\n".join(rows_of(monitor.snapshot, width, height))) == is_late
    assert "held up 2" in "\n".join(rows_of(monitor.snapshot, width, height))


def test_waiting_for_the_rest_of_a_long_block_is_not_a_delay():
    monitor = monitor_of([])
    for block in range(5):  # of a second
        monitor.hear(heard_block(np.zeros(16_000, np.float32)))
        for step in range(25):
            monitor.take(estimated(block + 0.04 * step, "sad", latency_ms=1200.0 - 40.0 * step))
    assert monitor.snapshot.lateness.held_up == 0


def test_a_process_that_was_stopped_by_hand_was_not_late():
    monitor = monitor_of([estimated(0.04 * n, "sad", latency_ms=182.0) for n in range(1, 51)])
    monitor.stopped()
    monitor.take(estimated(2.04, "sad", latency_ms=184.0))  # before it is stopped
    monitor.take(estimated(2.08, "sad", latency_ms=9_000.0))  # before the screen goes on
    monitor.resumed()
    for n in range(53, 153):
        monitor.take(estimated(0.04 * n, "sad", latency_ms=9_000.0 - 88.0 * (n - 53)))
    monitor.take(estimated(6.12, "sad", latency_ms=183.0))
    lateness = monitor.snapshot.lateness
    assert lateness.newest_ms == 183.0
    assert lateness.percentiles_ms[1] < 300.0
    assert lateness.held_up == 0
    monitor.take(estimated(6.16, "sad", latency_ms=500.0))  # the process was not stopped then
    assert monitor.snapshot.lateness.held_up == 1


def test_the_key_for_recording_is_shown_where_there_is_a_microphone(heard):
    for is_help in (False, True):
        assert "record" not in "".join(rows_of(heard, 80, 24, View(is_help=is_help)))
        can = View(is_help=is_help, can_record=True)
        assert "record" in "".join(rows_of(heard, 80, 24, can))


def test_a_snapshot_does_not_change_any_more():
    monitor = monitor_of([estimated(0.04, "sad")])
    before = monitor.snapshot
    picture, codes = rows_of(before, 120, 40), before.history.codes(100)
    for n in range(1, 2 * KEPT_TIMESTEPS + 10):  # meanwhile the history moves to new arrays
        monitor.take(estimated((n + 1) * 0.04, "silence"))
    assert (before.history.codes(100) == codes).all()
    assert rows_of(before, 120, 40) == picture
    assert monitor.snapshot.history.codes(1) == [SILENCE_CODE]


def test_the_next_file_starts_afresh():
    monitor = monitor_of([estimated(0.04, "sad")])
    monitor.take(monitor.snapshot.session)
    assert monitor.snapshot.timesteps == 0
    assert (monitor.snapshot.history.codes(100) == NOTHING_CODE).all()


@pytest.mark.parametrize("text", ["angry", "warming up", "a-b", "QUICK BROWN FOX JUMPS LAZY DVGZ"])
def test_large_letters_are_even(text):
    assert len(wide(text)) == 5
    assert len(narrow(text)) == 3
    assert len({len(row) for row in wide(text)}) == 1
    assert len({len(row) for row in narrow(text)}) == 1


def test_letters_the_font_lacks_are_left_to_the_terminal():
    assert wide("喜び") is None
    assert narrow("") is None


@pytest.mark.parametrize("width", [77, 85, 100])
def test_wide_characters_fit_the_line(heard, width):
    view = View(message="wrote " + "録音" * 30 + ".svg")
    named = replace(heard, session=replace(heard.session, source="録音" * 40 + ".wav"))
    for line in draw(named, view, width, 24):
        assert sum(segment.cell_length for segment in line) == width


def test_the_svg_is_the_picture(heard):
    text = still_svg(heard, View(), 100, 30)
    assert "@font-face" not in text  # it loads nothing
    assert text.startswith("<svg")
    for word in ("angry", "timeline", "speech.wav"):
        assert word in text


@pytest.mark.parametrize("size", [*SIZES, (20, 5), (64, 20), (90, 30)])
@pytest.mark.parametrize("label", [*LABELS, "silence", "uncertain", "warming up", ""])
def test_no_word_is_cut_off(heard, size, label):
    """Every word is one of the screen's words, a name or a number."""
    words = set()
    back = View(until_s=1.0, span_s=5.0)
    for view in (View(), back, View(is_paused=True), View(is_help=size[0] < 64)):
        for row in rows_of(replace(heard, label=label), *size, view):
            words |= set(re.split(r"[^A-Za-z]+", row))
    assert {word for word in words if not re.fullmatch("[AHNS]*|[a-z]", word)} <= set(WORDS.split())


def test_frames_are_closed_and_are_the_first_to_go(heard):
    for width, height in FRAMED:
        rows = rows_of(heard, width, height)
        assert {row[0] + row[-1] for row in rows[1:-1]} == {"││", "├┤"}
        assert (rows[0][0], rows[0][-1], rows[-1][0], rows[-1][-1]) == ("╭", "╮", "╰", "╯")
        for above, below in pairwise(rows):
            for over, under in zip(above, below, strict=True):
                assert f"{over}{under}" not in ("│─", "─│", "│┬", "┴│")  # no loose end
    for size in ((63, 30), (100, 19), *SIZES[3:]):
        assert not set("╭│├") & set("".join(rows_of(heard, *size)))


@pytest.mark.parametrize("width", [200, 120, 80])
def test_no_row_is_wasted(width):
    for height in range(20, 90):
        spare = height - plan(width, height, len(LABELS)).rows
        assert spare == 0 if height < 44 else 0 <= spare < len(LABELS)  # no row for each lane


def test_an_axis_has_whole_names_only(heard):
    name = r"╵(-\d+ (s|min)|\d+:\d\d)"
    for cells, span_s in product(range(1, 250), SPANS_S):
        past = timeline(heard, cells, span_s)
        for is_live in (True, False):
            axis = "".join(piece.text for piece in past_axis(past, (), is_live))
            assert re.fullmatch(rf"( |{name}(?=[ n]|$))*(now)?", axis), axis


@pytest.mark.parametrize("span_s", SPANS_S)
def test_a_moment_of_the_axis_is_as_long_ago_as_its_name_says(heard, span_s):
    for cells in range(20, 250, 7):
        past = timeline(heard, cells, span_s)
        axis = "".join(piece.text for piece in past_axis(past, (), is_live=True))
        for tick in re.finditer(r"╵-(\d+) (s|min)", axis):
            ago_s = int(tick[1]) * (60 if tick[2] == "min" else 1)
            cell = tick.start() - 2  # two cells are the gutter
            assert cell == past.cell_at(past.end_s - ago_s + 0.5 * past.cell_s), axis


def named(label, weighed, probabilities):
    """Make an estimate whose label depends on the last moments."""
    attention = np.full(38, 1 / 38, np.float32)
    return Estimate(
        0.04, label, np.float32(probabilities), 0.9, attention, None, np.float32(weighed)
    )


@pytest.mark.parametrize("emotion", [1, 2], ids=LABELS[1:3])  # a short and a long word
@pytest.mark.parametrize(("width", "height"), [*SIZES, (40, 30)])
def test_the_label_is_the_longest_bars_with_its_share_and_latency_beside_it(width, height, emotion):
    weights = np.insert([0.2, 0.15, 0.1], emotion, 0.55)
    heard = named(LABELS[emotion], weights, [0.6, 0.2, 0.1, 0.1])  # another label
    snapshot = monitor_of([Estimated(heard, 182.4)]).snapshot
    picture = "\n".join(rows_of(snapshot, width, height))
    assert "55%" in picture
    assert "60%" not in picture
    assert "55% sure" in picture
    assert "182 ms late" in picture


@pytest.mark.parametrize("label", ["silence", "uncertain", "warming up"])
def test_bars_are_faint_where_no_emotion_is_named(label):
    heard = named(LABELS[0], [0.7, 0.1, 0.1, 0.1], [0.7, 0.1, 0.1, 0.1])
    for event, are_bright in ((heard, True), (replace(heard, label=label), False)):
        snapshot = monitor_of([Estimated(event, 1.0)]).snapshot
        lines = draw(snapshot, View(), 80, 24)
        rows = [line for line in lines if any(piece.text.strip() == "70%" for piece in line)]
        now = rows[0][: [piece.text.strip() for piece in rows[0]].index("70%")]
        grounds = {piece.style.bgcolor.name for piece in now if piece.style.bgcolor}
        assert bool(grounds & COLOURS) is are_bright
        words = "".join(piece.text for line in lines for piece in line)
        assert ("% sure" in words) is are_bright


def test_only_the_start_warms_up():
    labels = ["silence", "warming up", LABELS[0], "silence", "warming up", LABELS[1]]
    monitor, seen = monitor_of([]), []
    for number, label in enumerate(labels, 1):
        monitor.take(estimated(0.04 * number, label))
        seen.append(monitor.snapshot.label)
    assert seen == [*labels[:4], "uncertain", LABELS[1]]
