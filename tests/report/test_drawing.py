"""Sessions as a picture: it shows the recorded session, and it is legible."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from streamer import plotting as figures
from streamer.appearance import GAP_CODE, STATE_CODES, looks, paper_looks
from streamer.commands.report.drawing.axis import clock, ticks, time_ticks
from streamer.commands.report.drawing.ink import CHIP, TRACK
from streamer.commands.report.drawing.overview import MOST_COLUMNS, overview
from streamer.commands.report.drawing.shapes import Area, Box, Text, fitted, steps
from streamer.commands.report.drawing.svg import to_svg
from streamer.commands.report.page import MOST_SESSIONS, draw_sheet, make_page
from streamer.commands.report.run import write_report
from streamer.errors import RunFailure, SerLiveError
from streamer.formats.reader import read_sessions
from streamer.recognition.decision import STATES
from streamer.session.events import Gap, SessionEnded
from tests.helpers.command import replay
from tests.helpers.places import ROOT
from tests.helpers.recorded import HOSTILE, LABELS, SILENCE_INDEX, recorded, several

#: Timesteps: 5 s, 5 min, 2 h, and around the most that are drawn one by one.
TIMESTEPS = (1, 125, MOST_COLUMNS, MOST_COLUMNS + 1, 7500, 180_000)


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sessions") / "demo.jsonl"
    path.write_bytes(replay(ROOT / "assets" / "demo.flac").stdout)
    return path


def test_the_shares_of_a_real_recording_are_those_of_its_summary(demo):
    (session,) = read_sessions(demo, print)
    seen = overview(session)
    looks_of = looks(session.header.labels)
    shares = dict(zip((looks_of[code].name for code in seen.codes), seen.total, strict=True))
    assert shares.pop("gap") == 0.0
    assert shares == pytest.approx(session.end.summary, abs=0.005)


@pytest.mark.parametrize("timesteps", TIMESTEPS)
def test_every_timestep_is_counted_once_at_any_length(timesteps):
    session = recorded(timesteps)
    seen = overview(session)
    assert len(seen.shares) <= MOST_COLUMNS
    np.testing.assert_allclose(seen.shares.sum(1), 1.0)
    codes = [*range(len(LABELS)), *(STATE_CODES[state] for state in STATES)]
    counts = np.bincount(session.codes, minlength=len(codes))
    expected = dict(zip(codes, counts / timesteps, strict=True)) | {GAP_CODE: 0.0}
    np.testing.assert_allclose(seen.total, [expected[code] for code in seen.codes], atol=1e-9)
    np.testing.assert_allclose(np.diff(seen.edges_s) @ seen.speech, session.speech.sum() * 0.04)


def test_probabilities_are_means_over_what_was_heard_as_an_emotion():
    session = recorded(8 * MOST_COLUMNS)
    codes = np.zeros(len(session.times), np.int64)
    codes[4:16] = SILENCE_INDEX
    seen = overview(replace(session, codes=codes))
    np.testing.assert_allclose(seen.probabilities[0], session.probabilities[:4].mean(0))
    assert np.isnan(seen.probabilities[1]).all()
    np.testing.assert_allclose(seen.probabilities[2], session.probabilities[16:24].mean(0))


def test_lost_audio_is_a_gap_even_with_estimates_in_it():
    starts = {1.0: 16_000, 1.2: 1600, 1.5: 16_000}
    gaps = tuple(Gap(start_s, samples, "overflow") for start_s, samples in starts.items())
    seen = overview(recorded(125, gaps=gaps))
    is_lost = np.zeros(125, bool)
    is_lost[25:63] = True  # 1 s to 2.5 s; its end, 2.48 s to 2.5 s, is half a timestep
    np.testing.assert_array_equal(seen.shares[:, -1] > 1e-9, is_lost)
    np.testing.assert_allclose(seen.shares.sum(1), 1.0)
    assert seen.total[-1] == pytest.approx(1.5 / 5.0)
    assert np.isnan(seen.speech[25:62]).all()


def test_a_gap_of_fractional_timesteps_moves_the_rest_and_no_column_overflows():
    session = recorded(125, gaps=(Gap(1.0, 208, "overflow"),))
    times = session.times + np.where(session.times > 1.0, 208 / 16_000, 0.0)
    seen = overview(replace(session, times=times))
    assert seen.shares.sum(1).max() <= 1.0 + 1e-9
    assert seen.total[-1] == pytest.approx(208 / 16_000 / times[-1])


def test_time_without_an_estimate_has_no_label():
    session = recorded(125)
    kept = np.r_[0:50, 75:125]
    holed = replace(
        session,
        times=session.times[kept],
        **{name: getattr(session, name)[kept] for name in ("codes", "probabilities", "speech")},
    )
    seen = overview(holed)
    np.testing.assert_allclose(seen.shares[50:75], 0.0)
    assert seen.total.sum() == pytest.approx(0.8)


@pytest.mark.parametrize("duration_s", [0.04, 5.0, 61.0, 300.0, 7200.0, 86_400.0, 1e8])
def test_moments_on_the_axis_are_round_few_and_different(duration_s):
    moments = time_ticks(duration_s, 8)
    assert 1 <= len(moments) <= 9
    assert moments[0] == 0.0
    assert moments[-1] <= duration_s
    shown = [clock(moment, duration_s) for moment in moments]
    assert len(set(shown)) == len(shown)


@pytest.mark.parametrize(("low", "high"), [(180.0, 182.0), (-3.0, 1e11), (0.0, 100.0), (7.5, 9.5)])
def test_numbers_on_an_axis_lie_on_it(low, high):
    numbers = ticks(low, high, 5)
    assert 2 <= len(numbers) <= 6
    assert low <= min(numbers) <= max(numbers) <= high


def test_times_are_written_as_on_a_clock():
    assert clock(4.36, 5.0) == "4.36"
    assert clock(274.36, 300.0) == "4:34"
    assert clock(274.36, 300.0, 2) == "4:34.36"
    assert clock(59.999, 300.0, 2) == "1:00.00"
    assert clock(3725.0, 7200.0) == "1:02:05"


def test_areas_break_where_nothing_is_known():
    first, second = steps(np.arange(6.0), np.array([1, 1, np.nan, 2, 3]), 10.0)
    assert first.tolist() == [[0, 10], [0, 9], [2, 9], [2, 10]]
    assert second.tolist() == [[3, 10], [3, 8], [4, 8], [4, 7], [5, 7], [5, 10]]


def test_a_long_name_is_cut_where_it_is_least_missed():
    assert fitted("short", 11.0, 100.0) == "short"
    assert fitted("a" * 99, 11.0, 100.0).endswith("a…")
    assert fitted("folder/" * 20 + "x.wav", 11.0, 100.0, keeps_end=True) == "…lder/x.wav"
    assert fitted("会" * 99, 11.0, 100.0) == "会" * 6 + "…"


def test_emotions_have_the_colours_of_the_screen():
    screen, paper = looks(LABELS), paper_looks(LABELS)
    assert [paper[index] for index in range(4)] == [screen[index] for index in range(4)]
    assert {code: look.letter for code, look in paper.items()} == {
        code: look.letter for code, look in screen.items()
    }


@pytest.mark.parametrize("number", [1, 2, 4, 5])
def test_no_text_lies_over_another_or_off_the_page(number):
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Letters that the font lacks are as wide as the box shown instead.
    warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
    figure = Figure(dpi=96)
    renderer = FigureCanvasAgg(figure).get_renderer()
    page = draw_sheet(make_page(several(number))).drawing
    extents = []
    for shape in (one for one in page.shapes if isinstance(one, Text)):
        size_points, weight = shape.size * 0.75, "bold" if shape.is_bold else "normal"
        text = figure.text(0, 0, shape.content, fontsize=size_points, fontweight=weight)
        text.set_parse_math(False)
        width = text.get_window_extent(renderer).width
        left = shape.x - {"start": 0.0, "middle": width / 2, "end": width}[shape.anchor]
        extents.append((left, left + width, shape.y - 0.8 * shape.size, shape.y, shape.content))
    for left, right, top, bottom, content in extents:
        assert left >= 0.0, content
        assert right <= page.width, content
        assert top >= 0.0, content
        assert bottom <= page.height, content
    boxes = [
        (one.x, one.x + one.width, one.y, one.y + one.height)
        for one in page.shapes
        if isinstance(one, Box) and one.width > CHIP  # the letter of a label is on its sign
    ]
    pairs = [*itertools.combinations(extents, 2), *itertools.product(extents, boxes)]
    for one, other in pairs:
        is_apart = one[1] <= other[0] or other[1] <= one[0]
        assert is_apart or one[3] <= other[2] or other[3] <= one[2], (one, other)


def test_the_states_are_named_in_full():
    drawing = draw_sheet(make_page(several(2))).drawing
    said = {shape.content for shape in drawing.shapes if isinstance(shape, Text)}
    assert {*STATES, *LABELS, "gap"} <= said


def test_the_time_of_a_recording_says_its_zone():
    drawing = draw_sheet(make_page([recorded(1)])).drawing
    said = [shape.content for shape in drawing.shapes if isinstance(shape, Text)]
    assert any(line.endswith("2026-11-22 00:00 UTC") for line in said)


def drawn(*sessions, sounds=None):
    return draw_sheet(make_page(sessions, sounds))


def texts(sheet) -> list[str]:
    return [shape.content for shape in sheet.drawing.shapes if isinstance(shape, Text)]


def test_a_moment_has_the_same_place_in_every_drawing():
    sheet = drawn(recorded(125), recorded(7500), recorded(250))
    frame = sheet.picture.frame
    assert frame.span_s == 300.0
    assert texts(sheet).count("1:00") == 1  # one axis
    lanes = [
        shape
        for shape in sheet.drawing.shapes
        if isinstance(shape, Box) and shape.colour == TRACK and shape.x == frame.left
    ]
    of_each = [{lane.width for lane in lanes[first : first + 5]} for first in (0, 5, 10)]
    seconds = [widths.pop() / frame.width * 300.0 for widths in of_each]
    assert seconds == pytest.approx([5.0, 300.0, 10.0])
    assert of_each == [set()] * 3


def test_columns_are_as_wide_in_every_session_of_a_page():
    page = make_page([recorded(125), recorded(180_000)])
    wide, narrow = (entry.strand.seen.edges_s for entry in reversed(page.entries))
    assert wide[1] == pytest.approx(18.0)
    assert narrow.tolist() == [0.0, 5.0]


def test_parts_that_no_session_has_take_no_room():
    gaps, marks = (Gap(1.0, 16_000, "overflow"),), np.array([2.0])
    plain, eventful = recorded(125, latencies=False), recorded(125, gaps=gaps, marks=marks)
    said = texts(drawn(plain))
    assert not any("atency" in text or "gaps" in text or "marks" in text for text in said)
    assert "sound" not in said
    assert {"gaps, marks", "Latency in ms, from sound to label"} <= set(texts(drawn(eventful)))
    assert "gaps" in texts(drawn(replace(plain, gaps=gaps)))
    assert "marks" in texts(drawn(replace(plain, marks=marks)))
    heads = [column.name for column in make_page([plain, plain]).columns]
    assert not {"lost in gaps", "marks", "late, p50/p95"} & set(heads)


def test_silence_has_no_lanes_of_emotions():
    silent = recorded(125, codes=np.full(125, SILENCE_INDEX))
    assert texts(drawn(recorded(125))).count("angry") == 2  # a lane and a bar
    said = texts(drawn(silent))
    assert "angry" not in said
    assert {"label", "speech", "No speech"} <= set(said)


def test_a_label_looks_alike_in_every_session_of_a_page():
    first, second = make_page(
        [recorded(125), recorded(125, labels=("sad", "bored", "angry"))]
    ).entries
    assert second.strand.looks[0] == first.strand.looks[3]
    assert second.strand.looks[2] == first.strand.looks[0]
    assert second.strand.looks[1] not in first.strand.looks.values()


@pytest.mark.parametrize("times", [[0.0], [1e-300], [0.04, 1e8]])
def test_times_outside_the_sessions_are_drawn_within_the_page(times):
    marks = np.array([0.0, 1.0, 1e8])
    end = SessionEnded(0.0, len(times), {}, "silence", {})
    session = recorded(len(times), times=np.array(times), marks=marks, end=end)
    page = make_page([session])
    assert len(page.entries[0].strand.seen.shares) <= MOST_COLUMNS
    page = draw_sheet(page).drawing
    for area in (shape for shape in page.shapes if isinstance(shape, Area)):
        corners = np.concatenate(area.polygons)
        assert (corners >= 0.0).all()
        assert (corners <= [page.width, page.height]).all()


def test_late_estimates_are_counted_and_do_not_squeeze_the_others():
    latencies = np.r_[np.linspace(180, 190, 995), [5000.0] * 5]
    page = draw_sheet(make_page([recorded(1000, latency_ms=latencies)])).drawing
    said = " ".join(shape.content for shape in page.shapes if isinstance(shape, Text))
    assert "max 5000 ms; 1000 estimates, 5 of them off the axis" in said
    assert "p50 185 ms" in said


def test_a_share_is_as_long_as_it_says():
    codes = np.r_[np.zeros(30, np.int64), np.ones(70, np.int64)]
    page = draw_sheet(make_page([recorded(100, codes=codes)])).drawing
    bars = [
        shape.width
        for shape in page.shapes
        if isinstance(shape, Box) and shape.colour == looks(LABELS)[1].colour
    ]
    tracks = {shape.width for shape in page.shapes if isinstance(shape, Box) and shape.height == 12}
    assert max(bars) == pytest.approx(0.7 * max(tracks))
    assert "70%" in [shape.content for shape in page.shapes if isinstance(shape, Text)]


def test_names_are_text_in_svg_whatever_is_in_them():
    page = make_page([recorded(125, labels=("<b>", "&", '"', HOSTILE), source=HOSTILE)])
    root = ElementTree.fromstring(to_svg(draw_sheet(page).drawing, page.title))
    assert {element.tag.split("}")[1] for element in root.iter()} == {
        *("svg", "title", "rect", "path", "text")
    }
    texts = {element.text for element in root.iter() if element.text}
    assert {"<b>", "&", '"'} <= texts


def test_two_hours_in_which_no_two_columns_are_alike_are_a_small_picture():
    assert len(to_svg(drawn(recorded(180_000)).drawing, "")) < 60_000


def test_more_recordings_than_can_be_looked_at_are_refused():
    with pytest.raises(SerLiveError, match=r"17 recordings; a report shows 1\.\.16"):
        make_page([recorded(1)] * (MOST_SESSIONS + 1))


@pytest.mark.parametrize("suffix", ["svg", "html", "png", "pdf"])
def test_the_same_session_gives_the_same_bytes(demo, tmp_path, suffix):
    if suffix in ("png", "pdf"):
        pytest.importorskip("matplotlib")
    one, other = tmp_path / f"one.{suffix}", tmp_path / f"other.{suffix}"
    write_report([demo], one, False, print)
    write_report([demo], other, False, print)
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes()[:4] in (b"<svg", b"<!DO", b"\x89PNG", b"%PDF")


def test_a_page_needs_no_matplotlib_and_a_picture_names_the_extra(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "find_spec", lambda _name: None)
    write_report([demo], tmp_path / "report.html", False, print)
    with pytest.raises(RunFailure, match=r"\.png report.*ser-live\[plot\]"):
        write_report([demo], tmp_path / "report.png", False, print)


def test_a_session_that_was_killed_is_drawn(demo, tmp_path):
    killed = tmp_path / "killed.jsonl"
    killed.write_bytes(demo.read_bytes()[:20_000])
    write_report([killed], tmp_path / "report.svg", False, print)
    assert "so without a verdict" in (tmp_path / "report.svg").read_text()


def test_a_session_without_estimates_is_skipped_and_reported(demo, tmp_path):
    said = []
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(demo.read_bytes().splitlines(keepends=True)[0])
    write_report([empty, demo], tmp_path / "report.svg", False, said.append)
    assert said == [f"{empty}: no estimates of {ROOT / 'assets' / 'demo.flac'}, which is left out"]
    with pytest.raises(SerLiveError, match="nothing to draw"):
        write_report([empty], tmp_path / "none.svg", False, print)
    assert not (tmp_path / "none.svg").exists()
