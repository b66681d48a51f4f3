"""Keys as a terminal sends them, and their effect on the screen."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.screen.drawing.segments import width_of
from streamer.screen.history import KEPT_TIMESTEPS
from streamer.screen.keyboard import KeyParser
from streamer.screen.keys import KEYS, SPANS_S, View, edge_of, help_lines, key_line, pressed
from tests.helpers.screens import LABELS, estimated, monitor_of, rows_of

SENT = {
    "left": ["\x1b[D", "\x1bOD", "\x1b[1;5D"],
    "right": ["\x1b[C", "\x1bOC"],
    "home": ["\x1b[H", "\x1bOH", "\x1b[1~", "\x1b[7~"],
    "end": ["\x1b[F", "\x1bOF", "\x1b[4~", "\x1b[8~", "\x1b[4;2~"],
    "page up": ["\x1b[5~"],
    "page down": ["\x1b[6~"],
    "q": ["q"],
    "\x1a": ["\x1a"],
}
NOTHING = ["\x1b[A", "\x1bq", "\x1b[15~", "\x1bOP", "\x1b[200~"]


@given(
    keys=st.lists(
        st.sampled_from([(name, sent) for name in SENT for sent in SENT[name]])
        | st.sampled_from([(None, sent) for sent in NOTHING]),
        max_size=8,
    ),
    cuts=st.lists(st.integers(0, 60), max_size=12),
)
def test_keys_are_read_alike_however_they_are_cut_into_reads(keys, cuts):
    sent = "".join(one for _, one in keys)
    edges = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    parser, got = KeyParser(), []
    for number, (first, last) in enumerate(pairwise(edges)):
        got += parser.feed(sent[first:last], 0.001 * number)
    assert got == [name for name, _ in keys if name]


def test_esc_alone_does_not_delay_or_swallow_later_keys():
    parser = KeyParser()
    assert parser.feed("\x1b", 0.0) == []
    assert parser.feed("", 0.08) == []
    assert parser.feed("", 0.16) == []
    assert parser.feed("q", 0.24) == ["q"]
    assert parser.feed("\x1b\x1b[D", 2.0) == ["left"]
    assert parser.feed("\x1b[", 3.0) == []
    assert parser.feed("", 3.2) == []
    assert parser.feed("[", 4.0) == ["["]


def test_a_slow_program_tears_no_sequence_apart():
    parser = KeyParser()
    assert parser.feed("\x1b", 0.0) == []
    assert parser.feed("[D", 5.0) == ["left"]  # it came long ago, but was not read


@pytest.fixture(scope="module")
def minute():
    """A snapshot after a minute, an emotion every 15 s."""
    events = [estimated((n + 1) * 0.04, LABELS[n // 375]) for n in range(1500)]
    return monitor_of(events).snapshot


def after(keys, snapshot, view=View()):  # noqa: B008  (frozen)
    for key in keys:
        view = pressed(view, key, snapshot)
    return view


def test_plus_and_minus_zoom_to_the_ends_and_no_further(minute):
    assert View().span_s == 30.0
    assert after("+", minute).span_s == 15.0
    assert after("+++", minute).span_s == SPANS_S[0]
    assert after("---------", minute).span_s == SPANS_S[-1] == KEPT_TIMESTEPS * 0.04
    assert "timeline  2 min" in "\n".join(rows_of(minute, 80, 24, after("--", minute)))


def test_arrows_scroll_to_the_end_of_the_history_and_back_to_now(minute):
    back = after(["left"], minute)
    assert back.until_s == pytest.approx(52.5)
    assert after(["h"], minute) == back
    assert after(["left"] * 50, minute).until_s == 30.0 == after(["home"], minute).until_s
    for way in (["right"], ["l"], ["end"], ["0"], ["page down"]):
        assert after(way, minute, back).until_s is None


def test_a_timeline_shown_whole_cannot_be_scrolled(minute):
    assert after(["-", "-", "left"], minute).until_s is None


def test_zooming_keeps_the_moment_that_was_scrolled_to(minute):
    view = after(["left", "left", "+"], minute)
    assert (view.span_s, view.until_s) == (15.0, 45.0)
    assert after(["-", "-"], minute, view).until_s is None  # a minute is all there is


@pytest.mark.parametrize(("width", "height"), [(200, 55), (120, 40), (80, 24), (40, 12)])
def test_the_screen_says_that_it_is_scrolled_back_and_shows_that_time(minute, width, height):
    view = after(["+", *["left"] * 8], minute)
    picture = "\n".join(rows_of(minute, width, height, view))
    assert "30 s back, End: live" in picture
    # 15 to 30 s after the start, happy fills the timeline from edge to edge, or its own row.
    rows = [row.strip("│ ") for row in picture.splitlines()]
    assert "H" in rows
    assert "back, End" not in "\n".join(rows_of(minute, width, height))


def test_a_scrolled_view_stays_until_its_time_is_too_old():
    monitor = monitor_of([estimated((n + 1) * 0.04, "sad") for n in range(KEPT_TIMESTEPS)])
    view = after(["home"], monitor.snapshot)
    assert edge_of(view, monitor.snapshot) == 30.0
    for n in range(KEPT_TIMESTEPS, KEPT_TIMESTEPS + 250):
        monitor.take(estimated((n + 1) * 0.04, "sad"))
    assert edge_of(view, monitor.snapshot) == pytest.approx(40.0)
    later = after(["left"], monitor.snapshot)
    assert edge_of(later, monitor.snapshot) == later.until_s


@pytest.mark.parametrize("width", [30, 60, 100])
def test_the_frame_of_the_help_is_as_wide_as_its_lines(width):
    assert len({width_of(line) for line in help_lines(View(), width, 30)}) == 1


def test_any_key_closes_the_help_and_does_nothing_else(minute):
    view = after("?", minute)
    assert view.is_help
    for key in (*"q+-p", "left"):
        assert after([key], minute, view) == View()


def test_the_key_line_has_whole_words_and_the_way_to_the_rest_goes_last():
    for width in range(1, 120):
        for view in (View(), View(can_record=True, until_s=1.0), View(is_paused=True)):
            line = "".join(piece.text for piece in key_line(view, width))
            assert width_of(key_line(view, width)) <= width
            words = {word for key in KEYS for word in (key.name, key.word)} | {"go", "on"}
            assert set(line.split()) <= words
            assert "quit" in line or width < 4
            assert "help" in line or width < 12
    assert all(key.word in "".join(p.text for p in key_line(View(until_s=1.0), 80)) for key in KEYS
               if key.name != "r")  # fmt: skip


def test_while_the_picture_stands_still_the_key_says_how_to_go_on():
    line = "".join(piece.text for piece in key_line(View(is_paused=True), 80))
    assert "p go on" in line
    assert "pause" not in line
